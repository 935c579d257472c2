"""A prediction that a query names in several places is computed once a row.

An engine that finds `f(t)` in WHERE and in the SELECT list runs it twice. It is a column of a subquery here, by a
function that the engine is told not to move, so that the filter over it stays above it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from sqlml.query.rewriting import Clause, Facts, State
from sqlml.query.selects import (
    Item,
    bare,
    columns_of,
    conjuncts,
    has_row,
    has_star,
    is_passed_over,
    is_repeatable,
    owner,
    select_of,
    selects,
    sources,
    where_of,
)

_ONCE, _COLUMN, _ROWS = "__sqlml_once_", "__sqlml_column_", "__sqlml_rows"
"""Names that no column or alias of the query's own has."""


def evaluate_once(state: State, facts: Facts) -> State:
    """Make a column of each call that the engine would run in two places."""
    repeats = facts.repeats()
    for select in selects(state.tree) if repeats else ():
        state = _once(state, select, repeats, facts)
    return state


def _once(state: State, select: exp.Select, repeats: Collection[Clause], facts: Facts) -> State:
    # A sample is taken before the filter, which would move.
    if select.args.get("sample") or not _again(state, select, repeats):
        return state
    if any(column.args.get("db") for column in select.find_all(exp.Column)):
        return state
    items = sources(select, facts)
    again = {} if items is None else _again(state, select, repeats, items)
    if items is None or not again:
        return state
    alone = items[0].alias if len(items) == 1 else None
    names = {} if alone is not None else _output_names(select, items, facts)
    if names is None or (alone is not None and _has_odd_star(select, alone)):
        return state
    functions = {state.asked[node.name].function for node in again.values()}
    made: dict[str, exp.Expr] = {}
    for text, node in again.items():
        state, one = state.adding(replace(state.asked[node.name], once=True))
        call = exp.Anonymous(this=one.name, expressions=[given.copy() for given in node.expressions])
        made[text] = exp.alias_(call, f"{_ONCE}{len(made)}", quoted=True)
    if alone is not None:
        _beside_a_star(state, select, alone, made)
    else:
        _beside_columns(state, select, items, made, names)
    return state.saying(f"{', '.join(sorted(functions))} is computed once a row, for all places that name it")


def _again(
    state: State, select: exp.Select, repeats: Collection[Clause], items: Sequence[Item] | None = None
) -> dict[str, exp.Anonymous]:
    """The calls that the engine would run in several places, by their text; with `items`, on columns of those.

    One that branches keep from rows which it may fail for stays there.
    """
    nodes: dict[str, list[exp.Anonymous]] = {}
    for node in _own_calls(state, select):
        nodes.setdefault(node.sql(), []).append(node)
    named = _clauses_by_name(select)
    found = {}
    for text, held in nodes.items():
        stands = [_clause(node, select) for node in held]
        clauses = {*stands, *named.get(text, ())}
        twice = (
            ("where" in repeats and "where" in clauses and len(stands) + len(named.get(text, ())) > 1)
            or ("having" in repeats and {"group", "having"} <= clauses)
            or ("order" in repeats and "order" in stands)
        )
        asking = [node for node, clause in zip(held, stands, strict=True) if clause == "where"] or held
        spared = all(is_passed_over(node, select) for node in asking) and _may_fail(state, held[0])
        columns = held[0].find_all(exp.Column)
        own = items is None or all(owner(column, items) is not None for column in columns)
        if twice and not spared and own and is_repeatable(held[0], state.asked):
            found[text] = held[0]
    return found


def _own_calls(state: State, select: exp.Select) -> list[exp.Anonymous]:
    """The calls in a SELECT's clauses, but for those of its sources."""
    calls = [node for node in state.calls(select) if select_of(node) is select]
    return [node for node in calls if _clause(node, select) not in ("from_", "joins")]


def _clause(node: exp.Expr, select: exp.Select) -> str:
    """The clause of a SELECT in which a node stands."""
    while node.parent is not None and node.parent is not select:
        node = node.parent
    return node.arg_key or ""


def _aliases(select: exp.Select) -> dict[str, str]:
    """What the aliases of a SELECT list, casefolded, stand for."""
    return {item.alias.casefold(): item.unalias().sql() for item in select.expressions if item.alias}


def _clauses_by_name(select: exp.Select) -> dict[str, list[str]]:
    """The clauses in which a column of the SELECT list goes by its alias or its number, by its expression's text."""
    aliases = _aliases(select)
    found: dict[str, list[str]] = {}
    for column in select.find_all(exp.Column):
        clause = _clause(column, select)
        text = aliases.get(column.name.casefold())
        if text is not None and not column.table and clause != "expressions" and select_of(column) is select:
            found.setdefault(text, []).append(clause)
    group = select.args.get("group")
    for key in group.expressions if group is not None else ():
        if key.is_int and 0 < int(key.name) <= len(select.expressions):
            found.setdefault(select.expressions[int(key.this) - 1].unalias().sql(), []).append("group")
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


