"""What conditions that are true of a row say of its columns' values, under SQL's logic of three values.

A comparison is true of no NULL. NaN is greater than every number and equal to itself, in DuckDB as in Spark, so that
`x > 3` lets it through and `x < 3` doesn't.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlglot import exp

from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Column, Facts
from sqlml.query.selects import Item, bare, owner

Key = tuple[str, str]
"""A column: its source's alias and its own name, casefolded."""

_SLACK = {"float32": 1e-6, "decimal": 1e-12}
"""How far a number that equals another one, as the engine compares them, may be from it."""
_FLIPPED: Mapping[type[exp.Expr], type[exp.Expr]] = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}
_NUMBERS = ("small", "whole", "float32", "float64", "decimal", "boolean")
_MOST_VALUES = 1000
ANY = Domain()


def known(conditions: Iterable[exp.Expr], items: Sequence[Item], facts: Facts) -> dict[Key, Domain]:
    """What the values of columns can be in rows of which all the conditions are true."""
    found: dict[Key, Domain] = {}
    alike: list[set[Key]] = []
    for condition in conditions:
        said = _said(condition, items, facts)
        if said is not None:
            key, domain = said
            found[key] = found.get(key, ANY).within(domain)
        elif (pair := _equal(condition, items, facts)) is not None:
            found[pair[0]] = found.get(pair[0], ANY).within(Domain(missing=False))
            found[pair[1]] = found.get(pair[1], ANY).within(Domain(missing=False))
            alike.append(set(pair))
    for group in _joined(alike):
        whole = ANY
        for key in group:
            whole = whole.within(found.get(key, ANY))
        found |= dict.fromkeys(group, whole)
    return found


def of_literal(node: exp.Expr) -> Domain | None:
    """What is known of an argument that is a literal; None where it is none."""
    value = _value(node)
    if value is _NONE:
        return None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Domain(values=())
    if isinstance(value, str):
        return Domain(missing=False, values=(value,))
    return Domain(missing=False, values=(float(value),), low=float(value), high=float(value))


def fits(domain: Domain, column: Column, type_: str) -> bool:
    """Whether what is known of a column holds for an argument of a type that it is given to."""
    if type_ == "VARCHAR":
        return column.kind == "text"
    if type_ == "FLOAT" and column.kind != "float32":
        # Another number is rounded, perhaps to one beyond the domain's end.
        return False
    return column.kind in _NUMBERS and not (domain.values and isinstance(domain.values[0], str))


def _joined(pairs: list[set[Key]]) -> list[set[Key]]:
    groups: list[set[Key]] = []
    for pair in pairs:
        touching = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair]
        groups.append(pair.union(*touching))
    return groups


def _equal(condition: exp.Expr, items: Sequence[Item], facts: Facts) -> tuple[Key, Key] | None:
    """Two columns of one kind that a condition makes equal."""
    if type(condition) is not exp.EQ:
        return None
    one, two = (_column(side, items) for side in (condition.this, condition.expression))
    if one is None or two is None:
        return None
    (key, column), (other, column_too) = one, two
    if column.kind != column_too.kind or column.kind in ("other", "float32"):
        return None
    return (key, other) if column.kind != "text" or facts.plain_texts() else None


def _column(node: exp.Expr, items: Sequence[Item]) -> tuple[Key, Column] | None:
    column = bare(node)
    item = owner(column, items) if column is not None else None
    if column is None or item is None:
        return None
    name = column.name.casefold()
    return (item.alias.casefold(), name), item.columns[name]


