"""What DuckDB knows of a table without reading it: constraints, statistics, about how many rows.

It is asked by relations alone: `execute` would throw away a result that the user has not read.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import duckdb

from sqlml.engines.bounds import outward
from sqlml.engines.engine import Profile
from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Kind
from sqlml.query.text import identifier, literal

_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "small"),
    **dict.fromkeys(("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"), "whole"),
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "FLOAT": "float32",
    "DOUBLE": "float64",
}
_CONSTRAINTS = """
    SELECT constraint_type, constraint_column_names, referenced_table, referenced_column_names
    FROM duckdb_constraints() WHERE database_name = ? AND schema_name = ? AND table_name = ?
"""
_NAMED = """
    SELECT database_name, schema_name, table_name, NULL FROM duckdb_tables() WHERE lower(table_name) = lower(?)
    UNION ALL SELECT database_name, schema_name, NULL, sql FROM duckdb_views() WHERE lower(view_name) = lower(?)
"""
_OF_FILES = re.compile(
    r"CREATE (?:TEMP(?:ORARY)? )?VIEW [^(]* AS (?:SELECT \* )?FROM read_parquet\((?:[^()']|'[^']*')*\);?", re.IGNORECASE
)
_COLLATED = """
    SELECT current_setting('default_collation') <> '' OR EXISTS (
        SELECT 1 FROM duckdb_tables() WHERE sql ILIKE '%collate%'
        UNION ALL SELECT 1 FROM duckdb_views() WHERE NOT internal AND sql ILIKE '%collate%')
"""


def kind_of(type_: Any) -> Kind:
    """What a type of DuckDB's means for a model."""
    text = str(type_)
    return "decimal" if text.startswith("DECIMAL") else _KINDS.get(text, "other")


