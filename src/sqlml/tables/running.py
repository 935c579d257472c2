"""One run: rows are written, audited, published and recorded, in this order, and all of them or none can be read."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from sqlml.catalog.table_records import Run, TableWindow
from sqlml.engines.engine import Files
from sqlml.errors import (
    AuditFailed,
    BadTableFile,
    CatalogUnreachable,
    SqlmlError,
    TableBusy,
    TableMoved,
    TableUnreadable,
)
from sqlml.planner import Plan
from sqlml.query.tables import Audit
from sqlml.tables import delta
from sqlml.tables.audits import Audited, audit, repeated
from sqlml.tables.delta import Commit, DataFile
from sqlml.tables.desk import Desk
from sqlml.tables.failpoints import point
from sqlml.tables.job import Job
from sqlml.tables.layout import QUARANTINE, data_files, key_of, run_folder, window_folder
from sqlml.tables.merging import last_of_each, merge, own_name
from sqlml.tables.told import Told
from sqlml.tables.windows import Bound, Window

OPEN = "+open"
"""Behind the hash of a window's query: the window was not over when it was computed."""
FULL = "full"
"""The key of a run that computes every window, and replaces the whole table."""
_MERGES = 20
_LOGGED = (
    "run_id", "refresh_id", "window_key", "outcome", "engine", "rows_out", "bytes", "seconds", "commit_version",
    "published_by", "error",
)  # fmt: skip

log = logging.getLogger("sqlml.tables")


@dataclass(frozen=True)
class Work:
    """What one run is to publish, for the `number`-th time.

    `windows` are those that it computes: one, or for a table that has none None; or all that there are, where it
    replaces the whole table (`is_full`), which is made from `at` then. `rebuilt` is how often the whole was replaced
    before: from then on each window is counted anew. `until` is up to where
    no more rows are looked for: a window that ends behind it is to be computed once more.
    """

    windows: tuple[Window | None, ...]
    number: int
    rebuilt: int = 0
    is_full: bool = False
    at: int | None = None
    until: Bound | None = None

    @property
    def key(self) -> str:
        """What it is published under."""
        return FULL if self.is_full else key_of(self.windows[0])


@dataclass(frozen=True)
class _Wrote:
    """The files of a run, by window, and what the audits said of them."""

    files: Mapping[str, list[DataFile]]
    rows: Mapping[str, int]
    audits: tuple[Audited, ...]

    @property
    def all_files(self) -> list[DataFile]:
        return [file for files in self.files.values() for file in files]


def app_id(table: str, key: str, rebuilt: int = 0) -> str:
    """The name of a piece of work in the table's log.

    Example:
        >>> app_id("Daily", "0/100"), app_id("daily", "0/100", rebuilt=2)
        ('sqlml/daily/0/100', 'sqlml/daily/2/0/100')
    """
    return "/".join(["sqlml", table.casefold(), *([str(rebuilt)] if rebuilt else []), key])