def _said(node: exp.Expr, items: Sequence[Item], facts: Facts) -> tuple[Key, Domain] | None:
    """What one condition says of one column."""
    node = node.unnest()
    if isinstance(node, exp.Or):
        return _either(node, items, facts)
    place: exp.Expr = node.this if isinstance(node, exp.Not | exp.Is | exp.In | exp.Between) else node
    if isinstance(node, exp.Not) and isinstance(node.this.unnest(), exp.Is):
        place = node.this.unnest().this
    if isinstance(node, exp.EQ | exp.NullSafeEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        place = node.this if bare(node.this) is not None else node.expression
    found = _column(place, items)
    if found is None:
        return None
    key, column = found
    domain = _condition(node, column)
    if domain is None or (column.kind == "text" and domain.values is not None and not facts.plain_texts()):
        return None
    return key, domain


def _either(node: exp.Or, items: Sequence[Item], facts: Facts) -> tuple[Key, Domain] | None:
    """`a = 1 OR a = 2`, where both sides say something of one column."""
    sides = [_said(side, items, facts) for side in (node.this, node.expression)]
    if sides[0] is None or sides[1] is None or sides[0][0] != sides[1][0]:
        return None
    one, two = sides[0][1], sides[1][1]
    either = None if one.values is None or two.values is None else dict.fromkeys([*one.values, *two.values])
    values: Any = None if either is None else tuple(either)
    low, high = min(one.low, two.low), max(one.high, two.high)
    return sides[0][0], Domain(one.missing or two.missing, values, low, high)


def _condition(node: exp.Expr, column: Column) -> Domain | None:
    is_column = isinstance(node, exp.Column)
    if is_column or (isinstance(node, exp.Not) and isinstance(node.this.unnest(), exp.Column)):
        return _exactly([is_column], column) if column.kind == "boolean" else None
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        # NaN is not NULL, but a missing value all the same.
        return Domain(values=())
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean):
        return _exactly([node.expression.this], column) if column.kind == "boolean" else None
    if isinstance(node, exp.Not):
        inner = node.this.unnest()
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return Domain(missing=column.kind in ("float32", "float64"))
        return None
    if isinstance(node, exp.In):
        if node.args.get("query") or node.args.get("unnest") or node.args.get("field"):
            return None
        values = [_value(one) for one in node.expressions]
        return None if _NONE in values else _exactly([value for value in values if value is not None], column)
    if isinstance(node, exp.Between):
        low, high = _value(node.args["low"]), _value(node.args["high"])
        return None if node.args.get("symmetric") else _range(low, high, column)
    return _comparison(node, column)


def _comparison(node: exp.Expr, column: Column) -> Domain | None:
    kind, value = type(node), _value(node.expression)
    if bare(node.this) is None:
        kind, value = _FLIPPED.get(kind, kind), _value(node.this)
    if value is _NONE:
        return None
    if kind is exp.NullSafeEQ and value is None:
        return Domain(values=())
    if kind in (exp.EQ, exp.NullSafeEQ):
        return _exactly([value], column)
    if kind in (exp.GT, exp.GTE):
        return _range(value, math.inf, column)
    return _range(-math.inf, value, column) if kind in (exp.LT, exp.LTE) else None


def _exactly(values: Sequence[Any], column: Column) -> Domain | None:
    """The column is one of these values; a comparison with NULL is never true, and says nothing here."""
    if not values or len(values) > _MOST_VALUES or any(value is None for value in values):
        return None
    if column.kind == "text":
        return Domain(missing=False, values=tuple(values)) if all(isinstance(v, str) for v in values) else None
    if column.kind not in _NUMBERS or not all(isinstance(value, bool | int | float) for value in values):
        return None
    held = sorted({float(value) for value in values})
    if any(math.isnan(value) for value in held):
        return None
    slack = _SLACK.get(column.kind, 0.0)
    if slack:
        return Domain(missing=False, low=_less(held[0], slack), high=_more(held[-1], slack))
    return Domain(missing=False, values=tuple(held), low=held[0], high=held[-1])


def _range(low: Any, high: Any, column: Column) -> Domain | None:
    fit = all(isinstance(end, int | float) and not isinstance(end, bool) and not math.isnan(end) for end in (low, high))
    if column.kind not in _NUMBERS or column.kind == "boolean" or not fit:
        return None
    slack = _SLACK.get(column.kind, 0.0)
    # NaN is above every number, infinity too.
    missing = high == math.inf and column.kind in ("float32", "float64")
    return Domain(missing=missing, low=_less(float(low), slack), high=_more(float(high), slack))


def _less(value: float, slack: float) -> float:
    return value - slack * abs(value)


def _more(value: float, slack: float) -> float:
    return value + slack * abs(value)


_NONE: Any = object()


def _value(node: exp.Expr) -> Any:
    """A literal's value, None for NULL; `_NONE` where it is no literal."""
    node = node.unnest()
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Neg):
        inner = _value(node.this)
        return -inner if isinstance(inner, int | float) and not isinstance(inner, bool) else _NONE
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else _number(node.this)
    return _NONE


def _number(text: str) -> Any:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return _NONE
    # Beyond 2^53 a float is not the number that the engine compares with.
    return float(value) if abs(value) <= 2**53 else _NONE
