"""What a refresh is asked for, what it would do, and what became of it, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlml.catalog.table_records import Run
from sqlml.engines.engine import Engine
from sqlml.planner import Plan
from sqlml.query.tables import Bound as Written


@dataclass(frozen=True)
class Request:
    """What of a table to compute; nothing said: what is missing, and the lookback.

    Attributes:
        start: with `end`, the range whose windows are computed anew.
        full: everything is computed aside, and takes the table's place in one commit.
        stale: the windows that an older query or another version has made, computed anew.
        resume: of the same range, what an earlier refresh that failed has not published.
        keep_failed: whether rows that fail an audit are kept for a look.
        jobs: how many windows at a time.
        scheduled_for: the moment of the schedule that this answers; what is done for it is not done again.
        now: the moment up to which rows are looked for; None: this one.
    """

    start: Written | None = None
    end: Written | None = None
    full: bool = False
    stale: bool = False
    resume: bool = False
    keep_failed: bool = False
    jobs: int = 1
    scheduled_for: datetime | None = None
    now: datetime | None = None

    @property
    def kind(self) -> str:
        """As the catalog calls it."""
        if self.full:
            return "full"
        return "stale" if self.stale else "range" if self.start else "due"


@dataclass(frozen=True)
class Refreshed:
    """What became of a refresh: its runs, in the order of their windows; `done_by` another that did the same before."""

    refresh_id: str
    table: str
    kind: str
    runs: tuple[Run, ...]
    done_by: str | None = None

    @property
    def rows(self) -> int:
        """How many rows were published."""
        return sum(one.rows_out or 0 for one in self.runs)

    def __str__(self) -> str:
        if self.done_by:
            return f"{self.table}: done already, or being done, by refresh {self.done_by}"
        already = sum(one.outcome == "already" for one in self.runs)
        seconds = sum(one.seconds or 0.0 for one in self.runs)
        others = f", {already} were published by other runs already" if already else ""
        published = len(self.runs) - already
        windows = f"{published} window{'' if published == 1 else 's'}"
        return f"{self.table}: {windows} published, {self.rows:,} rows in {seconds:.1f} s{others}"


@dataclass(frozen=True)
class RefreshPlan:
    """What a refresh would do: the windows, by their keys, and the SQL of the first one's rows."""

    table: str
    kind: str
    engine: str
    path: str
    windows: tuple[str, ...]
    is_full: bool
    versions: Mapping[str, Mapping[str, str]]
    plan: Plan
    sql: str

    def __str__(self) -> str:
        what = "computed aside, and the table replaced" if self.is_full else "computed and replaced, one commit each"
        shown = [*self.windows[:10], *(["..."] if len(self.windows) > 11 else []), *self.windows[10:][-1:]]
        models = [f"  {name}: {one['model']} {one['version']}" for name, one in self.versions.items()]
        return "\n".join(
            [
                f"{self.table}: {len(self.windows)} windows would be {what}",
                *(f"  {key}" for key in shown),
                "by these versions:" if models else "without a model",
                *models,
                f"into {self.path}",
                f"engine: {self.engine}, which gets for the first:",
                *(f"  {line}" for line in self.sql.splitlines()),
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "table": self.table,
            "kind": self.kind,
            "engine": self.engine,
            "path": self.path,
            "windows": list(self.windows),
            "full": self.is_full,
            "versions": {name: dict(one) for name, one in self.versions.items()},
            "plan": self.plan.to_json(),
            "sql": self.sql,
        }


@dataclass
class Progress:
    """Told of how many runs there are, and of each: before it begins, with the engine that does it, and as it ends.

    What `begins` raises ends the refresh.
    """

    planned: Callable[[int], None] = field(default=lambda _: None)
    begins: Callable[[Engine], None] = field(default=lambda _: None)
    ended: Callable[[Run], None] = field(default=lambda _: None)
