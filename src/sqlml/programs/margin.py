"""What a comparison with an answer needs: the column that the answer grows or falls with.

`p > 0.9` of a logistic regression is a comparison of its weighted sum with a number: the functions that come behind
the sum need no answer, but of the few rows that are too near to tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sqlml.programs.evaluate import evaluate_node
from sqlml.programs.implied import bare, implied, untied
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Booleans,
    Combine,
    Constant,
    Floats,
    Guard,
    Linear,
    Link,
    Node,
    Program,
    Ref,
    Trees,
)
from sqlml.programs.simplify import prune
from sqlml.programs.spans import LARGEST, SLACK, Span, exactly, guarded, span_of, unknown

__all__ = ["Margin", "implied", "margin"]

NEAR = 1e-9
"""How much an engine's margin may differ from another's: an order of adding, of numbers far larger than their sum."""


@dataclass(frozen=True)
class Step:
    """From a column to the one that is made of it alone: `sign` is -1 where that falls as the column grows.

    `tied` are columns that it adds, which are always 0 and there for their refusals.
    """

    source: Ref
    sign: int
    forward: Callable[[Span], Span]
    holds: Callable[[Span], bool] = lambda span: True
    tied: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Margin:
    """The column of which an answer is a monotone function.

    `program` has the column for its head "value"; its inputs are all there. `increasing`: the answer grows with it.
    `linear` and `trees` say what makes it.
    """

    program: Program
    increasing: bool
    linear: bool
    trees: bool
    steps: tuple[Step, ...] = field(default=(), repr=False)

    def around(self, bound: float) -> tuple[float, float]:
        """Where the margin leaves open on which side of `bound` the answer is: (low, high), both within it.

        Of every finite margin below `low` the answer is less than `bound` (more, where it is not increasing), and of
        every one above `high` it is more (less); never equal. (inf, inf): all are on the first side, (-inf, -inf): on
        the second. A margin that is missing has an answer that is.

        Example:
            >>> from sqlml.programs.program import Builder
            >>> graph = Builder([("x", False)])
            >>> total = graph.add(Linear(inputs=graph.input("x"), weights=np.array([[2.0]]), bias=np.zeros(1)))
            >>> chance = graph.add(Apply(inputs=total, function="sigmoid"))
            >>> found = margin(graph.program({"probabilities": chance}), chance)
            >>> low, high = found.around(0.5)
            >>> -1e-8 < low < 0.0 < high < 1e-8
            True
            >>> found.around(1.5)
            (inf, inf)
        """
        if math.isnan(bound):
            return -math.inf, math.inf

        def below(at: Floats) -> Booleans:
            span = self._answers(at)
            return np.asarray(span.high < bound if self.increasing else span.low > bound) & ~span.missing

        def above(at: Floats) -> Booleans:
            span = self._answers(at)
            return np.asarray(span.low > bound if self.increasing else span.high < bound) & ~span.missing

        return _last(below), -_last(lambda at: above(-at))

    def _answers(self, at: Floats) -> Span:
        """What the answers of margins can be, as far as engines may differ."""
        with np.errstate(all="ignore"):
            slack = NEAR * np.maximum(1.0, np.abs(at))
            return _through(
                self.steps,
                Span(np.maximum(at - slack, -LARGEST), np.minimum(at + slack, LARGEST), np.zeros(len(at), bool)),
            )


def margin(program: Program, refs: Sequence[Ref]) -> Margin | None:
    """Walk back from a column of a head to its margin; None where there is nothing to gain.

    Args:
        program: pruned.
        refs: the column, alone: `heads["probabilities"][-1:]` of a classifier of two classes, `heads["value"]` of a
            regressor. Of several columns there is no margin.
    """
    if len(refs) != 1:
        return None
    steps = _steps(program, refs[0])
    at = steps[0].source if steps else refs[0]
    maker = _maker(program, at)
    if not steps and maker is None:
        return None
    tied = list(dict.fromkeys(ref for step in steps for ref in step.tied))
    nodes, head = program.nodes, at
    if tied:
        groups = np.arange(len(tied) + 1, dtype=np.int32)[None, :]
        nodes, head = (*nodes, Combine(inputs=(at, *tied), op="sum", groups=groups)), (len(nodes), 0)
    found = prune(Program(nodes, {"value": (head,)}))
    rising = math.prod(step.sign for step in steps) > 0
    return Margin(found, rising, maker is Linear, maker is Trees, steps)


def _maker(program: Program, ref: Ref) -> type[Node] | None:
    """Linear or Trees, where one of them makes a column, guarded or not."""
    node = program.nodes[bare(program, ref)[0]]
    return type(node) if type(node) in (Linear, Trees) else None


def _steps(program: Program, ref: Ref) -> tuple[Step, ...]:
    """The steps that lead to a column, the first one first."""
    steps: list[Step] = []
    while _maker(program, ref) is None and (step := _back(program, ref)) is not None:
        steps.insert(0, step)
        ref = step.source
    # 1/x falls only where all x are of one sign, and a guard is no step where it may refuse a row.
    start, span = 0, unknown(1)
    for i, step in enumerate(steps):
        if step.holds(span):
            span = step.forward(span)
        else:
            start, span = i + 1, unknown(1)
    return tuple(steps[start:])


def _through(steps: Sequence[Step], span: Span) -> Span:
    for step in steps:
        span = step.forward(span)
    return span


def _back(program: Program, ref: Ref) -> Step | None:
    """The step that makes a column of another one, if it is one."""
    back = _BACK.get(type(program.nodes[ref[0]]))
    return None if back is None else back(program, ref)


RISING = frozenset(
    (
        "cbrt",
        "exp",
        "expm1",
        "float32",
        "floor",
        "log",
        "log10",
        "log1p",
        "log2",
        "normal_cdf",
        "relu",
        "rint",
        "sigmoid",
        "sqrt",
        "tanh",
        "trunc",
    )
)


def _apply(program: Program, ref: Ref) -> Step | None:
    node, column = program.nodes[ref[0]], ref[1]
    assert isinstance(node, Apply)
    alone = replace(node, inputs=(node.inputs[column],))
    if node.function in RISING:
        return Step(node.inputs[column], 1, lambda span: span_of(alone, span))
    if node.function == "negative":
        return Step(node.inputs[column], -1, lambda span: span_of(alone, span))
    if node.function == "reciprocal":
        return Step(node.inputs[column], -1, lambda span: span_of(alone, span), _of_one_sign)
    return None


def _of_one_sign(span: Span) -> bool:
    return bool((span.low > 0.0).all() or (span.high < 0.0).all())


def _arithmetic(program: Program, ref: Ref) -> Step | None:
    node, column = program.nodes[ref[0]], ref[1]
    assert isinstance(node, Arithmetic)
    operand = float(node.operand[column])
    alone = replace(node, inputs=(node.inputs[column],), operand=node.operand[[column]])
    if node.op in ("multiply", "divide"):
        fine, sign = math.isfinite(operand) and operand != 0.0, -1 if operand < 0.0 else 1
    else:
        fine, sign = node.op in ("add", "subtract", "maximum", "minimum") and math.isfinite(operand), 1
    return Step(node.inputs[column], sign, lambda span: span_of(alone, span)) if fine else None


def _combine(program: Program, ref: Ref) -> Step | None:
    node, column = program.nodes[ref[0]], ref[1]
    assert isinstance(node, Combine)
    if (tied := untied(program, ref)) is not None:
        return Step(tied[0], 1, lambda span: span, tied=tied[1])
    if node.groups.shape[1] > 1 or node.op == "argmax":
        return None
    return Step(node.inputs[int(node.groups[column, 0])], 1, lambda span: span)


def _guard(program: Program, ref: Ref) -> Step | None:
    node, column = program.nodes[ref[0]], ref[1]
    assert isinstance(node, Guard)
    return Step(node.inputs[column], 1, lambda span: span, lambda span: not guarded(node, span)[1].any())


def _link(program: Program, ref: Ref) -> Step | None:
    """Of two columns, where one falls as the other grows, or stays."""
    node, column = program.nodes[ref[0]], ref[1]
    assert isinstance(node, Link)
    if len(node.inputs) != 2:
        return None
    found = _common(program, node.inputs[column], node.inputs[1 - column])
    if found is None:
        return None
    source, this, other, value = found

    def sides(span: Span) -> tuple[Span, Span]:
        return _through(this, span), _through(other, span if value is None else value)

    def forward(span: Span) -> Span:
        mine, theirs = sides(span)
        low = _linked(node, mine.low, theirs.high)
        high = _linked(node, mine.high, theirs.low)
        lost = np.isnan(low) | np.isnan(high)
        low = np.where(lost, -np.inf, np.maximum(low - SLACK * low, 0.0))
        high = np.where(lost, np.inf, np.minimum(high + SLACK * high, 1.0))
        return Span(low, high, np.asarray(lost | mine.missing | theirs.missing))

    def holds(span: Span) -> bool:
        if not _hold(this, span) or not _hold(other, span if value is None else value):
            return False
        mine, theirs = sides(span)
        return node.function == "softmax" or bool((mine.low >= 0.0).all() and (theirs.low >= 0.0).all())

    return Step(source, math.prod(step.sign for step in this), forward, holds)


def _linked(node: Link, mine: Floats, theirs: Floats) -> Floats:
    return evaluate_node(node, np.stack(np.broadcast_arrays(mine, theirs), axis=1))[:, 0]


def _hold(steps: Sequence[Step], span: Span) -> bool:
    for step in steps:
        if not step.holds(span):
            return False
        span = step.forward(span)
    return True


Steps = tuple[Step, ...]


def _common(program: Program, mine: Ref, theirs: Ref) -> tuple[Ref, Steps, Steps, Span | None] | None:
    """The column that both are made of, one falling as the other grows, with the steps to each.

    Of a constant one: what it holds, and the first column itself.
    """
    to_mine, to_theirs = _chain(program, mine), _chain(program, theirs)
    last = list(to_theirs)[-1]
    constant = program.nodes[last[0]]
    if isinstance(constant, Constant):
        return mine, (), to_theirs[last], exactly(constant.values[[last[1]]])
    for ref, steps in to_mine.items():
        if ref in to_theirs:
            signs = [math.prod(step.sign for step in some) for some in (steps, to_theirs[ref])]
            return (ref, steps, to_theirs[ref], None) if signs[0] != signs[1] else None
    return None


def _chain(program: Program, ref: Ref) -> dict[Ref, Steps]:
    """The columns that a column is made of, each of one alone, with the steps from each of them to it."""
    found: dict[Ref, Steps] = {ref: ()}
    while (step := _back(program, ref)) is not None:
        found[step.source] = (step, *found[ref])
        ref = step.source
    return found


_BACK: Mapping[type[Node], Callable[[Program, Ref], Step | None]] = {
    Apply: _apply,
    Arithmetic: _arithmetic,
    Combine: _combine,
    Guard: _guard,
    Link: _link,
}

_PLACES = int(np.array(LARGEST).view(np.int64))
_GRID = 512


def _last(holds: Callable[[Floats], Booleans]) -> float:
    """The largest finite number at which it holds, of all that lie below the first at which it doesn't.

    -inf where it holds nowhere, inf where it holds everywhere. Numbers are counted: between two there is no third.
    """
    low, high = -_PLACES, _PLACES
    if not holds(_numbered([low]))[0]:
        return -math.inf
    if holds(_numbered([high]))[0]:
        return math.inf
    while high - low > 1:
        grid = range(low, high, max(1, (high - low) // _GRID))[1:]
        found = holds(_numbered(grid))
        if found.all():
            low = grid[-1]
            high = min(high, low + grid.step)
        else:
            first = int(found.argmin())
            low, high = grid[first - 1] if first else low, grid[first]
    return float(_numbered([low])[0])


def _numbered(places: Sequence[int]) -> Floats:
    """The numbers at these places in their order; 0.0 is at 0."""
    counted: npt.NDArray[np.int64] = np.array(places, np.int64)
    return np.copysign(np.abs(counted).view(np.float64), np.where(counted < 0, -1.0, 1.0))
