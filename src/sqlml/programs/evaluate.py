"""The reference evaluator: a Program over NumPy columns, plainly. The kernel and the SQL are tested against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Constant,
    Distances,
    Encode,
    FillText,
    Floats,
    Guard,
    Input,
    Linear,
    Link,
    Median,
    Node,
    OneHot,
    Piecewise,
    Program,
    Replace,
    Screened,
    Trees,
)

Column: TypeAlias = npt.NDArray[np.float64] | pa.Array
"""Numbers with NaN for a missing one, or an Arrow array of text."""


@dataclass(frozen=True)
class Evaluation:
    """The heads' columns by name, each [rows, width], and the rows that the program refuses to answer."""

    heads: Mapping[str, Floats]
    refused: npt.NDArray[np.bool_]


def evaluate(program: Program, columns: Sequence[Column], heads: Sequence[str] | None = None) -> Evaluation:
    """Answer rows.

    Args:
        program: what to evaluate.
        columns: one for each of its inputs, in order; those it doesn't use may be anything of the right length.
        heads: which of its heads; all of them where None.
    """
    rows = len(columns[0]) if columns else 1
    wanted = {name: program.heads[name] for name in (program.heads if heads is None else heads)}
    needed = _needed(program, [node for refs in wanted.values() for node, _ in refs])
    values: list[Any] = []
    refused = np.zeros(rows, bool)
    with np.errstate(all="ignore"):
        for place, node in enumerate(program.nodes):
            if place not in needed:
                values.append(None)
            elif isinstance(node, Input):
                values.append(columns[place] if node.text else np.asarray(columns[place], np.float64)[:, None])
            elif isinstance(node, Encode):
                ((source, column),) = node.inputs
                held = _text(values[source], column)
                codes, unknown = _encode(node, held)
                refused |= unknown
                values.append(codes[:, None])
            elif isinstance(node, FillText):
                filled = zip(node.inputs, node.texts, strict=True)
                values.append([_text(values[source], column).fill_null(text) for (source, column), text in filled])
            else:
                given = _gathered(values, node, rows)
                if isinstance(node, Guard):
                    refused |= ~_KEEPS[node.rule](given).all(axis=1)
                values.append(given if isinstance(node, Guard) else _EVALUATED[type(node)](node, given))
        found = {
            name: np.stack([values[node][:, column] for node, column in refs], axis=1) for name, refs in wanted.items()
        }
    return Evaluation(found, refused)


def _needed(program: Program, wanted: Sequence[int]) -> set[int]:
    """The nodes that these depend on, and guards over what they depend on."""
    needed, open_ = set(wanted), list(wanted)
    while open_:
        for node, _ in program.nodes[open_.pop()].inputs:
            if node not in needed:
                needed.add(node)
                open_.append(node)
    return needed


def evaluate_node(node: Node, given: Floats) -> Floats:
    """The columns of one node that takes numbers, from the columns that it takes."""
    with np.errstate(all="ignore"):
        return _EVALUATED[type(node)](node, given)


def keeps(rule: str, values: Floats) -> bool:
    """Whether no value breaks a guard's rule."""
    with np.errstate(all="ignore"):
        return bool(_KEEPS[rule](values).all())


def _text(held: Any, column: int) -> Any:
    """A column of a node: of an argument, of filled text or of numbers."""
    if isinstance(held, list):
        return held[column]
    return held if isinstance(held, pa.Array) else held[:, column]


def _gathered(values: Sequence[Any], node: Node, rows: int) -> Floats:
    if not node.inputs:
        return np.empty((rows, 0))
    first, start = node.inputs[0]
    if node.inputs == tuple((first, start + i) for i in range(len(node.inputs))):
        held: Floats = values[first][:, start : start + len(node.inputs)]
        return held
    return np.stack([values[source][:, column] for source, column in node.inputs], axis=1)