def run(desk: Desk, job: Job, plan: Plan, work: Work, table: DeltaTable, scheduled_for: datetime | None = None) -> Run:
    """Do one run, and record what became of it.

    Args:
        desk: with whom.
        job: of which refresh.
        plan: of the query, on the desk's engine.
        work: which windows.
        table: opened by this thread.
        scheduled_for: the moment of the schedule that it answers.

    Raises:
        AuditFailed: the rows are not as declared.
        SqlmlError: whatever else stood against it. In each case nothing was published, and the run is recorded.
    """
    begun = _begun(desk, job, work)
    desk.tables.begin_run(begun)
    _log("run started", begun)
    told = _told(desk, job, begun, scheduled_for)
    desk.lineage.started(told)
    clock = time.perf_counter()
    audits: list[Audited] = []
    wrote: _Wrote | None = None
    try:
        wrote = _write(desk, job, plan, work, begun, audits)
        commit = _publish(desk, job, work, begun, wrote, table)
    except BaseException as error:
        # Once it has come to publishing, all but these may mean that the files are in the table.
        if wrote is None or isinstance(error, BadTableFile | TableBusy | TableMoved):
            kept = _put_away(job, work, begun, keep=job.keep_failed and isinstance(error, AuditFailed))
        else:
            kept = None
        failure = AuditFailed(**{**error.values, "kept": kept}) if kept and isinstance(error, AuditFailed) else error
        _record_failure(desk, begun, failure, time.perf_counter() - clock, audits)
        _log("run failed", replace(begun, outcome="failed", error=_said(failure)))
        desk.lineage.failed(told, failure if isinstance(failure, Exception) else "interrupted")
        if failure is not error:
            raise failure from None
        raise
    point("before record")
    ended = _record(desk, job, work, begun, wrote, commit, time.perf_counter() - clock)
    point("after record")
    _log(f"run {ended.outcome}", ended)
    held = {"rows": ended.rows_out or 0, "bytes": ended.bytes or 0, "files": ended.files or 0}
    desk.lineage.completed(told, **held, commit=commit.version, audits=ended.audits)
    return ended


def _begun(desk: Desk, job: Job, work: Work) -> Run:
    window = None if work.is_full else work.windows[0]
    now = datetime.now(UTC)
    bounds = (None, None) if window is None else tuple(window.key.split("/"))
    return Run(
        run_id=str(uuid.uuid4()),
        refresh_id=job.refresh_id,
        table_name=job.name,
        window_key=work.key,
        window_from=bounds[0],
        window_to=bounds[1],
        number=work.number,
        started_at=now,
        finished_at=None,
        outcome="running",
        rows_in=None,
        rows_out=None,
        files=None,
        bytes=None,
        seconds=None,
        engine=desk.engine.name,
        versions=job.versions,
        audits=(),
        commit_version=None,
        published_by=None,
        error=None,
    )


def _write(desk: Desk, job: Job, plan: Plan, work: Work, begun: Run, audits: list[Audited]) -> _Wrote:
    """Write each window's rows into the run's folders, and hold the audits against them; raises AuditFailed."""
    files: dict[str, list[DataFile]] = {}
    rows: dict[str, int] = {}
    point("before data")
    for window in work.windows:
        key = key_of(window)
        folder = run_folder(key, begun.run_id)
        # What it reads may have changed since the refresh began.
        job = replace(job, found=desk.engine.schema(plan.sql))
        query = job.select(plan, window, begun.run_id, begun.started_at, desk.engine.dialect)
        delta.make_room(job.root, folder)
        rows[key] = desk.engine.write(query, str(job.root / folder), job.declared.partitions).rows
        files[key] = data_files(job.root, folder, job.declared.partitions)
        point("mid data")
        if rows[key] or job.declared.statement.audits:
            _audit(desk, job, window, files[key], audits)
    point("after data")
    return _Wrote(files, rows, tuple(audits))


def _audit(desk: Desk, job: Job, window: Window | None, files: list[DataFile], audits: list[Audited]) -> None:
    rules = list(job.declared.statement.audits)
    if job.declared.key:
        # Of two rows with one key, which one should stay?
        rules.append(Audit("unique", job.declared.key, ()))
    if not rules:
        return
    shown = desk.engine.show_files(own_name(job.name, "audited"), _files(job, files))
    found = audit(desk.engine, shown, rules)
    audits += found
    if failed := [f"{one.rule}: {one.found}" for one in found if not one.passed]:
        at = "" if window is None else f" for {window}"
        raise AuditFailed(table=job.name, window=at, failed="; ".join(failed), kept="")


def _files(job: Job, files: Sequence[DataFile]) -> Files:
    return Files(str(job.root), tuple(file.path for file in files), job.schema, job.declared.partitions)


