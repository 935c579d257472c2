"""A filter on a prediction: a row whose trees can no longer reach the bound is given up before they are all asked."""

from __future__ import annotations

import math
from dataclasses import replace

from sqlglot import exp

from sqlml.programs.screen import screened
from sqlml.query.domains import of_literal
from sqlml.query.remembered import margin
from sqlml.query.rewriting import Facts, State
from sqlml.query.selects import conjuncts, selects, where_of

_COMPARED = (exp.GT, exp.GTE, exp.LT, exp.LTE)


def stop_early(state: State, _facts: Facts) -> State:
    """Let the functions that WHERE compares with a number know it."""
    for select in selects(state.tree):
        for condition in list(conjuncts(where_of(select))):
            found = comparison(state, condition)
            if found is not None:
                state = _bounded(state, *found)
    return state


def comparison(state: State, node: exp.Expr) -> tuple[exp.Anonymous, float, bool] | None:
    """A call that is compared with a number, and whether rows above it are wanted."""
    if not isinstance(node, _COMPARED):
        return None
    above = isinstance(node, exp.GT | exp.GTE)
    for side, other, wanted in ((node.this, node.expression, above), (node.expression, node.this, not above)):
        call, domain = side.unnest(), of_literal(other)
        if state.call(call) is None or domain is None or not domain.values or isinstance(domain.values[0], str):
            continue
        return call, float(domain.values[0]), wanted
    return None


def _bounded(state: State, node: exp.Anonymous, bound: float, above: bool) -> State:
    asked = state.asked[node.name]
    refs = asked.refs()
    held = margin(asked.program, refs) if asked.program is not None and refs and not asked.once else None
    if held is None or not held.trees:
        return state
    low, high = held.around(bound)
    # What is not wanted is given up: answers below the bound, or above it.
    below = above == held.increasing
    limit = low if below else high
    if not math.isfinite(limit):
        return state
    program = screened(asked.alone(), limit, below=below)
    if program is None:
        return state
    state, made = state.adding(replace(asked, program=program))
    node.replace(exp.Anonymous(this=made.name, expressions=node.expressions))
    side = "above" if above else "below"
    return state.saying(f"{asked.function} stops at the tree after which a row can no longer come {side} {bound:g}")
