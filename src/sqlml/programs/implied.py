"""What a weighted sum that reaches a bound says of the inputs that it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sqlml.programs.cut import NOBODY, owned
from sqlml.programs.domains import Domain
from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import (
    Arithmetic,
    Booleans,
    Combine,
    Encode,
    FillText,
    Floats,
    Guard,
    Input,
    Linear,
    OneHot,
    Program,
    Ref,
    Replace,
)
from sqlml.programs.prune import Indices, Known, forward
from sqlml.programs.simplify import compact, prune

NEAR = 1e-9
"""Ranges are so much wider, for what rounding may have done to the sum."""

MOST_SAMPLED = 1_000_000
"""Of a text whose columns are more than those of one code, so many values are worked out to know the largest."""

Ranges = dict[int, tuple[float, float]]


@dataclass(frozen=True)
class _Share:
    """What an input adds to the sum: at most `most`; or, of a plain number x, slope * x + rest, in a domain."""

    most: float
    slope: float = 0.0
    rest: float = 0.0


def implied(program: Program, low: float, domains: Mapping[int, Domain]) -> Ranges:
    """The range that an input must lie in for the sum to reach at least `low`, for inputs that are plain numbers.

    Args:
        program: pruned; its head "value" is one column of a `Linear`, guarded or not. Of others nothing is said.
        low: what the sum must reach.
        domains: what inputs can hold, by place. What can be missing, or is without bounds, says nothing of others.

    Inputs of which it says no more than their domain are left out. A range may be empty: no row reaches `low`. Where
    the input is missing the sum is missing, or the row is refused, and no range tells of it.

    Example:
        >>> from sqlml.programs.program import Builder
        >>> graph = Builder([("x", False), ("y", False)])
        >>> columns = (*graph.input("x"), *graph.input("y"))
        >>> total = graph.add(Linear(inputs=columns, weights=np.array([[1.0], [-2.0]]), bias=np.zeros(1)))
        >>> (x, high), = implied(graph.program({"value": total}), 5.0, {1: Domain(False, None, 1.0, 9.0)}).values()
        >>> round(x, 6), high
        (7.0, inf)
    """
    ref = bare(program, program.heads["value"][0])
    node = program.nodes[ref[0]]
    if not isinstance(node, Linear) or len(program.heads["value"]) > 1:
        return {}
    # A number that may be missing is bounded by its domain all the same: ask first, and drop it from the others then.
    known = forward(program, domains)
    owner, refusing = owned(program, known, np.arange(len(program.inputs)))
    given, weights = known.given[ref[0]], node.weights[:, ref[1]]
    bias = float(node.bias[ref[1]])
    fixed = owner[given] == NOBODY
    bias += float(known.low[given[fixed]] @ weights[fixed])
    shares: dict[int, _Share] = {}
    for place in np.unique(owner[given[~fixed]]).tolist():
        columns = np.flatnonzero((owner[given] == place) & (weights != 0.0))
        if place < 0:
            shares[place] = _Share(_bounded(known, given[columns], weights[columns], refusing))
        elif len(columns):
            shares[place] = _share(program, node, ref, columns, place, domains.get(place, Domain()), known, refusing)
    return _ranges(shares, bias, low, domains)


def bare(program: Program, ref: Ref) -> Ref:
    """The column beneath guards, and beneath sums with what adds nothing but its refusals."""
    while True:
        node = program.nodes[ref[0]]
        if isinstance(node, Guard):
            ref = node.inputs[ref[1]]
        elif (tied := untied(program, ref)) is not None:
            ref = tied[0]
        else:
            return ref


def untied(program: Program, ref: Ref) -> tuple[Ref, tuple[Ref, ...]] | None:
    """Of a sum of one column with others that are always 0, that column and the others."""
    node = program.nodes[ref[0]]
    if not isinstance(node, Combine) or node.op != "sum":
        return None
    refs = [node.inputs[i] for i in node.groups[ref[1]].tolist()]
    nothing = tuple(given for given in refs if _is_nothing(program, given))
    kept = [given for given in refs if given not in nothing]
    return (kept[0], nothing) if len(kept) == 1 else None


def _is_nothing(program: Program, ref: Ref) -> bool:
    node = program.nodes[ref[0]]
    if isinstance(node, Arithmetic):
        return node.op == "greater" and node.operand[ref[1]] == math.inf
    return isinstance(node, Encode) and node.missing is None and node.unknown is None and not node.codes.any()


def _ranges(shares: Mapping[int, _Share], bias: float, low: float, domains: Mapping[int, Domain]) -> Ranges:
    found: Ranges = {}
    for place, share in shares.items():
        others = [other.most for at, other in shares.items() if at != place]
        if share.slope == 0.0 or not all(map(math.isfinite, others)):
            continue
        sizes = [abs(low), abs(bias), abs(share.rest), *map(abs, others)]
        end = (low - bias - share.rest - math.fsum(others)) / share.slope
        slack = NEAR * (max(1.0, abs(end)) + math.fsum(sizes) / abs(share.slope))
        domain = domains.get(place, Domain())
        least, most = (end - slack, domain.high) if share.slope > 0.0 else (domain.low, end + slack)
        if least > domain.low or most < domain.high:
            found[place] = (max(least, domain.low), min(most, domain.high))
    return found


def _share(
    program: Program,
    node: Linear,
    ref: Ref,
    columns: Indices,
    place: int,
    domain: Domain,
    known: Known,
    refusing: Booleans,
) -> _Share:
    given, weights = known.given[ref[0]][columns], node.weights[columns, ref[1]]
    lines = [_line(program, node.inputs[i], place) for i in columns.tolist()]
    if all(line is not None for line in lines):
        slopes, rests = zip(*(line for line in lines if line is not None), strict=True)
        slope, rest = float(weights @ np.array(slopes)), float(weights @ np.array(rests))
        ends = [slope * end + rest for end in (domain.low, domain.high)]
        bounded = not domain.missing and slope != 0.0 and all(map(math.isfinite, ends))
        # Where it may be missing, or may be refused, others can't be told anything.
        return _Share(max(ends) if bounded and not refusing[given].any() else math.inf, slope, rest)
    if refusing[given].any():
        return _Share(math.inf)
    most = _hot(program, [bare(program, node.inputs[i]) for i in columns.tolist()], weights, known)
    if most is not None:
        return _Share(most)
    samples = _samples(program, place, domain)
    if samples is None or len(samples) * len(columns) > MOST_SAMPLED:
        return _Share(_bounded(known, given, weights, refusing))
    inputs = tuple(node.inputs[i] for i in columns.tolist())
    alone = Linear(inputs=inputs, weights=weights[:, None], bias=np.zeros(1))
    part = compact(prune(Program((*program.nodes[: ref[0]], alone), {"value": ((ref[0], 0),)})))
    answered = evaluate(part, [samples])
    values = answered.heads["value"]
    if answered.refused.any() or not np.isfinite(values).all():
        return _Share(math.inf)
    return _Share(float(values.max()))


def _hot(program: Program, refs: Sequence[Ref], weights: Floats, known: Known) -> float | None:
    """The most that columns add of which one at a time is 1: those of one code."""
    nodes = {program.nodes[source] for source, _ in refs}
    if not all(isinstance(node, OneHot) for node in nodes) or len({node.inputs for node in nodes}) > 1:
        return None
    added: dict[float, float] = {}
    for (source, column), weight in zip(refs, weights.tolist(), strict=True):
        node = program.nodes[source]
        assert isinstance(node, OneHot)
        code = float(node.codes[column])
        added[code] = added.get(code, 0.0) + weight
    source = int(known.given[refs[0][0]][0])
    codes = known.sets.get(source)
    if codes is None or known.missing[source] or not len(codes):
        # There may be a code without a column.
        return max(0.0, *(added.get(code, 0.0) for code in (added if codes is None else codes.tolist())))
    return max(added.get(code, 0.0) for code in codes.tolist())


def _bounded(known: Known, given: Indices, weights: Floats, refusing: Booleans) -> float:
    """The most that columns can add, each for itself."""
    if known.missing[given].any() or refusing[given].any():
        return math.inf
    most = np.maximum(weights * known.low[given], weights * known.high[given])
    return float(most.sum()) if np.isfinite(most).all() else math.inf


def _line(program: Program, ref: Ref, place: int) -> tuple[float, float] | None:
    """A column as slope * x + rest of an input, where it is no more than scaled."""
    node = program.nodes[ref[0]]
    if isinstance(node, Input):
        return 1.0, 0.0
    if isinstance(node, Guard):
        return _line(program, node.inputs[ref[1]], place)
    if not isinstance(node, Arithmetic) or node.op not in ("add", "subtract", "multiply", "divide"):
        return None
    operand = float(node.operand[ref[1]])
    below = _line(program, node.inputs[ref[1]], place)
    if below is None or not math.isfinite(operand) or (node.op == "divide" and operand == 0.0):
        return None
    slope, rest = below
    if node.op == "add":
        return slope, rest + operand
    if node.op == "subtract":
        return slope, rest - operand
    if node.op == "multiply":
        return slope * operand, rest * operand
    return slope / operand, rest / operand


def _samples(program: Program, place: int, domain: Domain) -> pa.Array | Floats | None:
    """Every value that the input's encoders tell apart; None of a number that may be anything."""
    node = program.nodes[place]
    assert isinstance(node, Input)
    if domain.values is not None:
        values = [*domain.values, None] if domain.missing else list(domain.values)
        if node.text:
            return pa.array(values, pa.string())
        return np.array([np.nan if value is None else value for value in values], np.float64)
    if not node.text:
        return None
    keys: dict[str, None] = {}
    for taker in program.nodes:
        if isinstance(taker, Encode) and isinstance(taker.keys, tuple) and _comes_from(program, taker.inputs[0], place):
            keys.update(dict.fromkeys(taker.keys))
    other = "other"
    while other in keys:
        other += "!"
    return pa.array([*keys, other, *([None] if domain.missing else [])], pa.string())


def _comes_from(program: Program, ref: Ref, place: int) -> bool:
    while isinstance(program.nodes[ref[0]], FillText | Replace):
        ref = program.nodes[ref[0]].inputs[ref[1]]
    return ref[0] == place