def _split(select: exp.Select, made: Mapping[str, exp.Expr]) -> tuple[list[exp.Expr], list[exp.Expr]]:
    """The conditions of WHERE below and above the new columns."""
    below: list[exp.Expr] = []
    above: list[exp.Expr] = []
    for one in conjuncts(where_of(select)):
        asks = any(node.sql() in made for node in one.find_all(exp.Anonymous))
        (above if asks or _names_one(one, select, made) else below).append(one)
    return below, above


def _names_one(condition: exp.Expr, select: exp.Select, made: Mapping[str, exp.Expr]) -> bool:
    """Whether a condition names one of the calls by its alias."""
    names = {name for name, text in _aliases(select).items() if text in made}
    return any(not column.table and column.name.casefold() in names for column in condition.find_all(exp.Column))


def _inner(select: exp.Select, chosen: Sequence[exp.Expr | str], below: Sequence[exp.Expr]) -> exp.Select:
    """A SELECT of the same sources."""
    found = exp.select(*chosen).from_(select.args["from_"].this.copy())
    if select.args.get("joins"):
        found.set("joins", [join.copy() for join in select.args["joins"]])
    return found.where(*(one.copy() for one in below), copy=False) if below else found


def _replace_calls(state: State, select: exp.Select, table: str, made: Mapping[str, exp.Expr]) -> None:
    for node in _own_calls(state, select):
        if (held := made.get(node.sql())) is not None:
            node.replace(_column(held.alias, table))


def _column(name: str, table: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True))


def _beside_a_star(state: State, select: exp.Select, alias: str, made: Mapping[str, exp.Expr]) -> None:
    """Put the calls beside all columns of the one source, which keeps its alias."""
    below, above = _split(select, made)
    inner = _inner(select, ["*", *made.values()], below)
    select.set("where", exp.Where(this=exp.and_(*(one.copy() for one in above))) if above else None)
    _replace_calls(state, select, alias, made)
    for item in select.expressions:
        node = item.unalias()
        star = node if isinstance(node, exp.Star) else node.this if isinstance(node, exp.Column) else None
        if isinstance(star, exp.Star):
            star.set("except_", [exp.to_identifier(one.alias, quoted=True) for one in made.values()])
    select.args["from_"].this.replace(inner.subquery(exp.to_identifier(alias, quoted=True)))


def _output_names(select: exp.Select, items: Sequence[Item], facts: Facts) -> dict[str, str] | None:
    """How the engine names the expressions of the SELECT list that have no alias, by their text.

    None where the columns can't be had from a subquery: one of which it isn't certain whose it is, or a row.
    """
    aliases = _aliases(select)
    if any(has_star(select, item.alias) for item in items):
        return None
    inside = {id(node) for key in ("from_", "joins") for part in _parts(select, key) for node in part.walk()}
    for node in select.walk():
        if id(node) in inside or node is select:
            continue
        if isinstance(node, exp.Query):
            return None
        if isinstance(node, exp.Column):
            known = owner(node, items) is not None
            by_alias = not node.table and node.name.casefold() in aliases
            if known == by_alias:
                return None
    nameless = [item for item in select.expressions if not item.alias]
    if not nameless:
        return {}
    asked = select.copy()
    for key in ("where", "having", "qualify", "order", "limit", "offset", "distinct"):
        asked.set(key, None)
    found = columns_of(asked, select, facts)
    if found is None or len(found) != len(select.expressions):
        return None
    return {item.sql(): held.name for item, held in zip(select.expressions, found, strict=True) if not item.alias}


def _parts(select: exp.Select, key: str) -> list[exp.Expr]:
    held = select.args.get(key) or []
    return held if isinstance(held, list) else [held]


def _beside_columns(
    state: State, select: exp.Select, items: Sequence[Item], made: Mapping[str, exp.Expr], names: Mapping[str, str]
) -> None:
    """Put the calls beside the columns of the sources that the query reads, each under a name of its own."""
    below, above = _split(select, made)
    for item in list(select.expressions):
        if not item.alias:
            item.replace(exp.alias_(item.copy(), names[item.sql()], quoted=True))
    source = _inner(select, [], below)
    select.set("where", exp.Where(this=exp.and_(*(one.copy() for one in above))) if above else None)
    select.set("from_", None)
    select.set("joins", None)
    _replace_calls(state, select, _ROWS, made)
    read: dict[tuple[str, str], exp.Expr] = {}
    for column in list(select.find_all(exp.Column)):
        item = owner(column, items)
        if item is None:
            continue
        key = item.alias, column.name.casefold()
        if key not in read:
            whole = exp.column(column.this.copy(), table=exp.to_identifier(item.alias, quoted=True))
            read[key] = exp.alias_(whole, f"{_COLUMN}{len(read)}", quoted=True)
        column.replace(_column(read[key].alias, _ROWS))
    source.set("expressions", [*read.values(), *made.values()])
    select.set("from_", exp.From(this=source.subquery(exp.to_identifier(_ROWS, quoted=True))))
