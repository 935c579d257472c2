"""A prediction table is read: one complete version of it for a whole statement, now or as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from sqlml.catalog import PredictionTable, Tables
from sqlml.engines.engine import Engine, Files
from sqlml.errors import MissingPackage, SyntaxMistake
from sqlml.query.snapshots import At, with_snapshots
from sqlml.query.statements import keeps_text
from sqlml.tables import delta

SCHEMA = "predictions"


class Reading:
    """Makes the prediction tables that a statement names readable by one engine."""

    def __init__(self, engine: Engine, tables: Tables, time_zone: str) -> None:
        self._engine = engine
        self._tables = tables
        self._zone = ZoneInfo(time_zone)
        self._seen: dict[str, tuple[delta.Snapshot, tuple[int, int] | None]] = {}
        self._latest: dict[str, delta.Snapshot] = {}

    def readable(self, text: str) -> str:
        """A statement in which each prediction table is the version that there is now, or the one that it names.

        Raises:
            UnknownTable: there is none of that name.
            TableMissing, TableUnreadable: what lies there is no table, or not at that version.
        """
        if SCHEMA not in text.casefold():
            return text
        if keeps_text(text, self._engine.dialect):
            # What is made now is read later, and shall see the table as it is then.
            return text
        known = {table.name.casefold(): Path(table.path) for table in self._tables.all()}
        seen: dict[tuple[str, At | None], str | None] = {}

        def shown(name: str, at: At | None) -> str | None:
            # A statement that names a table twice reads one version of it, whatever comes in between.
            if (name, at) not in seen:
                seen[name, at] = self._shown(known, name, at)
            return seen[name, at]

        return with_snapshots(text, self._engine.dialect, shown)

    def show_latest(self, tables: Sequence[PredictionTable]) -> None:
        """Have the tables that a view of the engine's reads be what they are now."""
        moved: dict[str, Files] = {}
        for table in tables:
            root = Path(table.path)
            if (root / delta.LOG).is_dir():
                held = self._snapshot(root)
                if self._latest.get(table.path) is not held:
                    moved[table.name] = files_of(held)
                    self._latest[table.path] = held
        if moved:
            self._engine.show_latest(SCHEMA, moved)

    def _shown(self, known: Mapping[str, Path], name: str, at: At | None) -> str | None:
        if name.casefold() not in known:
            # It says that there is no such table, and which one is meant.
            self._tables.get(name)
            return None
        held = self._snapshot(known[name.casefold()], self._moment(at))
        return self._engine.show_files(f"{name.casefold()}_v{held.version}", files_of(held))

    def _moment(self, at: At | None) -> int | datetime | None:
        if at is None:
            return None
        if at.kind == "version":
            return int(at.value)
        try:
            moment = datetime.fromisoformat(at.value)
        except ValueError:
            expected, found = "a timestamp such as '2024-01-31 12:00'", f"'{at.value}'"
            raise SyntaxMistake(statement="TIMESTAMP AS OF", expected=expected, found=found) from None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)).astimezone(UTC)

    def _snapshot(self, root: Path, at: int | datetime | None = None) -> delta.Snapshot:
        if at is not None:
            return delta.snapshot(root, at)
        held, mark = self._seen.get(str(root), (None, None))
        if held is None or not delta.is_last(root, held.version) or delta.mark(root, held.version) != mark:
            held = delta.snapshot(root)
            self._seen[str(root)] = held, delta.mark(root, held.version)
        return held


def files_of(held: delta.Snapshot) -> Files:
    """A version's files as an engine reads them."""
    return Files(str(held.root), tuple(sorted(held.files)), held.schema, held.partitions)


class Table:
    """One version of a prediction table, for Python: it is read when it is asked for its rows.

    Whatever takes Arrow streams takes it as it is: `polars.DataFrame(table)`, a DuckDB query, `pyarrow.table(table)`.
    """

    def __init__(self, name: str, root: Path, at: int | datetime | None = None) -> None:
        self.name = name
        self._table = delta.open_table(root, at)
        if at is not None:
            delta.check_whole(root, self._table)
        self.version = int(self._table.version())

    def __repr__(self) -> str:
        return f"<sqlml.Table '{self.name}' at version {self.version}, {len(self):,} rows>"

    def __len__(self) -> int:
        return sum(delta.files(self._table).values())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return pa.schema(self._table.schema())

    @property
    def partitions(self) -> tuple[str, ...]:
        """The columns whose values are folders."""
        return tuple(self._table.metadata().partition_columns)

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, all columns or some."""
        held = self._table.to_pyarrow_dataset().to_table(columns=columns)
        return held

    def to_pandas(self, columns: list[str] | None = None) -> Any:
        """The rows as a pandas data frame, all columns or some."""
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: list[str] | None = None) -> Any:
        """The rows as a polars data frame, all columns or some; raises MissingPackage where there is no polars."""
        try:
            import polars
        except ModuleNotFoundError as error:
            raise MissingPackage(what="to_polars()", package="polars", extra="polars") from error

        return polars.from_arrow(self.to_arrow(columns))