def _publish(desk: Desk, job: Job, work: Work, begun: Run, wrote: _Wrote, table: DeltaTable) -> Commit:
    metadata = {
        "run_id": begun.run_id,
        "query": job.declared.query_hash,
        "versions": job.versions,
        "full": work.is_full,
        "windows": [
            {
                "key": key_of(window),
                "number": 0 if work.is_full else work.number,
                "rows": wrote.rows[key_of(window)],
                "open": _ends_behind(window, work.until),
            }
            for window in work.windows
        ],
    }
    name = app_id(job.name, work.key, work.rebuilt)
    if work.is_full:
        return _replace_all(desk, job, work, begun, wrote, name, metadata)
    if not job.declared.key:
        folder = f"{window_folder(work.key)}/"
        return delta.publish(
            job.root,
            wrote.all_files,
            app_id=name,
            number=work.number,
            replaces=lambda path: path.startswith(folder),
            metadata=metadata,
            rows=sum(wrote.rows.values()),
            table=table,
        )
    for attempt in range(_MERGES):
        held = delta.snapshot(job.root)
        folder = f"{run_folder(work.key, begun.run_id)}.{attempt}"
        merged = merge(desk.engine, job, held, _files(job, wrote.all_files), folder)
        point("after merge")
        try:
            return delta.publish(
                job.root,
                [*wrote.all_files, *merged.kept],
                app_id=name,
                number=work.number,
                replaces=merged.replaced.__contains__,
                metadata=metadata,
                rows=sum(wrote.rows.values()) + merged.rows,
                at=held.version,
            )
        except TableMoved:
            # What it was merged with has changed meanwhile.
            shutil.rmtree(job.root / folder, ignore_errors=True)
    raise TableBusy(path=job.root, tries=_MERGES)


def _replace_all(
    desk: Desk, job: Job, work: Work, begun: Run, wrote: _Wrote, name: str, metadata: Mapping[str, Any]
) -> Commit:
    files, key = wrote.all_files, job.declared.key
    if key and len(work.windows) > 1:
        new = _files(job, files)
        if repeated(desk.engine, desk.engine.show_files(own_name(job.name, "whole"), new), key):
            files = last_of_each(desk.engine, job, new, run_folder(FULL, begun.run_id))
    held = delta.snapshot(job.root)
    if work.at is not None and not delta.is_kept_up(job.root, work.at):
        raise TableMoved(path=job.root, at=work.at, version=held.version)
    is_same = held.schema.equals(job.schema)
    at = held.version if is_same else delta.allow(job.root, job.schema, held.version)
    return delta.publish(
        job.root,
        files,
        app_id=name,
        number=work.number,
        replaces=lambda _: True,
        metadata=metadata,
        at=at,
        schema=None if is_same else job.schema,
    )


def _record(desk: Desk, job: Job, work: Work, begun: Run, wrote: _Wrote, commit: Commit, seconds: float) -> Run:
    """What the table says of the run, as the catalog keeps it."""
    by = str(commit.metadata.get("run_id", "")) or None
    is_ours = commit.made or by == begun.run_id
    sizes = [(job.root / file.path).stat().st_size for file in wrote.all_files]
    ended = replace(
        begun,
        finished_at=datetime.now(UTC),
        outcome="published" if is_ours else "already",
        rows_in=sum(wrote.rows.values()),
        rows_out=sum(wrote.rows.values()) if is_ours else 0,
        files=len(sizes),
        bytes=sum(sizes),
        seconds=seconds,
        audits=tuple(one.as_json() for one in wrote.audits),
        commit_version=commit.version,
        published_by=None if is_ours else by,
    )
    if not is_ours:
        _put_away(job, work, begun, keep=False)
    values = {name: getattr(ended, name) for name in _FOUND}
    desk.tables.finish_run(begun.run_id, ended.outcome, **values)
    _take_in_own(desk, job, commit)
    return ended


_FOUND = (
    "finished_at", "rows_in", "rows_out", "files", "bytes", "seconds", "audits", "commit_version", "published_by"
)  # fmt: skip