def encode_text(keys: Sequence[str], codes: Floats, missing: float, unknown: float, values: pa.Array) -> Floats:
    """The number of each text: through the batch's own distinct values, each looked up once."""
    held = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    places = {key: code for key, code in zip(keys, codes.tolist(), strict=True)}
    distinct = [missing if text is None else places.get(text, unknown) for text in held.dictionary.to_pylist()]
    table = np.array([*distinct, missing])
    indices = held.indices.fill_null(len(distinct)) if held.indices.null_count else held.indices
    found: Floats = table[indices.to_numpy(zero_copy_only=False)]
    return found


def _encode(node: Encode, values: Column) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The codes, and where they are refused: infinity marks those until the end, for no code is infinite."""
    missing = math.inf if node.missing is None else node.missing
    unknown = math.inf if node.unknown is None else node.unknown
    if isinstance(values, pa.Array):
        assert isinstance(node.keys, tuple)
        codes = encode_text(node.keys, node.codes, missing, unknown, values)
    else:
        keys = np.asarray(node.keys, np.float64)
        order = np.argsort(keys)
        if not len(keys):
            keys, order, given = np.array([np.nan]), np.array([0]), np.array([unknown])
        else:
            given = node.codes
        places = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
        codes = np.where(keys[order][places] == values, given[order][places], unknown)
        codes = np.where(np.isnan(values), missing, codes)
    return codes, np.isinf(codes)


def _arithmetic(node: Arithmetic, given: Floats) -> Floats:
    return np.asarray(_ARITHMETIC[node.op](given, node.operand), np.float64)


_ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "equal": np.equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), where exp can't overflow into a wrong answer: exp(-x) is then infinite, and the result 0."""
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _normal_cdf(x: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x.ravel().tolist()]).reshape(x.shape)


_APPLIED: Mapping[str, Callable[[Floats], Any]] = {
    "abs": np.abs,
    "cbrt": np.cbrt,
    "cos": np.cos,
    "exp": np.exp,
    "expm1": np.expm1,
    "float32": lambda x: x.astype(np.float32),
    "floor": np.floor,
    "is_missing": np.isnan,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "negative": np.negative,
    "normal_cdf": _normal_cdf,
    "not": lambda x: x == 0.0,
    "reciprocal": np.reciprocal,
    "relu": lambda x: np.maximum(x, 0.0),
    "rint": np.rint,
    "sigmoid": sigmoid,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
    "trunc": np.trunc,
}


def _apply(node: Apply, given: Floats) -> Floats:
    return np.asarray(_APPLIED[node.function](given), np.float64)


def _combine(node: Combine, given: Floats) -> Floats:
    picked = given[:, node.groups]  # [rows, width, columns]
    if node.op == "argmax":
        return np.asarray(picked.argmax(axis=2), np.float64)
    found: Floats = picked[:, :, 0].copy()
    for column in range(1, picked.shape[2]):
        found = _COMBINED[node.op](found, picked[:, :, column])
    return np.asarray(found / picked.shape[2]) if node.op == "mean" else found


_COMBINED: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "sum": np.add,
    "mean": np.add,
    "product": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "divide": np.divide,
    "power": np.power,
}


def _median(node: Median, given: Floats) -> Floats:
    order = np.argsort(given, axis=1, kind="stable")
    reached = np.cumsum(node.weights[order], axis=1)
    at = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
    rows = np.arange(len(given))
    return np.asarray(given[rows, order[rows, at]][:, None])


def _replace(node: Replace, given: Floats) -> Floats:
    return np.asarray(np.where(np.isnan(given) if math.isnan(node.old) else given == node.old, node.new, given))


def _piecewise(node: Piecewise, given: Floats) -> Floats:
    x = given[:, 0]
    piece = np.searchsorted(node.edges, x, side="left" if node.left else "right")
    offset = (x - node.origins[piece])[:, None]
    powers = node.coefficients[piece]  # [rows, width, powers]
    found = powers[:, :, -1].copy()
    for power in range(powers.shape[2] - 2, -1, -1):
        found = found * offset + powers[:, :, power]
    found[np.isnan(x)] = np.nan
    return found


