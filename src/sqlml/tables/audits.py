"""What a declaration says that its rows must be: asked of what was written, before anybody can read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlml.engines.engine import Engine
from sqlml.query.tables import Audit
from sqlml.query.text import identifier, scalar_literal


@dataclass(frozen=True)
class Audited:
    """One rule, what was found, and whether that is as it should be."""

    rule: str
    passed: bool
    found: str

    def as_json(self) -> dict[str, Any]:
        """As the catalog keeps it."""
        return asdict(self)


def audit(engine: Engine, table: str, rules: Sequence[Audit]) -> list[Audited]:
    """Hold every rule against a table's rows, which are read once, and once more for each `unique`.

    Args:
        engine: that can read them.
        table: what stands for them in a FROM clause.
        rules: of the declaration, whose columns are there.
    """
    if not rules:
        return []
    counts = ["count(*) AS c", *(f"{_counted(rule, engine.dialect)} AS c{i}" for i, rule in enumerate(rules))]
    found = _row(engine, f"SELECT {', '.join(counts)} FROM {table}")
    rows = int(found["c"])
    audited = []
    for i, rule in enumerate(rules):
        bad = repeated(engine, table, rule.columns) if rule.rule == "unique" else int(found[f"c{i}"] or 0)
        audited.append(_verdict(rule, rows, bad))
    return audited


def _row(engine: Engine, query: str) -> Mapping[str, Any]:
    batches = list(engine.batches(query, 10))
    rows = [row for batch in batches for row in batch.to_pylist()]
    return dict(rows[0])


def _counted(rule: Audit, dialect: str) -> str:
    """How many rows break a rule, as an aggregate; of rules about all rows, nothing."""
    names = [identifier(name, dialect) for name in rule.columns]
    values = [scalar_literal(value, dialect) for value in rule.values]
    match rule.rule:
        case "not_null" | "max_null_fraction":
            broken = f"{names[0]} IS NULL"
        case "between":
            # NaN is no number, and lies nowhere.
            broken = f"{names[0]} IS NOT NULL AND NOT ({names[0]} >= {values[0]} AND {names[0]} <= {values[1]})"
        case "accepted_values":
            broken = f"{names[0]} IS NOT NULL AND {names[0]} NOT IN ({', '.join(values)})"
        case _:
            return "0"
    return f"sum(CASE WHEN {broken} THEN 1 ELSE 0 END)"


def repeated(engine: Engine, table: str, columns: Sequence[str]) -> int:
    """How many rows are there beyond the first of each combination of some columns' values."""
    names = ", ".join(identifier(name, engine.dialect) for name in columns)
    groups = f"SELECT count(*) AS n FROM {table} GROUP BY {names}"
    found = _row(engine, f"SELECT sum(n - 1) AS c FROM ({groups}) AS g WHERE n > 1")
    return int(found["c"] or 0)


def _verdict(rule: Audit, rows: int, bad: int) -> Audited:
    match rule.rule:
        case "min_rows":
            return Audited(str(rule), rows >= int(rule.values[0]), f"{rows:,} rows")
        case "max_null_fraction":
            fraction = bad / rows if rows else 0.0
            return Audited(str(rule), fraction <= float(rule.values[0]), f"{fraction:.4g} of {rows:,} rows are NULL")
        case "not_null":
            return Audited(str(rule), bad == 0, f"{bad:,} of {rows:,} rows are NULL")
        case "unique":
            return Audited(str(rule), bad == 0, f"{bad:,} of {rows:,} rows are there already")
        case _:
            return Audited(str(rule), bad == 0, f"{bad:,} of {rows:,} rows are not")
