"""Cheap conditions run before a model: an engine puts those that hold functions or LIKE behind it.

`WHERE sqrt(x) > 3 AND f(t) > 0.8` becomes `WHERE CASE WHEN sqrt(x) > 3 THEN f(t) > 0.8 ELSE FALSE END`.
"""

from __future__ import annotations

from sqlglot import exp

from sqlml.query.rewriting import Facts, State
from sqlml.query.selects import conjuncts, selects, where_of

_SIMPLE = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between, exp.Cast, exp.DataType),
    # A look at the statistics, which another pass has put there.
    exp.Var,
)
"""What the engine itself runs first, and pushes into the scan."""


def filter_first(state: State, facts: Facts) -> State:
    """Guard conditions that call a model by the cheap ones that the engine would run after it."""
    for select in selects(state.tree):
        where = where_of(select)
        held = list(conjuncts(where))
        calling = [one for one in held if state.calls(one)]
        cheap = [one for one in held if not state.calls(one) and not _is_simple(one)]
        if where is None or not calling or not cheap or any(one.find(exp.Query) for one in (*calling, *cheap)):
            continue
        # Below a join the engine runs them where they stand, which it can't in a branch.
        joined = bool(select.args.get("joins"))
        rest = [one for one in held if one not in calling and (joined or one not in cheap)]
        guarded = exp.Case(ifs=[exp.If(this=_all(cheap), true=_all(calling))], default=exp.false())
        select.set("where", exp.Where(this=_all([*rest, guarded])))
        shown = ", ".join(one.sql(facts.dialect) for one in cheap)
        state = state.saying(f"{shown} is looked at before a model is asked")
    return state


def _is_simple(node: exp.Expr) -> bool:
    return all(isinstance(one, _SIMPLE) for one in node.walk())


def _all(conditions: list[exp.Expr]) -> exp.Expr:
    """All of them, in their order."""
    return exp.and_(*(one.copy() for one in conditions))