def _linear(node: Linear, given: Floats) -> Floats:
    return np.asarray(given @ node.weights + node.bias)


def _distances(node: Distances, given: Floats) -> Floats:
    return np.stack([np.square(given - point).sum(axis=1) for point in node.points], axis=1)


def leaves_of(node: Trees, given: Floats) -> Integers2d:
    """The leaf that each row comes to in each tree, [rows, trees]."""
    if node.compare == "float32":
        given = given.astype(np.float32).astype(np.float64)
    sets = [
        frozenset(node.set_members[node.set_starts[i] : node.set_starts[i + 1]].tolist())
        for i in range(len(node.set_starts) - 1)
    ]
    rows = np.arange(len(given))
    found = np.empty((len(given), len(node.roots)), np.int32)
    for tree, root in enumerate(node.roots):
        at = np.full(len(given), root, np.int32)
        while len(open_ := rows[at >= 0]):
            here = at[open_]
            x = given[open_, node.feature[here]]
            goes_left = np.where(np.isnan(x), node.missing_left[here], x <= node.threshold[here])
            for place in np.flatnonzero((node.set_of[here] >= 0) & ~np.isnan(x)):
                goes_left[place] = np.isfinite(x[place]) and int(x[place]) in sets[node.set_of[here[place]]]
            at[open_] = np.where(goes_left, node.left[here], node.right[here])
        found[:, tree] = ~at
    return found


Integers2d = npt.NDArray[np.int32]


def _trees(node: Trees, given: Floats) -> Floats:
    width = np.float32 if node.sum == "float32" else np.float64
    base = node.base.astype(width)
    total = np.zeros((len(given), node.width), width) if node.base_last else np.tile(base, (len(given), 1))
    leaves = node.leaves.astype(width)
    for tree, leaf in enumerate(leaves_of(node, given).T):
        if node.leaves.shape[1] == 1 and node.output_of[tree] >= 0:
            total[:, node.output_of[tree]] += leaves[leaf, 0]
        else:
            total += leaves[leaf]
    if node.base_last:
        total += base
    return (total / width(node.divisor) if node.divisor != 1.0 else total).astype(np.float64)


def _link(node: Link, given: Floats) -> Floats:
    if node.function == "softmax":
        raised = np.exp(given - given.max(axis=1, keepdims=True))
        softmax: Floats = raised / raised.sum(axis=1, keepdims=True)
        return softmax
    total = given.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total == 0.0, 1.0 / given.shape[1], given / total))


def _one_hot(node: OneHot, given: Floats) -> Floats:
    return np.asarray(given == node.codes, np.float64)


_EVALUATED: Mapping[type[Node], Callable[[Any, Floats], Floats]] = {
    Constant: lambda node, given: np.tile(node.values, (len(given), 1)),
    Arithmetic: _arithmetic,
    Apply: _apply,
    Combine: _combine,
    Median: _median,
    Replace: _replace,
    OneHot: _one_hot,
    Piecewise: _piecewise,
    Linear: _linear,
    Distances: _distances,
    # The sum itself is always right.
    Screened: _trees,
    Trees: _trees,
    Link: _link,
}

_LARGEST = float(np.finfo(np.float32).max)
# What still rounds to the largest float32: half a unit of its last place above it.
_ROUNDS_DOWN = _LARGEST + 2.0**103

_KEEPS: Mapping[str, Callable[[Floats], npt.NDArray[np.bool_]]] = {
    "finite": np.isfinite,
    "finite_or_missing": lambda x: ~np.isinf(x),
    "float32": lambda x: np.abs(x) < _ROUNDS_DOWN,
    "float32_or_missing": lambda x: ~(np.abs(x) >= _ROUNDS_DOWN),
}
