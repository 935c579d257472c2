"""Equal inputs are answered once: where few combinations of a call's arguments occur, those are asked, and joined.

A query over ten million rows that asks a slow model about three columns of a hundred values each asks it a few thousand
times, not ten million.
"""

from __future__ import annotations

import math

from sqlglot import exp

from sqlml.query.remembered import steps
from sqlml.query.rewriting import Asked, Facts, State
from sqlml.query.selects import (
    Item,
    bare,
    conjuncts,
    has_star,
    is_passed_over,
    is_settled,
    name_of,
    owner,
    select_of,
    selects,
    sources,
    where_of,
)

_TABLE, _KEY, _ANSWER = "__sqlml_equal_", "__sqlml_key_", "__sqlml_answer"
"""Names that no column or alias of the query's own has."""
_MOST = 100_000
_FEWER = 20
"""Combinations, by the statistics: no more than so many, and so many times fewer than rows."""
_SLOW = 4000
"""Operations a row, from which a join is the cheaper way."""


def ask_once_for_equals(state: State, facts: Facts) -> State:
    """Join the answers to the combinations that there are."""
    for select in selects(state.tree):
        calls = [node for node in state.calls(select) if select_of(node) is select and _is_slow(state.asked[node.name])]
        items = sources(select, facts) if calls and not select.args.get("joins") else None
        if items is None or len(items) != 1 or items[0].table is None or has_star(select, items[0].alias):
            continue
        if not is_settled(select, items, state.asked, facts):
            continue
        done: dict[exp.Expr, exp.Expr] = {}
        for node in calls:
            columns = _columns(node, items[0], facts)
            asked = state.asked[node.name]
            if columns is None or (asked.may_fail and _is_spared(state, select, node)):
                continue
            if node not in done:
                done[node.copy()] = _joined(state, select, node, columns, len(done))
                names = ", ".join(column.name for column in columns)
                state = state.saying(f"{asked.function} is asked once for each combination of {names}")
            node.replace(done[node].copy())
    return state


def _is_slow(asked: Asked) -> bool:
    return not asked.once and (asked.program is None or steps(asked.program) >= _SLOW)


def _is_spared(state: State, select: exp.Select, node: exp.Anonymous) -> bool:
    """Whether there may be rows that a call is not asked about, for a branch or a filter on another prediction."""
    others = [one for one in conjuncts(where_of(select)) if state.calls(one)]
    inside = any(held is node for one in others for held in one.walk())
    return is_passed_over(node, select) or (bool(others) and not inside)


def _columns(node: exp.Anonymous, item: Item, facts: Facts) -> list[exp.Column] | None:
    """The columns that a call is given, each once; None where their combinations are too many, or not equal in all."""
    assert item.table is not None
    known = facts.table(name_of(item.table, facts.dialect))
    found: dict[str, exp.Column] = {}
    for argument in node.expressions:
        column = bare(argument)
        if column is None or owner(column, [item]) is None:
            if isinstance(argument.unnest(), exp.Literal | exp.Null | exp.Boolean):
                continue
            return None
        name = column.name.casefold()
        kind, domain = item.columns[name].kind, known.domains.get(name)
        # 0.0 and -0.0 are equal, and not the same to every model.
        signed = kind.startswith("float") and (domain is None or domain.low <= 0.0 <= domain.high)
        if kind == "other" or signed or (kind == "text" and not facts.plain_texts()):
            return None
        found[name] = column
    combinations = math.prod(known.distinct.get(name, _MOST) + 1 for name in found)
    rows = known.rows or 0
    return list(found.values()) if found and combinations <= min(_MOST, rows / _FEWER) else None


def _joined(state: State, select: exp.Select, node: exp.Anonymous, columns: list[exp.Column], number: int) -> exp.Expr:
    """Join the combinations' answers to a SELECT; gives the column that holds them."""
    alias = f"{_TABLE}{number}"
    first = select.args["from_"].this
    there = exp.select().from_(first.copy()).distinct()
    # Only what the query itself would ask about.
    kept = [one.copy() for one in conjuncts(where_of(select)) if not state.calls(one)]
    if kept:
        there = there.where(*kept, copy=False)
    keys = {}
    for place, column in enumerate(columns):
        keys[column.name.casefold()] = f"{_KEY}{place}"
        there = there.select(exp.alias_(column.copy(), f"{_KEY}{place}", quoted=True), copy=False)
    call = node.copy()
    for column in list(call.find_all(exp.Column)):
        column.replace(exp.column(exp.to_identifier(keys[column.name.casefold()], quoted=True)))
    answers = exp.select(*(exp.column(exp.to_identifier(key, quoted=True)) for key in keys.values())).from_(
        there.subquery("there")
    )
    answers = answers.select(exp.alias_(call, _ANSWER, quoted=True), copy=False)
    table = exp.to_identifier(alias, quoted=True)
    on = exp.and_(
        *(
            exp.NullSafeEQ(
                this=column.copy(),
                expression=exp.column(exp.to_identifier(keys[column.name.casefold()], quoted=True), table=table.copy()),
            )
            for column in columns
        )
    )
    select.append("joins", exp.Join(this=answers.subquery(table.copy()), side="LEFT", on=on))
    return exp.column(exp.to_identifier(_ANSWER, quoted=True), table=table.copy())
