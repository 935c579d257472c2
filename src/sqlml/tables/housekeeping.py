"""What no reader can reach any more is taken away: files of versions that are too old, and of runs that failed."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import CommitProperties
from deltalake.exceptions import DeltaError

from sqlml.catalog.table_records import Refresh
from sqlml.errors import RetentionTooShort, TableUnwritable
from sqlml.tables import delta
from sqlml.tables.desk import Desk
from sqlml.tables.layout import DATA, QUARANTINE, RUN, WINDOW
from sqlml.tables.options import duration, retention
from sqlml.tables.preparing import statement_of
from sqlml.tables.refresh import is_dead, reconcile
from sqlml.tables.running import take_in

MARGIN = timedelta(hours=1)
"""How much before the oldest running refresh began: it reads what was there then, and clocks differ."""
_RECENT = 1_000


@dataclass(frozen=True)
class Vacuumed:
    """What a vacuum took away, or would: `files` below the table's folder with their bytes.

    Attributes:
        hours: what was removed, or written, within these stays.
        held_by: the running refresh that made it longer than the declaration says, if any.
        quarantined: how many of the files are rows that failed an audit.
        applied: whether they are gone.
    """

    table: str
    hours: int
    held_by: str | None
    files: tuple[tuple[str, int], ...]
    quarantined: int
    applied: bool

    @property
    def bytes(self) -> int:
        """How large the files are together."""
        return sum(size for _, size in self.files)


def hours_to_keep(kept: timedelta, running: Iterable[Refresh], now: datetime) -> tuple[int, str | None]:
    """What has to stay, in whole hours, and which refresh makes it longer than the table's own retention, if any.

    Args:
        kept: the retention.
        running: the refreshes of the whole catalog that are at work: they may read this table.
        now: the moment of the question.

    Example:
        >>> hours_to_keep(timedelta(minutes=90), [], datetime(2024, 1, 1, tzinfo=UTC))
        (2, None)
    """
    oldest = min(running, key=lambda one: one.started_at, default=None)
    needed = timedelta(0) if oldest is None else now - oldest.started_at + MARGIN
    longest = max(kept, needed)
    return math.ceil(longest / timedelta(hours=1)), oldest.refresh_id if oldest and needed > kept else None


def vacuum(desk: Desk, name: str, retain: str | None = None, *, apply: bool = False) -> Vacuumed:
    """Take away what the versions within a table's retention don't have.

    Args:
        desk: with whom.
        name: the table.
        retain: an interval that is not shorter than the table's own.
        apply: whether the files go; else they are only listed.

    Raises:
        UnknownTable: there is none of that name.
        BadInterval: `retain` is none.
        RetentionTooShort: the table's declaration keeps more.
        TableError: what else stands against it.
    """
    table = desk.tables.get(name)
    root = Path(table.path)
    declared = retention(statement_of(table))
    kept = declared if retain is None else duration(retain)
    if kept < declared:
        raise RetentionTooShort(table=table.name, kept=_shown(declared), asked=retain)
    if apply:
        reconcile(desk, table)
    hours, held_by = hours_to_keep(kept, _running(desk), datetime.now(UTC))
    found = _sized(root, _unreachable(root, hours, apply=False))
    aside = list(_quarantined(root, time.time() - hours * 3600))
    put_away = [(path.relative_to(root).as_posix(), size) for folder in aside for path, size in _files_in(folder)]
    if apply:
        gone = set(_unreachable(root, hours, apply=True)) if found else set()
        found = [(path, size) for path, size in found if path in gone]
        for folder in aside:
            shutil.rmtree(folder, ignore_errors=True)
        _tidy(root, gone, time.time() - hours * 3600)
        take_in(desk, table.name, root)
    return Vacuumed(table.name, hours, held_by, tuple(sorted([*found, *put_away])), len(put_away), apply)


def _unreachable(root: Path, hours: int, *, apply: bool) -> list[str]:
    """The files that no version of the last hours has, and those that none ever had; taken away, to `apply`."""
    table = delta.open_table(root)
    properties = CommitProperties(custom_metadata={delta.KEY: json.dumps({"upkeep": "vacuum"})})
    try:
        return table.vacuum(
            hours, dry_run=not apply, enforce_retention_duration=False, commit_properties=properties, full=True
        )
    except (DeltaError, OSError) as error:
        raise TableUnwritable(path=root, reason=delta.line(error)) from error


def _running(desk: Desk) -> list[Refresh]:
    """The refreshes of all tables that are at work."""
    of_all = (one for table in desk.tables.all() for one in desk.tables.refreshes(table.name, limit=_RECENT))
    return [one for one in of_all if one.outcome == "running" and not is_dead(one)]


def _sized(root: Path, paths: Iterable[str]) -> list[tuple[str, int]]:
    found = []
    for path in paths:
        try:
            found.append((path, (root / path).stat().st_size))
        except FileNotFoundError:
            # Another vacuum was here.
            continue
    return found


def _quarantined(root: Path, before: float) -> Iterator[Path]:
    """The folders of runs that failed an audit, in which nothing was written since a moment."""
    folder = root / QUARANTINE
    for run in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _last_change(run) < before:
            yield run


def _files_in(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.stat().st_size


def _last_change(folder: Path) -> float:
    return max((path.stat().st_mtime for path in (folder, *folder.rglob("*"))), default=0.0)


def _tidy(root: Path, gone: set[str], before: float) -> None:
    """Take away the runs' folders that nothing is left in: emptied just now, or by a writer that died long ago."""
    emptied = {"/".join(path.split("/")[:3]) for path in gone}
    for folder in root.glob(f"{DATA}/{WINDOW}=*/{RUN}=*"):
        if any(path.is_file() for path in folder.rglob("*")):
            continue
        # What was changed lately may be of a run that is about to write.
        if folder.relative_to(root).as_posix() in emptied or _last_change(folder) < before:
            shutil.rmtree(folder, ignore_errors=True)


def _shown(length: timedelta) -> str:
    hours = length / timedelta(hours=1)
    return f"{hours / 24:g} days" if hours >= 24 else f"{hours:g} hours"