def compares_texts_plainly(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether no collation can make equal what differs."""
    return not connection.sql(_COLLATED).fetchall()[0][0]


def orders_nulls_last(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether NULL is the last in an order that doesn't say where it is."""
    return str(connection.sql("SELECT current_setting('default_null_order')").fetchall()[0][0]) == "NULLS_LAST"


def profile(connection: duckdb.DuckDBPyConnection, text: str) -> Profile:
    """Run a query and count what its scans have read."""
    started = time.perf_counter()
    found = connection.sql(f"EXPLAIN (ANALYZE, FORMAT json) {text}").fetchall()
    seconds = time.perf_counter() - started
    # Of a query that reads nothing there is no profile.
    open_, rows = list(json.loads(found[0][-1]).get("operator", ())), 0
    while open_:
        operator = open_.pop()
        rows += int(operator.get("rows_scanned", 0))
        open_ += operator.get("children", ())
    return Profile(seconds, rows)


class DuckDBFacts:
    """What is known of one table, asked for when it is needed; nothing where DuckDB refuses to say."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        self._connection = connection
        self._table = table

    @cached_property
    def rows(self) -> int | None:
        """About how many rows there are, as the optimizer estimates it."""
        found = self._rows(f"EXPLAIN (FORMAT json) SELECT * FROM {self._table}")
        try:
            (plan,) = json.loads(found[0][-1])
            return int(str(plan["extra_info"]["Estimated Cardinality"]).lstrip("~"))
        except (IndexError, KeyError, TypeError, ValueError):
            return None

    @cached_property
    def unique(self) -> tuple[frozenset[str], ...]:
        """The columns of primary keys and unique constraints; a NULL among the latter joins none."""
        return tuple(
            frozenset(name.casefold() for name in columns)
            for kind, columns, _, _ in self._constraints
            if kind in ("PRIMARY KEY", "UNIQUE")
        )

    @cached_property
    def references(self) -> tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...]:
        """Foreign keys whose columns are NOT NULL."""
        never = {name.casefold() for kind, columns, _, _ in self._constraints if kind == "NOT NULL" for name in columns}
        found = []
        for kind, columns, other, theirs in self._constraints:
            own = tuple(name.casefold() for name in columns)
            if kind == "FOREIGN KEY" and never.issuperset(own):
                found.append((own, str(other).casefold(), tuple(name.casefold() for name in theirs)))
        return tuple(found)

    @cached_property
    def domains(self) -> Mapping[str, Domain]:
        """The least and the largest value, and whether there is a NULL."""
        kinds = {name.casefold(): kind for name, kind in self._columns.items()}
        domains = {name: _domain(held, kinds[name]) for name, held in self._stats.items()}
        return {name: domain for name, domain in domains.items() if domain is not None}

    def guard(self, domains: Mapping[str, Domain]) -> str:
        """A condition that is true while the statistics are within these domains, and an error after."""
        held, taken = [], []
        for place, (name, domain) in enumerate(domains.items()):
            taken.append(f"stats({identifier(name)}) AS s{place}")
            if domain.low > -math.inf:
                held.append(f"CAST(s{place}['min'] AS DOUBLE) >= {domain.low!r}")
            if domain.high < math.inf:
                held.append(f"CAST(s{place}['max'] AS DOUBLE) <= {domain.high!r}")
            if not domain.missing:
                held.append(f"NOT CAST(s{place}['has_null'] AS BOOLEAN)")
        looked = f"SELECT {', '.join(taken)} FROM {self._table} LIMIT 1"
        moved = literal(f"{self._table} has changed since the statement was planned: run it again")
        said = f"CASE WHEN {' AND '.join(held) or 'true'} THEN 'true' ELSE {moved} END"
        return f"CAST((SELECT {said} FROM ({looked})) AS BOOLEAN) IS NOT FALSE"

    @cached_property
    def _columns(self) -> dict[str, Kind]:
        """The columns as they are written, with their kinds; none where the table can't be bound."""
        try:
            relation = self._connection.sql(f"SELECT * FROM {self._table}")
        except duckdb.Error:
            return {}
        return {name: kind_of(one) for name, one in zip(relation.columns, relation.types, strict=True)}

    @property
    def bounds(self) -> Mapping[str, Domain]:
        """The same."""
        return self.domains

    @cached_property
    def is_stored(self) -> bool:
        """Whether it is a table, or a view of nothing but files."""
        if self._found is None:
            return False
        *_, body = self._found
        return body is None or _OF_FILES.fullmatch(body.strip()) is not None

    @cached_property
    def distinct(self) -> Mapping[str, int]:
        """About how many values a column has."""
        return {name: int(held["approx_unique"]) for name, held in self._stats.items() if held.get("approx_unique")}

    @cached_property
    def _constraints(self) -> list[Any]:
        return self._rows(_CONSTRAINTS, list(self._found[:3])) if self._found is not None and self._found[2] else []

    @cached_property
    def _found(self) -> tuple[str, str, str | None, str | None] | None:
        """The database, the schema, and a table's name or a view's text; None unless one alone goes by the name."""
        name = self._table.strip('"').replace('""', '"')
        held = self._rows(_NAMED, [name, name]) if name.isidentifier() or identifier(name) == self._table else []
        # Of two tables of one name nobody here knows which one is meant.
        return held[0] if len(held) == 1 else None

    @cached_property
    def _stats(self) -> dict[str, dict[str, Any]]:
        if not self._columns:
            return {}
        wanted = ", ".join(f"stats({identifier(name)})" for name in self._columns)
        found = self._rows(f"SELECT {wanted} FROM {self._table} LIMIT 1")
        pairs = zip(self._columns, found[0], strict=True) if found else ()
        return {name.casefold(): held for name, held in pairs if isinstance(held, dict)}

    def _rows(self, query: str, parameters: list[Any] | None = None) -> list[Any]:
        try:
            return self._connection.sql(query, params=parameters).fetchall()
        except duckdb.Error:
            return []


def _domain(held: Mapping[str, Any], kind: Kind) -> Domain | None:
    low, high = held.get("min"), held.get("max")
    missing = bool(held.get("has_null", True))
    if kind not in ("small", "whole", "decimal", "float32", "float64"):
        return None if missing else Domain(missing=False)
    if low is None or high is None or any(isinstance(end, float) and math.isnan(end) for end in (low, high)):
        # NaN is the largest of all, and a missing value.
        return None if missing or kind.startswith("float") else Domain(missing=False)
    # Statistics of a file may leave NaN out; a table's own, which count its values, don't.
    missing = missing or (kind.startswith("float") and "approx_unique" not in held)
    return Domain(missing=missing, low=outward(low, -math.inf), high=outward(high, math.inf))
