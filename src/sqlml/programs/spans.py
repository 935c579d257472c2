"""What the columns of a node can hold, worked out from what the columns can hold that it takes.

The engines compute functions such as `exp` to the last bit or nearly so: ends of intervals that went through one are
moved outwards by far more than that. A 0.0 may be a -0.0, which SQL takes for the same, and is no ground for saying
anything of 1/x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sqlml.programs.domains import Domain
from sqlml.programs.evaluate import evaluate_node
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Booleans,
    Combine,
    Constant,
    Distances,
    Encode,
    Floats,
    Guard,
    Linear,
    Link,
    Median,
    Node,
    OneHot,
    Piecewise,
    Replace,
    Trees,
)
from sqlml.programs.simplify import narrowed

MOST_VALUES = 4_096
"""Sets of more values are known by their ends alone."""

SLACK = 1e-12
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Span:
    """Columns: what is present lies in [low, high] (low > high: nothing is); `missing`: NaN may occur.

    `sets` holds the present values of columns that have few, ascending.
    """

    low: Floats
    high: Floats
    missing: Booleans
    sets: Mapping[int, Floats] = field(default_factory=dict)

    @property
    def points(self) -> Booleans:
        """The columns that hold one finite number, and nothing else."""
        return np.asarray((self.low == self.high) & ~self.missing & np.isfinite(self.low))


def unknown(width: int, *, missing: bool = True) -> Span:
    """Columns of which nothing is known."""
    return Span(np.full(width, -np.inf), np.full(width, np.inf), np.full(width, missing))


def exactly(values: Floats) -> Span:
    """Columns of one value each."""
    absent = np.isnan(values)
    return Span(np.where(absent, np.inf, values), np.where(absent, -np.inf, values), absent)


def of_values(values: Floats) -> Span:
    """A column that holds one of these; NaN among them is a missing one."""
    present = np.unique(values[~np.isnan(values)])
    missing = np.array([bool(np.isnan(values).any())])
    if not len(present):
        return Span(np.array([np.inf]), np.array([-np.inf]), missing, {0: present})
    sets = {0: present} if len(present) <= MOST_VALUES else {}
    return Span(present[:1], present[-1:], missing, sets)


def of_domain(domain: Domain) -> Span:
    """A column of numbers that an input holds."""
    if domain.values is not None or domain.low == domain.high:
        held = (domain.low,) if domain.values is None else domain.values
        numbers = np.array(held, np.float64)
        numbers = numbers[(numbers >= domain.low) & (numbers <= domain.high)]
        return of_values(np.append(numbers, np.nan) if domain.missing else numbers)
    return Span(np.array([domain.low]), np.array([domain.high]), np.array([domain.missing]))


def span_of(node: Node, given: Span) -> Span:
    """What a node's columns can hold; of an `Encode` of text, and of a `Guard`, others know."""
    if given.points.all() and len(given.low) and type(node) in _ANY_ORDER:
        return exactly(evaluate_node(node, given.low[None, :])[0])
    return _SPANS.get(type(node), _nothing_known)(node, given)


def encoded(node: Encode, given: Domain | Span) -> tuple[Span, Encode, bool]:
    """What it gives, the node with the keys alone that can occur, and whether it may refuse a row."""
    if isinstance(given, Domain):
        keep, missing, others = _texts(node, given)
    else:
        keep, missing, others = _numbers(node, given)
    refuses = (missing and node.missing is None) or (others and node.unknown is None)
    extra = [code for code, occurs in ((node.missing, missing), (node.unknown, others)) if occurs and code is not None]
    codes = np.concatenate([node.codes[keep], extra]) if extra else node.codes[keep]
    if not len(codes):
        # Every row is refused.
        return unknown(1), node, True
    if not keep.all():
        texts = isinstance(node.keys, tuple)
        keys = tuple(node.keys[i] for i in np.flatnonzero(keep).tolist()) if texts else np.asarray(node.keys)[keep]
        node = replace(node, keys=keys, codes=node.codes[keep])
    return of_values(codes), node, refuses


def _texts(node: Encode, given: Domain) -> tuple[Booleans, bool, bool]:
    """Which keys can occur, whether a missing value can, and whether one that is no key."""
    if given.values is None:
        return np.ones(len(node.keys), bool), given.missing, True
    wanted = set(given.values)
    keep = np.fromiter(map(wanted.__contains__, node.keys), bool, len(node.keys))
    known = {node.keys[i] for i in np.flatnonzero(keep).tolist()}
    return keep, given.missing, len(known) < len(wanted)


def _numbers(node: Encode, given: Span) -> tuple[Booleans, bool, bool]:
    keys = np.asarray(node.keys, np.float64)
    if 0 in given.sets:
        return np.isin(keys, given.sets[0]), bool(given.missing[0]), not np.isin(given.sets[0], keys).all()
    keep = (keys >= given.low[0]) & (keys <= given.high[0])
    return keep, bool(given.missing[0]), bool(given.low[0] <= given.high[0])