def _take_in_own(desk: Desk, job: Job, commit: Commit) -> None:
    """Have the catalog know of this commit, without reading the log where it is the next one."""
    if commit.made and desk.tables.get(job.name).synced_version == commit.version - 1:
        _absorb(desk, job.name, replace(commit, metadata={**commit.metadata, "at": time.time() * 1000}))
    else:
        take_in(desk, job.name, job.root)


def take_in(desk: Desk, name: str, root: Path) -> None:
    """Have the catalog know what the table's log says, also where nobody was left to record it."""
    known = desk.tables.get(name)
    if known.synced_version >= 0 and delta.is_last(root, known.synced_version):
        return
    if known.synced_version > (version := delta.open_table(root).version()):
        reason = f"it is at version {version}, and was at {known.synced_version} before: it is another one"
        raise TableUnreadable(path=root, reason=reason)
    for commit in delta.commits(root, known.synced_version):
        _absorb(desk, name, commit)


def _absorb(desk: Desk, name: str, commit: Commit) -> None:
    held = commit.metadata
    windows = [_window(commit, one) for one in held.get("windows", ())]
    gone = desk.tables.windows(name).keys() - {one.key for one in windows} if held.get("full") else None
    desk.tables.absorb(name, commit.version, windows, gone=gone)


def _window(commit: Commit, held: Mapping[str, Any]) -> TableWindow:
    start, _, end = str(held["key"]).partition("/")
    return TableWindow(
        key=held["key"],
        window_from=start if end else None,
        window_to=end or None,
        number=held["number"],
        run_id=commit.metadata["run_id"],
        commit_version=commit.version,
        rows=held["rows"],
        query_hash=commit.metadata["query"] + (OPEN if held.get("open") else ""),
        versions=commit.metadata["versions"],
        published_at=datetime.fromtimestamp(commit.metadata["at"] / 1000, UTC),
    )


def _ends_behind(window: Window | None, until: Bound | None) -> bool:
    return window is not None and until is not None and window.end > until  # type: ignore[operator]


def _record_failure(desk: Desk, begun: Run, error: BaseException, seconds: float, audits: Sequence[Audited]) -> None:
    # A catalog that can't be reached hides no other error; it hears of the run when it is back.
    with contextlib.suppress(CatalogUnreachable):
        found = {"seconds": seconds, "error": _said(error), "audits": [one.as_json() for one in audits]}
        desk.tables.finish_run(begun.run_id, "failed", **found)


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, SqlmlError | OSError) else type(error).__name__


def _log(message: str, run: Run) -> None:
    told = {name: value for name in _LOGGED if (value := getattr(run, name)) is not None}
    log.info(message, extra={"sqlml": {**told, "table": run.table_name}})


def _put_away(job: Job, work: Work, begun: Run, *, keep: bool) -> str | None:
    """Take a run's unpublished files away, or to where no reader looks; says where to, in a sentence."""
    folders = [job.root / run_folder(key_of(window), begun.run_id) for window in work.windows]
    to = job.root / QUARANTINE / begun.run_id
    for folder in folders:
        if keep and folder.is_dir():
            to.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, to / folder.parent.name)
        shutil.rmtree(folder, ignore_errors=True)
    return f" The rows are kept in '{to}'." if keep else None


def _told(desk: Desk, job: Job, begun: Run, scheduled_for: datetime | None) -> Told:
    window = None if begun.window_from is None else (begun.window_from, str(begun.window_to))
    return Told(
        run_id=begun.run_id,
        table=job.name,
        path=str(job.root),
        project=desk.project,
        query=job.declared.statement.query,
        engine=desk.engine.name,
        inputs=job.inputs,
        models=job.versions,
        window=window,
        schema=tuple((field.name, str(field.type)) for field in job.schema),
        started_at=begun.started_at,
        scheduled_for=scheduled_for,
    )
