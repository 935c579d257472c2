"""The first rows by a prediction: a sample's k-th best bounds the rest, whose trees stop where they can't reach it.

`SELECT ... FROM t WHERE c ORDER BY f(t) DESC LIMIT k` keeps of t what may be at least as good as the k-th best of some
rows of t. What is kept is answered in full and put in order as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from sqlml.programs.screen import BOUND, screened
from sqlml.query.remembered import margin
from sqlml.query.rewriting import Facts, Given, State
from sqlml.query.selects import Item, is_settled, name_of, selects, sources, where_of

_MOST = 10_000
_SAMPLE = 50_000
"""Rows, or twenty for each that is wanted, that the bound is taken from; below ten times as many it isn't worth it."""
_SLACK = 1e-9
_NOT_ONE_ROW_EACH = ("group", "having", "qualify", "distinct", "windows", "laterals", "kind", "sample")


def bound_by_limit(state: State, facts: Facts) -> State:
    """Give up rows that can't be among the first."""
    for select in selects(state.tree) if facts.samples() else ():
        wanted = _wanted(select)
        found = _first_key(state, select, facts) if wanted else None
        if wanted is None or found is None:
            continue
        items = sources(select, facts)
        sample = max(_SAMPLE, 20 * wanted)
        if (
            items is None
            or not is_settled(select, items, state.asked, facts)
            or (_most_rows(items, facts) or 0) < 10 * sample
        ):
            continue
        state = _bounded(state, select, *found, wanted, sample)
    return state


def _wanted(select: exp.Select) -> int | None:
    """How many rows are wanted, with those that OFFSET passes over."""
    limit, offset = select.args.get("limit"), select.args.get("offset")
    counts = [held.expression for held in (limit, offset) if isinstance(held, exp.Limit | exp.Offset)]
    if limit is None or not isinstance(limit, exp.Limit) or len(counts) != (2 if offset else 1):
        return None
    if not all(isinstance(one, exp.Literal) and not one.is_string and one.this.isdigit() for one in counts):
        return None
    if limit.args.get("expressions") or limit.args.get("limit_options"):
        return None
    wanted = sum(int(one.this) for one in counts)
    return wanted if 0 < wanted <= _MOST else None


def _first_key(state: State, select: exp.Select, facts: Facts) -> tuple[exp.Expr, bool] | None:
    """The call by which rows are put in order first, and whether the largest come first."""
    order = select.args.get("order")
    if order is None or any(select.args.get(key) for key in _NOT_ONE_ROW_EACH):
        return None
    held = [*select.expressions, *order.expressions]
    if any(one.find(exp.AggFunc, exp.Window, exp.Unnest, exp.Explode) for one in held):
        return None
    first = order.expressions[0]
    if not isinstance(first, exp.Ordered) or first.args.get("with_fill"):
        return None
    down = bool(first.args.get("desc"))
    if first.args.get("nulls_first") or not facts.nulls_last(descending=down):
        return None
    node = _meant(first.this, select)
    return (node, down) if state.call(node) is not None else None


def _meant(node: exp.Expr, select: exp.Select) -> exp.Expr:
    """What a key of ORDER BY is: an item's name or number stands for the item."""
    if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
        place = int(node.this) - 1
        return select.expressions[place].unalias() if place < len(select.expressions) else node
    if isinstance(node, exp.Column) and not node.table:
        for item in select.expressions:
            if isinstance(item, exp.Alias) and item.alias.casefold() == node.name.casefold():
                return item.unalias()
    return node.unnest()


def _most_rows(items: Sequence[Item], facts: Facts) -> int | None:
    counts = [facts.table(name_of(item.table, facts.dialect)).rows for item in items if item.table is not None]
    return max((count for count in counts if count is not None), default=None)


def _bounded(state: State, select: exp.Select, node: exp.Expr, down: bool, wanted: int, sample: int) -> State:
    asked = state.asked[node.name]
    refs = asked.refs()
    held = margin(asked.program, refs) if asked.program is not None and refs and not asked.once else None
    largest = held is not None and down == held.increasing
    program = screened(held.program, None, below=largest) if held is not None and held.trees else None
    if held is None or program is None:
        return state
    number = replace(asked, program=held.program, outputs=("predict",), number=True)
    state, margins = state.adding(number)
    place = len(held.program.inputs)
    bound = Given(BOUND, "DOUBLE", False, place)
    state, stopping = state.adding(replace(number, program=program, arguments=(*asked.arguments, bound)))
    limit = _kth(select, exp.Anonymous(this=margins.name, expressions=_copies(node)), largest, wanted, sample)
    called = exp.Anonymous(this=stopping.name, expressions=[*_copies(node), limit])
    # A row without an answer is not given up: it may be needed to make up the number.
    answered = exp.Coalesce(this=called, expressions=[exp.cast(exp.Literal.number(0), "double")])
    given_up = exp.cast(exp.Literal.string("-Infinity" if largest else "Infinity"), "double")
    condition = exp.NEQ(this=answered, expression=given_up)
    where = where_of(select)
    select.set("where", exp.Where(this=exp.and_(where.copy(), condition) if where is not None else condition))
    return state.saying(
        f"{asked.function} stops at the tree after which a row can no longer be among the first {wanted:,}, "
        f"by the best {wanted:,} of {sample:,} rows"
    )


def _copies(node: exp.Expr) -> list[exp.Expr]:
    return [one.copy() for one in node.expressions]


def _kth(select: exp.Select, call: exp.Expr, largest: bool, wanted: int, sample: int) -> exp.Expr:
    """The k-th best margin of some rows, less what rounding may do; NULL where there are not so many."""
    rows = exp.select(exp.alias_(call, "m")).from_(select.args["from_"].this.copy())
    rows.set("joins", [join.copy() for join in select.args.get("joins") or ()])
    where = where_of(select)
    if where is not None:
        rows.set("where", exp.Where(this=where.copy()))
    m = exp.column("m")
    best = (
        exp.select(m)
        .from_(rows.limit(sample).subquery("s"))
        .where(exp.Not(this=exp.Anonymous(this="isnan", expressions=[m.copy()])))
        .order_by(exp.Ordered(this=m.copy(), desc=largest))
        .limit(wanted)
    )
    worst = exp.Min(this=m.copy()) if largest else exp.Max(this=m.copy())
    size = exp.Greatest(this=exp.Abs(this=worst.copy()), expressions=[exp.Literal.number(1)])
    slack = exp.Mul(this=exp.cast(exp.Literal.string(repr(_SLACK)), "double"), expression=size)
    shifted = exp.Sub(this=worst, expression=slack) if largest else exp.Add(this=worst, expression=slack)
    enough = exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(wanted))
    return exp.select(exp.Case(ifs=[exp.If(this=enough, true=shifted)])).from_(best.subquery("b")).subquery()