def hull(low: Floats, high: Floats, extra: Floats) -> tuple[Floats, Floats]:
    """The intervals, made wide enough for other values."""
    return np.fmin(low, extra), np.fmax(high, extra)


def _constant(node: Node, given: Span) -> Span:
    assert isinstance(node, Constant)
    return exactly(node.values)


def _one_hot(node: Node, given: Span) -> Span:
    assert isinstance(node, OneHot)
    low, high, missing = given.low[0], given.high[0], given.missing[0]
    may = (node.codes >= low) & (node.codes <= high)
    if 0 in given.sets:
        may &= np.isin(node.codes, given.sets[0])
    must = may & bool(low == high and not missing)
    return Span(must.astype(np.float64), may.astype(np.float64), np.zeros(node.width, bool))


def _each(node: Node, given: Span) -> Span:
    """A function of one number for each column, through the ends of its interval, NaN and the sets."""
    with np.errstate(all="ignore"):
        low, high, missing = _ENDS[type(node)](node, given)
    absent = given.low > given.high
    low, high, missing = np.where(absent, np.inf, low), np.where(absent, -np.inf, high), missing & ~absent
    lost = np.isnan(low) | np.isnan(high)
    low, high, missing = np.where(lost, -np.inf, low), np.where(lost, np.inf, high), missing | lost
    if given.missing.any():
        of_missing = evaluate_node(node, np.full((1, len(given.low)), np.nan))[0]
        wider = hull(low, high, of_missing)
        low, high = np.where(given.missing, wider[0], low), np.where(given.missing, wider[1], high)
        missing = missing | (given.missing & np.isnan(of_missing))
    sets: dict[int, Floats] = {}
    for column, values in given.sets.items():
        if _reads_sign_of_zero(node, column) and (values == 0.0).any():
            continue
        samples = np.append(values, np.nan) if given.missing[column] else values
        found = of_values(evaluate_node(narrowed(node, [column])[0], samples[:, None])[:, 0])
        low[column], high[column], missing[column] = found.low[0], found.high[0], found.missing[0]
        if found.sets:
            sets[column] = found.sets[0]
    return Span(low, high, missing, sets)


def _reads_sign_of_zero(node: Node, column: int) -> bool:
    if isinstance(node, Arithmetic):
        return node.op == "divide" and node.operand[column] == 0.0
    return isinstance(node, Apply) and node.function == "reciprocal"


Ends = tuple[Floats, Floats, Booleans]
"""Lowest, highest, and whether a present value may become NaN; NaN for an end that is not known."""


