"""A filter over a subquery is looked at within it, where it prunes the subquery's models.

`FROM (SELECT *, f_score(t) AS s FROM t) WHERE s > 0.9 AND carrier = 'AA'` becomes
`FROM (SELECT *, f_score(t) AS s FROM t WHERE f_score(t) > 0.9 AND t.carrier = 'AA')`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sqlml.query.rewriting import Facts, State
from sqlml.query.selects import (
    Item,
    conjuncts,
    cte_of,
    is_plain,
    is_repeatable,
    owner,
    select_of,
    selects,
    sources,
    where_of,
)

_COMPUTED = (exp.Add, exp.Sub, exp.Mul)
_SIMPLE = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between),
    *_COMPUTED,
)
"""What a condition may be made of, and a column that it names."""


def filter_within(state: State, facts: Facts) -> State:
    """Put the conditions over subqueries and CTEs that call models into them, the outermost first."""
    for select in reversed(selects(state.tree)):
        inner = _source(select)
        calls = [node for node in state.calls(inner) if select_of(node) is inner] if inner is not None else []
        if inner is None or not calls or not is_plain(inner, state.asked):
            continue
        items = sources(inner, facts)
        if items is None:
            continue
        alias = select.args["from_"].this.alias_or_name
        found = [(one, _within(one, alias, inner, items, state)) for one in conjuncts(where_of(select))]
        if any(within is None for _, within in found):
            # A prediction is asked for after what must be looked at outside.
            found = [(one, None if within is None or state.calls(within) else within) for one, within in found]
        moved = [within for _, within in found if within is not None]
        kept = [one.copy() for one, within in found if within is None]
        if moved:
            inner.where(*moved, copy=False)
            select.set("where", exp.Where(this=exp.and_(*kept)) if kept else None)
            names = sorted({state.asked[node.name].function for node in calls})
            state = state.saying(f"the filter over {', '.join(names)} is looked at within the subquery")
    return state


def _source(select: exp.Select) -> exp.Select | None:
    """The SELECT that a filtered one reads alone, as a subquery or as a CTE that nothing else names."""
    first = select.args.get("from_")
    # A sample is taken of what the filter leaves, or of all that is there.
    if first is None or select.args.get("joins") or select.args.get("sample") or where_of(select) is None:
        return None
    node = first.this
    if any(node.args.get(key) for key in ("pivots", "sample", "joins", "laterals")):
        return None
    held = node
    if isinstance(node, exp.Table) and len(node.parts) == 1 and isinstance(node.this, exp.Identifier):
        held = cte_of(node, select)
    if not isinstance(held, exp.Subquery | exp.CTE) or not isinstance(held.this, exp.Select):
        return None
    names = [one.args.get("alias") for one in (node, held)]
    return None if any(isinstance(one, exp.TableAlias) and one.columns for one in names) else held.this


def _within(condition: exp.Expr, alias: str, inner: exp.Select, items: Sequence[Item], state: State) -> exp.Expr | None:
    """A condition over a subquery's columns as one over what they are; None where that is no call and not simple."""
    if not all(isinstance(node, _SIMPLE) for node in condition.walk()):
        return None
    given = {item.alias_or_name.casefold(): item.unalias() for item in inner.expressions if item.alias_or_name != "*"}
    stars = [item for item in inner.expressions if isinstance(item, exp.Star)]
    if len(stars) + len(given) != len(inner.expressions) or any(any(star.args.values()) for star in stars):
        return None
    names = [*given, *(name for item in items for name in item.columns)]
    if stars and len(set(names)) < len(names):
        # Of two columns of one name the first is meant, or none.
        return None
    found = exp.paren(condition.copy())
    columns = list(found.find_all(exp.Column))
    for column in columns:
        if column.args.get("db") or (column.table and column.table.casefold() != alias.casefold()):
            return None
        held = given.get(column.name.casefold(), exp.column(column.this.copy()) if stars else None)
        if held is None:
            return None
        if state.call(held) is not None:
            if not is_repeatable(held, state.asked):
                return None
        else:
            qualified = _qualified(held, items)
            if qualified is None:
                return None
            held = qualified
        column.replace(held.copy())
    return found if columns else None


def _qualified(expression: exp.Expr, items: Sequence[Item]) -> exp.Expr | None:
    """A simple expression, each column with its source; None where it isn't simple, or one's source is not certain.

    A literal alone is none: as a column it has a type, and in a condition that of what it meets.
    """
    if not all(isinstance(node, _SIMPLE) for node in expression.walk()):
        return None
    found = exp.paren(expression.copy())
    columns = list(found.find_all(exp.Column))
    for column in columns:
        item = owner(column, items)
        if item is None:
            return None
        column.set("table", exp.to_identifier(item.alias, quoted=True))
    if not columns:
        return None
    return found.unnest() if isinstance(found.unnest(), exp.Column) else found
