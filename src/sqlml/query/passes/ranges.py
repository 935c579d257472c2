"""A filter on a linear model's answer says in which range its largest terms must lie.

An engine knows the least and the largest value of each group of rows, and passes over those that such a range excludes:
`WHERE price_score(t) > 0.9` adds `distance >= 410`, if no shorter one can make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from sqlglot import exp

from sqlml.programs.margin import implied
from sqlml.programs.prune import Domain
from sqlml.query.domains import ANY, fits
from sqlml.query.passes.predicates import comparison
from sqlml.query.remembered import margin
from sqlml.query.rewriting import Asked, Facts, Given, State
from sqlml.query.selects import Item, columns_given, conjuncts, name_of, selects, sources, where_of

_NARROWER = 0.8
"""A range is worth a filter where it is no wider than this share of what the column holds."""


def limit_terms(state: State, facts: Facts) -> State:
    """Add to WHERE the ranges that a comparison of a linear model's answer implies."""
    for select in selects(state.tree):
        held = list(conjuncts(where_of(select)))
        found = [one for one in (comparison(state, condition) for condition in held) if one is not None]
        items = sources(select, facts) if found else None
        if items is None or any(item.joined not in ("from", "inner") for item in items):
            continue
        for node, bound, above in found:
            state = _limited(state, select, node, bound, above, items, facts)
    return state


def _limited(
    state: State,
    select: exp.Select,
    node: exp.Anonymous,
    bound: float,
    above: bool,
    items: list[Item],
    facts: Facts,
) -> State:
    asked = state.asked[node.name]
    refs = asked.refs()
    held = margin(asked.program, refs) if asked.program is not None and refs else None
    if held is None or not held.linear or above != held.increasing:
        return state
    low = held.around(bound)[0]
    if not math.isfinite(low):
        return state
    columns = _columns(asked, node, items)
    domains, used = _domains(asked, columns, facts)
    ranges = {
        place: range_
        for place, range_ in implied(held.program, low, domains).items()
        if place in columns and _is_narrow(range_, domains.get(place, ANY))
    }
    guards = [facts.table(table).guard(known) for table, known in used.items()] if ranges else []
    if not ranges or any(guard is None for guard in guards):
        return state
    added: list[exp.Expr] = []
    words = []
    for place, (least, most) in ranges.items():
        given, column, _ = columns[place]
        if least > domains[place].low:
            added.append(exp.GTE(this=column.copy(), expression=_number(least)))
            words.append(f"{given.name} is at least {least:g}")
        if most < domains[place].high:
            added.append(exp.LTE(this=column.copy(), expression=_number(most)))
            words.append(f"{given.name} is at most {most:g}")
    kept = where_of(select)
    assert kept is not None
    conditions = [*added, kept.copy(), *(exp.Var(this=guard) for guard in guards)]
    select.set("where", exp.Where(this=exp.and_(*conditions)))
    return state.saying(
        f"{asked.function} can't come there unless {' and '.join(words)}, which the scan looks at first"
    )


def _columns(asked: Asked, node: exp.Anonymous, items: list[Item]) -> dict[int, tuple[Given, exp.Column, Item]]:
    """The arguments that are columns of numbers of tables, by the input's place."""
    found = {}
    for given, column, item in columns_given(asked, node, items):
        if item.table is None or given.type == "VARCHAR":
            continue
        if fits(ANY, item.columns[column.name.casefold()], given.type):
            found[given.place] = (given, column, item)
    return found


def _domains(
    asked: Asked, columns: Mapping[int, tuple[Given, exp.Column, Item]], facts: Facts
) -> tuple[dict[int, Domain], dict[str, dict[str, Domain]]]:
    """What is known of the inputs, and which tables' statistics say so."""
    domains = asked.inputs_known()
    used: dict[str, dict[str, Domain]] = {}
    for place, (_, column, item) in columns.items():
        assert item.table is not None
        table, name = name_of(item.table, facts.dialect), column.name.casefold()
        domain = facts.table(table).domains.get(name)
        if domain is not None:
            domains[place] = domains.get(place, ANY).within(domain)
            used.setdefault(table, {})[name] = domain
    return domains, used


def _is_narrow(range_: tuple[float, float], domain: Domain) -> bool:
    least, most = max(range_[0], domain.low), min(range_[1], domain.high)
    width = domain.high - domain.low
    return not domain.missing and math.isfinite(width) and most - least <= _NARROWER * width


def _number(value: float) -> exp.Expr:
    literal = exp.Literal.number(f"{abs(value):.17e}")
    return exp.Neg(this=literal) if value < 0 else literal