def _ordered(node: Node, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    ends = evaluate_node(node, np.stack([low, high]))
    # min and max let a NaN through.
    return ends.min(axis=0), ends.max(axis=0)


def _arithmetic(node: Node, given: Span) -> Ends:
    assert isinstance(node, Arithmetic)
    low, high = _ordered(node, given.low, given.high)
    if node.op == "equal":
        may = (given.low <= node.operand) & (node.operand <= given.high)
        low, high = (may & (given.low == given.high)).astype(np.float64), may.astype(np.float64)
    if node.op == "divide":
        low = np.where(node.operand == 0.0, np.nan, low)
    return low, high, np.zeros(len(low), bool)


EXACT = frozenset(("float32", "floor", "is_missing", "negative", "relu", "rint", "sign", "sqrt", "trunc"))
MONOTONE = EXACT | frozenset(
    ("cbrt", "exp", "expm1", "log", "log10", "log1p", "log2", "normal_cdf", "reciprocal", "sigmoid", "tanh")
)
RANGES: Mapping[str, tuple[float, float]] = {
    "exp": (0.0, math.inf),
    "expm1": (-1.0, math.inf),
    "normal_cdf": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
}
"""What no answer of a function is beyond, however it is computed."""

LEAST: Mapping[str, float] = {"log": 0.0, "log10": 0.0, "log2": 0.0, "log1p": -1.0, "sqrt": 0.0}
"""Where a function begins; below it is NaN."""


def _apply(node: Node, given: Span) -> Ends:
    assert isinstance(node, Apply)
    nowhere = np.zeros(len(given.low), bool)
    least = LEAST.get(node.function, -math.inf)
    missing = given.low < least
    if node.function in MONOTONE:
        low, high = _ordered(node, np.maximum(given.low, least), np.maximum(given.high, least))
        if node.function not in EXACT:
            moves = given.low != given.high
            least, most = RANGES.get(node.function, (-math.inf, math.inf))
            # What is infinite here may be a finite number elsewhere, just below.
            lower, upper = np.minimum(low, LARGEST), np.maximum(high, -LARGEST)
            low = np.where(moves, np.maximum(lower - SLACK * np.abs(lower), least), low)
            high = np.where(moves, np.minimum(upper + SLACK * np.abs(upper), most), high)
    else:
        low, high = np.full(len(nowhere), np.nan), np.full(len(nowhere), np.nan)
    zero = (given.low <= 0.0) & (given.high >= 0.0)
    if node.function == "reciprocal":
        low = np.where(zero, np.nan, low)
    if node.function in ("abs", "square"):
        low, high = _ordered(node, given.low, given.high)
        low = np.where(zero, 0.0, low)
    if node.function == "not":
        low, high = (zero & (given.low == given.high)).astype(np.float64), zero.astype(np.float64)
    if node.function in ("sin", "cos"):
        missing = np.isinf(given.low) | np.isinf(given.high)
        low, high = np.full(len(nowhere), -1.0), np.full(len(nowhere), 1.0)
    return low, high, missing


def _replace(node: Node, given: Span) -> Ends:
    assert isinstance(node, Replace)
    nowhere = np.zeros(len(given.low), bool)
    if math.isnan(node.old):
        return given.low.copy(), given.high.copy(), nowhere
    may = (given.low <= node.old) & (node.old <= given.high)
    low, high = hull(given.low, given.high, node.new)
    return np.where(may, low, given.low), np.where(may, high, given.high), may & np.isnan(node.new)


_ENDS: Mapping[type[Node], Callable[[Node, Span], Ends]] = {Apply: _apply, Arithmetic: _arithmetic, Replace: _replace}


def _combine(node: Node, given: Span) -> Span:
    assert isinstance(node, Combine)
    if given.points.all() and node.op not in ("divide", "power"):
        return exactly(evaluate_node(node, given.low[None, :])[0])
    if node.op == "argmax":
        last = np.full(node.width, float(node.groups.shape[1] - 1))
        return Span(np.zeros(node.width), last, np.zeros(node.width, bool))
    absent = (given.low > given.high)[node.groups].any(axis=1)
    if node.op in ("product", "power", "divide") or absent.any():
        return unknown(node.width)
    ends = evaluate_node(node, np.stack([given.low, given.high]))
    lost = np.isnan(ends).any(axis=0)
    missing: Booleans = np.asarray(given.missing[node.groups].any(axis=1) | lost)
    if node.op in ("sum", "mean"):
        missing |= np.isinf(ends).any(axis=0)
    return Span(np.where(lost, -np.inf, ends[0]), np.where(lost, np.inf, ends[1]), missing)


def _trees(node: Node, given: Span) -> Span:
    assert isinstance(node, Trees)
    if not len(node.feature):
        return exactly(evaluate_node(node, np.zeros((1, len(node.inputs))))[0])
    return unknown(node.width)


def _nothing_known(node: Node, given: Span) -> Span:
    return unknown(node.width)


def _piecewise(node: Node, given: Span) -> Span:
    if 0 not in given.sets:
        return unknown(node.width)
    samples = np.append(given.sets[0], np.nan) if given.missing[0] else given.sets[0]
    columns = [of_values(column) for column in evaluate_node(node, samples[:, None]).T]
    return Span(
        np.concatenate([column.low for column in columns]),
        np.concatenate([column.high for column in columns]),
        np.concatenate([column.missing for column in columns]),
        {i: held for i, column in enumerate(columns) for held in column.sets.values()},
    )


# Those that may be evaluated once for all rows, where all that they take is known; a -0.0 among it changes nothing.
_ANY_ORDER = (Distances, Linear, Link, Median)

_SPANS: Mapping[type[Node], Callable[[Node, Span], Span]] = {
    Apply: _each,
    Arithmetic: _each,
    Combine: _combine,
    Constant: _constant,
    OneHot: _one_hot,
    Piecewise: _piecewise,
    Replace: _each,
    Trees: _trees,
}


def guarded(node: Guard, given: Span) -> tuple[Span, Booleans]:
    """What passes it, and the columns that may break its rule; of one that always does, no more than came."""
    largest = _LARGEST[node.rule]
    lets_missing = node.rule.endswith("missing")
    present = given.low <= given.high
    passes = present & (given.high >= -largest) & (given.low <= largest)
    always = ~passes & ~(given.missing & lets_missing)
    refuses = (present & ((given.low < -largest) | (given.high > largest))) | (given.missing & (not lets_missing))
    low = np.where(passes, np.maximum(given.low, -largest), np.where(always, given.low, np.inf))
    high = np.where(passes, np.minimum(given.high, largest), np.where(always, given.high, -np.inf))
    sets = {
        column: values if always[column] else values[np.abs(values) <= largest] for column, values in given.sets.items()
    }
    return Span(low, high, given.missing & (lets_missing | always), sets), refuses


# The largest number that still rounds to a finite float32 is the one below half a unit of its last place above it.
_FLOAT32 = float(np.nextafter(float(np.finfo(np.float32).max) + 2.0**103, 0.0))
_LARGEST: Mapping[str, float] = {
    "finite": LARGEST,
    "finite_or_missing": LARGEST,
    "float32": _FLOAT32,
    "float32_or_missing": _FLOAT32,
}
