"""A prediction that a query names in several clauses is computed once a row.

An engine that finds `f(t)` in WHERE and in the SELECT list runs it twice. It is a column of a subquery here, by a
function that the engine is told not to move, so that the filter over it stays above it.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from sqlml.query.rewriting import Facts, State
from sqlml.query.selects import bare, conjuncts, has_row, is_passed_over, select_of, selects, sources, where_of

_COLUMN = "__sqlml_once_"


def evaluate_once(state: State, facts: Facts) -> State:
    """Make a column of each call that stands in WHERE and once more."""
    for select in selects(state.tree) if facts.runs_once() else ():
        calls = [node for node in state.calls(select) if select_of(node) is select]
        again = _again(state, select, calls)
        if not again or any(column.args.get("db") for column in select.find_all(exp.Column)):
            continue
        items = sources(select, facts)
        if items is None or len(items) != 1 or items[0].table is None or _has_odd_star(select, items[0].alias):
            continue
        names = {state.asked[node.name].function for node in again.values()}
        state = _with_columns(state, select, items[0].alias, again)
        state = state.saying(f"{', '.join(sorted(names))} is computed once a row, for the filter and what it keeps")
    return state


def _again(state: State, select: exp.Select, calls: list[exp.Anonymous]) -> dict[str, exp.Anonymous]:
    """The calls of WHERE that stand there again, or in another clause; by their text.

    One that a branch of WHERE keeps from rows which it may fail for stays there.
    """
    where = where_of(select)
    seen: dict[str, list[exp.Anonymous]] = {}
    for node in calls:
        seen.setdefault(node.sql(), []).append(node)
    inside = {id(node) for node in where.find_all(exp.Anonymous)} if where is not None else set()
    found = {}
    for text, nodes in seen.items():
        filtering = [node for node in nodes if id(node) in inside]
        spared = all(is_passed_over(node, select) for node in filtering) and _may_fail(state, nodes[0])
        if len(nodes) > 1 and filtering and not spared:
            found[text] = nodes[0]
    return found


def _may_fail(state: State, node: exp.Anonymous) -> bool:
    """Whether a call or its arguments may be an error for some row."""
    plain = (exp.Literal, exp.Null, exp.Boolean, exp.Neg)
    given = [one for one in node.expressions if bare(one) is None and not isinstance(one.unnest(), plain)]
    return bool(given) or state.asked[node.name].may_fail


def _has_odd_star(select: exp.Select, alias: str) -> bool:
    """Whether a star does more than name columns, so that a column can't just be left out of it."""
    for star in select.find_all(exp.Star):
        if isinstance(star.parent, exp.Count) or star.find_ancestor(exp.Select) is not select:
            continue
        item = star.parent if isinstance(star.parent, exp.Column) else star
        if item.parent is not select or any(star.args.get(key) for key in ("replace", "rename", "except_")):
            return True
    return has_row(select, alias)


def _with_columns(state: State, select: exp.Select, alias: str, again: dict[str, exp.Anonymous]) -> State:
    where = where_of(select)
    held = list(conjuncts(where))
    below = [one.copy() for one in held if not state.calls(one)]
    above = [one for one in held if state.calls(one)]
    first = select.args["from_"]
    query = exp.select("*").from_(first.this.copy())
    if below:
        query = query.where(*below, copy=False)
    names: dict[str, str] = {}
    for text, node in again.items():
        state, made = state.adding(replace(state.asked[node.name], once=True))
        names[text] = f"{_COLUMN}{len(names)}"
        call = exp.Anonymous(this=made.name, expressions=[one.copy() for one in node.expressions])
        query = query.select(exp.alias_(call, names[text], quoted=True), copy=False)
    select.set("where", exp.Where(this=exp.and_(*(one.copy() for one in above))))
    for node in [node for node in state.calls(select) if select_of(node) is select]:
        if (name := names.get(node.sql())) is not None:
            node.replace(exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(alias, quoted=True)))
    _leave_out(select, list(names.values()))
    first.this.replace(query.subquery(exp.to_identifier(alias, quoted=True)))
    return state


def _leave_out(select: exp.Select, names: list[str]) -> None:
    """Keep the new columns out of what a star stands for."""
    for item in select.expressions:
        node = item.unalias()
        star = node if isinstance(node, exp.Star) else node.this if isinstance(node, exp.Column) else None
        if isinstance(star, exp.Star):
            star.set("except_", [exp.to_identifier(name, quoted=True) for name in names])
