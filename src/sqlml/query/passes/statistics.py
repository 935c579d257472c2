"""The data prunes the model: what a table's statistics say of its columns, where that makes the program smaller.

A statement may run later than it was planned, when the table holds more: the query then looks at the statistics again,
and fails rather than answering from a model that is too small.
"""

from __future__ import annotations

from sqlglot import exp

from sqlml.programs.prune import Domain
from sqlml.query.domains import ANY, fits
from sqlml.query.passes.constraints import narrowed
from sqlml.query.remembered import specialized, steps
from sqlml.query.rewriting import Asked, Facts, State
from sqlml.query.selects import (
    Item,
    columns_given,
    conjuncts,
    groups_in_several_ways,
    name_of,
    select_of,
    sources,
    where_of,
)

_WORTH = 0.8
"""A program is pruned where no more than this share of its work is left, or a column is read no more."""


def prune_by_statistics(state: State, facts: Facts) -> State:
    """Give each call the program that the least and the largest values of its columns leave."""
    for node in state.calls():
        asked, select = state.asked[node.name], select_of(node)
        if (
            asked.program is None
            or asked.number
            or select is None
            or groups_in_several_ways(select)
            or node.find_ancestor(exp.Join, exp.Select) is not select
        ):
            continue
        items = sources(select, facts)
        if items is None or any(item.joined not in ("from", "inner") for item in items):
            continue
        domains, used = _domains(node, asked, items, facts)
        if not domains or not _is_worth(asked, domains):
            continue
        guards = [facts.table(table).guard(columns) for table, columns in used.items()]
        if any(guard is None for guard in guards):
            continue
        state = narrowed(state, node, domains, "the table's statistics")
        where = where_of(select)
        kept = [where] if where is not None else []
        there = {one.this for one in conjuncts(where) if isinstance(one, exp.Var)}
        added = [exp.Var(this=guard) for guard in guards if guard not in there]
        # No copy: calls in it are looked at after this one.
        select.set("where", exp.Where(this=exp.and_(*kept, *added, copy=False)))
    return state


def _domains(
    node: exp.Anonymous, asked: Asked, items: list[Item], facts: Facts
) -> tuple[dict[int, Domain], dict[str, dict[str, Domain]]]:
    """What is known of the arguments, and of which table's columns."""
    found: dict[int, Domain] = {}
    used: dict[str, dict[str, Domain]] = {}
    for given, column, item in columns_given(asked, node, items):
        if item.table is None:
            continue
        table, name = name_of(item.table, facts.dialect), column.name.casefold()
        domain = facts.table(table).domains.get(name, ANY)
        narrower = asked.known.get(given.place, ANY).within(domain)
        if (
            domain != ANY
            and narrower != asked.known.get(given.place, ANY)
            and fits(domain, item.columns[name], given.type)
        ):
            found[given.place] = domain
            used.setdefault(table, {})[name] = domain
    return found, used


def _is_worth(asked: Asked, domains: dict[int, Domain]) -> bool:
    assert asked.program is not None
    program = specialized(asked.program, domains)
    if len(program.used) < len(asked.program.used):
        return True
    return steps(program) <= _WORTH * steps(asked.program)
