"""What a query answers as it is rewritten, beside what it answers as it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rewriting.world import rewriting
from sqlml.errors import SqlmlError
from sqlml.planner import Plan

RELATIVE = 1e-9
"""Sums of floats may be added up in another order."""

Rows = list[tuple[Any, ...]]


def fetched(db: Any, text: str, params: Any = None) -> Rows:
    """All rows of a query."""
    found = db.sql(text, params) if params is not None else db.sql(text)
    if found is None:
        return []
    rows = found.fetchall() if hasattr(found, "fetchall") else found.collect()
    return [tuple(row) for row in rows]


def both(db: Any, text: str, wanted: str = "all", params: Any = None) -> tuple[Plan, Rows, Rows]:
    """The rewritten plan, the rows without rewrites, and those with them."""
    with rewriting(db, "none"):
        plain = fetched(db, text, params)
    with rewriting(db, wanted):
        return db.explain(text), plain, fetched(db, text, params)


def agree(db: Any, text: str, wanted: str = "all", params: Any = None, ordered: bool = False) -> Plan:
    """The plan of a query whose rewritten form answers what its own does."""
    plan, plain, rewritten = both(db, text, wanted, params)
    same(rewritten, plain, ordered)
    return plan


def same(got: Rows, wanted: Rows, ordered: bool = False) -> None:
    """The same rows, as a bag or in order: floats nearly, all else equal."""
    assert len(got) == len(wanted)
    if not ordered:
        got, wanted = sorted(got, key=_key), sorted(wanted, key=_key)
    for one, other in zip(got, wanted, strict=True):
        assert all(map(alike, one, other)), f"{one} is not {other}"


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return one == other or math.isclose(one, other, rel_tol=RELATIVE, abs_tol=1e-12)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(alike, one.values(), other.values()))
    return bool(type(one) is type(other) and one == other)


def _key(row: Sequence[Any]) -> tuple[Any, ...]:
    """What isn't a float decides, and then the floats, which may differ a little."""
    values = [one for value in row for one in (value.values() if isinstance(value, dict) else [value])]
    floats = [value for value in values if isinstance(value, float)]
    rest = [repr(value) for value in values if not isinstance(value, float)]
    kinds = [isinstance(value, float) for value in values]
    return kinds, rest, [(math.isnan(value), 0.0 if math.isnan(value) else value) for value in floats]


def error_of(db: Any, text: str, wanted: str) -> str | None:
    """What a query fails with, by the rewrites that are wanted."""
    with rewriting(db, wanted):
        try:
            fetched(db, text)
        except SqlmlError as error:
            return str(error)
        except Exception as error:
            found = db.engine_error(error)
            if found is None:
                raise
            return str(found)
    return None
