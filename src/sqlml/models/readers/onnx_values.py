"""What flows through an ONNX graph, as columns of a program, and float32 arithmetic on it as onnxruntime does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sqlml.models.readers.reading import Columns, NoReader
from sqlml.programs.program import Apply, Arithmetic, Builder, Combine, Encode, Floats, Guard, Linear

# Of more terms onnxruntime adds up blocks; more products take a program longer than onnxruntime and the way to it.
_MOST_TERMS, _MOST_PRODUCTS = 256, 2_000
# How far apart two scores must be, so that the larger one doesn't hang on how a function was rounded.
_APART = {"float32": 1e-5, "float64": 1e-12}


@dataclass(frozen=True)
class Value:
    """A tensor: its columns, its type, and its dimensions after the rows.

    Where it has `classes`, its one column is the place of each value among those. It is `exact` where its bits are
    onnxruntime's own: not after exp and its like, which the library approximates.
    """

    columns: Columns
    type: str
    shape: tuple[int, ...]
    classes: Sequence[Any] | None = None
    exact: bool = True

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self.columns)


def rounded(graph: Builder, columns: Columns, type_: str) -> Columns:
    """Numbers as a tensor of the type holds them."""
    return graph.add(Apply(inputs=columns, function="float32")) if type_ == "float32" else columns


def with_columns(graph: Builder, value: Value, columns: Columns, *, exact: bool = True) -> Value:
    """A value of the same type and shape, of columns that are yet to be rounded."""
    return replace(value, columns=rounded(graph, columns, value.type), exact=value.exact and exact)


def floats(value: Value, op: str) -> Value:
    """The value, which must hold numbers with a fraction.

    Raises:
        NoReader: it doesn't.
    """
    if value.type not in ("float32", "float64") or value.classes is not None:
        raise NoReader(op, f"of {value.type}")
    return value


def applied(graph: Builder, value: Value, function: str, *, exact: bool = True) -> Value:
    """A function of each number."""
    return with_columns(graph, value, graph.add(Apply(inputs=value.columns, function=function)), exact=exact)


def arithmetic(graph: Builder, value: Value, op: str, operand: npt.ArrayLike) -> Value:
    """Each column with a number of its own, rounded."""
    numbers = np.broadcast_to(np.asarray(operand, np.float64), (value.width,))
    return with_columns(graph, value, graph.add(Arithmetic(inputs=value.columns, op=op, operand=numbers.copy())))


def together(graph: Builder, op: str, left: Columns, right: Columns) -> Columns:
    """Column with column; one alone goes with each of the others."""
    width = max(len(left), len(right))
    lefts = left * width if len(left) == 1 else left
    rights = right * width if len(right) == 1 else right
    groups = np.array([[place, width + place] for place in range(width)], np.int32)
    return graph.add(Combine(inputs=(*lefts, *rights), op=op, groups=groups))


def summed(graph: Builder, value: Value) -> Columns:
    """The sum of the columns, rounded after each."""
    total = value.columns[:1]
    for ref in value.columns[1:]:
        total = rounded(graph, together(graph, "sum", total, (ref,)), value.type)
    return total


def products(graph: Builder, value: Value, weights: Floats, op: str) -> Value:
    """The matrix product with weights of the shape [columns, outputs].

    onnxruntime's float32 sums begin with the first term and go on term by term, each product and sum rounded once.
    A product of two float32 is a float64 without rounding; that float64 sums are rounded twice shows in one of 2^29.
    """
    terms, outputs = weights.shape
    if terms != value.width:
        raise NoReader(op, "dimensions that don't fit")
    if value.type == "float64":
        columns = graph.add(Linear(inputs=value.columns, weights=weights, bias=np.zeros(outputs)))
        return Value(columns, "float64", (outputs,), exact=False)
    if terms > _MOST_TERMS or terms * outputs > _MOST_PRODUCTS:
        raise NoReader(op, f"sums of {terms} products, {outputs} times")
    total: Columns = ()
    for place in range(terms):
        one = value.columns[place : place + 1] * outputs
        term = graph.add(Arithmetic(inputs=one, op="multiply", operand=weights[place].astype(np.float64)))
        total = rounded(graph, together(graph, "sum", total, term) if place else term, "float32")
    return Value(total, value.type, (outputs,), exact=value.exact)


def largest(graph: Builder, value: Value) -> Columns:
    """The place of the first largest column.

    A row is refused where that hangs on rounding, and where a column is no number.
    """
    everything = np.arange(value.width, dtype=np.int32)[None]
    if value.exact:
        held = graph.add(Guard(inputs=value.columns, rule="finite"))
        return graph.add(Combine(inputs=held, op="argmax", groups=everything))
    best = graph.add(Combine(inputs=value.columns, op="maximum", groups=everything))
    below = together(graph, "sum", value.columns, graph.add(Apply(inputs=best, function="negative")))
    near = np.full(value.width, -_APART[value.type])
    close = graph.add(Arithmetic(inputs=below, op="greater_equal", operand=near))
    alone = graph.add(Combine(inputs=close, op="sum", groups=everything))
    nothing = graph.add(Encode(inputs=alone, keys=np.ones(1), codes=np.zeros(1), missing=None, unknown=None))
    place = graph.add(Combine(inputs=value.columns, op="argmax", groups=everything))
    return together(graph, "sum", place, nothing)


def logistic(graph: Builder, value: Value) -> Value:
    """1 / (1 + exp(-|x|)), and 1 minus that below 0, every step rounded."""
    size = applied(graph, value, "abs")
    raised = applied(graph, applied(graph, size, "negative"), "exp")
    upper = applied(graph, arithmetic(graph, raised, "add", 1.0), "reciprocal")
    lower = arithmetic(graph, applied(graph, upper, "negative"), "add", 1.0)
    above = graph.add(Arithmetic(inputs=value.columns, op="greater_equal", operand=np.zeros(value.width)))
    below = graph.add(Apply(inputs=above, function="not"))
    picked = together(
        graph,
        "sum",
        together(graph, "product", above, upper.columns),
        together(graph, "product", below, lower.columns),
    )
    return replace(value, columns=picked, exact=False)


def softmax(graph: Builder, value: Value) -> Value:
    """exp(x - max) over the sum of those, every step rounded."""
    everything = np.arange(value.width, dtype=np.int32)[None]
    best = graph.add(Combine(inputs=value.columns, op="maximum", groups=everything))
    shifted = together(graph, "sum", value.columns, graph.add(Apply(inputs=best, function="negative")))
    raised = applied(graph, with_columns(graph, value, shifted), "exp")
    total = rounded(graph, graph.add(Combine(inputs=raised.columns, op="sum", groups=everything)), value.type)
    return with_columns(graph, value, together(graph, "divide", raised.columns, total), exact=False)
