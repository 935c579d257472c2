"""The query prunes the model: what filters, branches and constants say of its arguments makes it smaller.

`SELECT f(carrier, distance) FROM t WHERE carrier = 'AA'` needs what f is for 'AA' alone: the other categories' weights,
the branches that 'AA' never takes, and then perhaps a column, are gone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from sqlml.programs.prune import Domain, shown
from sqlml.query.domains import ANY, Key, fits, known, of_literal
from sqlml.query.remembered import specialized
from sqlml.query.rewriting import Asked, Facts, Given, State
from sqlml.query.selects import (
    Item,
    bare,
    conjuncts,
    groups_in_several_ways,
    kept_by,
    owner,
    select_of,
    sources,
)


def prune_by_query(state: State, facts: Facts) -> State:
    """Give each call the program that what is known of its arguments leaves."""
    for node in state.calls():
        asked = state.asked[node.name]
        if asked.program is None:
            continue
        domains = _domains(node, asked, facts)
        if domains:
            state = narrowed(state, node, domains, "the filter")
    return state


def narrowed(state: State, node: exp.Anonymous, domains: Mapping[int, Domain], why: str) -> State:
    """Put the smaller program into a call's place, where it is smaller."""
    asked = state.asked[node.name]
    assert asked.program is not None
    known_too = {**asked.known, **{place: asked.known.get(place, ANY).within(d) for place, d in domains.items()}}
    # In a row that is answered, what must be there is.
    present = {given.place: Domain(missing=False) for given in asked.arguments if given.required}
    within = {place: domains.get(place, ANY).within(present.get(place, ANY)) for place in {*domains, *present}}
    program = specialized(asked.program, within)
    if program.digest == asked.program.digest:
        return state
    used = set(program.used)
    kept = [
        given
        for given in asked.arguments
        if given.place in used or (given.required and known_too.get(given.place, ANY).missing)
    ]
    # A function has an argument.
    kept = kept or list(asked.arguments[:1])
    arguments = [node.expressions[asked.arguments.index(given)] for given in kept]
    state, made = state.adding(replace(asked, program=program, arguments=tuple(kept), known=known_too))
    node.replace(exp.Anonymous(this=made.name, expressions=arguments))
    gone = [given.name for given in asked.arguments if given not in kept]
    names = {given.place: given.name for given in asked.arguments}
    said = ", ".join(shown(domain, names[place]) for place, domain in domains.items() if place in names)
    parts = [f"{asked.function} is pruned by {why}: {said}"]
    parts += [f"it no longer reads {', '.join(gone)}"] if gone else []
    return state.saying("; ".join(parts))


def _domains(node: exp.Anonymous, asked: Asked, facts: Facts) -> dict[int, Domain]:
    """What is known of each argument of a call, by the input's place."""
    found: dict[int, Domain] = {}
    open_: list[tuple[Given, exp.Column]] = []
    for given, argument in zip(asked.arguments, node.expressions, strict=True):
        literal = of_literal(argument)
        if literal is not None and _is_of(literal, given.type):
            found[given.place] = literal
        elif (column := bare(argument)) is not None:
            open_.append((given, column))
    select = select_of(node)
    if not open_ or select is None or groups_in_several_ways(select) or (items := _items(node, select, facts)) is None:
        return found
    domains = known([*kept_by(select, items), *_branch(node, select)], items, facts)
    for given, column in open_:
        item = owner(column, items)
        if item is None:
            continue
        key: Key = (item.alias.casefold(), column.name.casefold())
        if key in domains and fits(domains[key], item.columns[key[1]], given.type):
            found[given.place] = domains[key]
    return {place: domain for place, domain in found.items() if domain != ANY}


def _is_of(literal: Domain, type_: str) -> bool:
    """Whether a literal is a value of a type as it stands; NULL is of every type.

    Any other is cast where the call is evaluated, which may change it, or fail.
    """
    if not literal.values:
        return True
    value = literal.values[0]
    if isinstance(value, str) or type_ == "VARCHAR":
        return isinstance(value, str) and type_ == "VARCHAR"
    if type_ == "BOOLEAN":
        return value in (0.0, 1.0)
    if type_ in ("INTEGER", "BIGINT"):
        return value.is_integer() and (type_ == "BIGINT" or -(2**31) <= value < 2**31)
    return type_ != "FLOAT" or struct.unpack("f", struct.pack("f", value))[0] == value


def _items(node: exp.Expr, select: exp.Select, facts: Facts) -> Sequence[Item] | None:
    """The sources that a call sees; None where a filter need not hold for the rows that it sees."""
    join = node.find_ancestor(exp.Join, exp.Select)
    items = sources(select, facts)
    if items is None or (isinstance(join, exp.Join) and any(item.joined not in ("from", "inner") for item in items)):
        return None
    return items


def _branch(node: exp.Expr, select: exp.Select) -> list[exp.Expr]:
    """What is true where a call stands behind THEN."""
    found: list[exp.Expr] = []
    at: exp.Expr = node
    while at.parent is not None and at is not select:
        parent = at.parent
        # In `CASE x WHEN y` it is not y that is true, but x = y.
        of_value = isinstance(parent.parent, exp.Case) and parent.parent.this is not None
        if isinstance(parent, exp.AggFunc | exp.Window):
            # What is made of many rows is made of others, too.
            break
        if isinstance(parent, exp.If) and at.arg_key == "true" and not of_value:
            found += conjuncts(parent.this)
        at = parent
    return found
