"""The operators of ai.onnx that stand between those of models: arithmetic, columns, and networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sqlml.models.readers.onnx_graph import TYPES, Node
from sqlml.models.readers.onnx_ml import sigmoid
from sqlml.models.readers.onnx_values import (
    Value,
    applied,
    arithmetic,
    floats,
    largest,
    products,
    rounded,
    softmax,
    together,
)
from sqlml.models.readers.reading import Columns, NoReader
from sqlml.programs.program import Apply, Builder, Combine, Constant

Operator = Callable[[Builder, Node, Sequence[Any]], Sequence[Any]]
_BINARY = {
    "Add": ("add", "sum"),
    "Mul": ("multiply", "product"),
    "Sub": ("subtract", "sum"),
    "Div": ("divide", "divide"),
}


def binary(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Add, Sub, Mul and Div: of columns with numbers or with columns."""
    left, right = given
    with_number, combined = _BINARY[node.op]
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        raise NoReader(node.op, "of constants alone")
    if isinstance(right, np.ndarray):
        value = _widened(floats(left, node.op), right, node.op)
        return [arithmetic(graph, value, with_number, np.ravel(right))]
    if isinstance(left, np.ndarray):
        value = _widened(floats(right, node.op), left, node.op)
        numbers = np.broadcast_to(np.ravel(left).astype(np.float64), (value.width,)).copy()
        first: Columns = graph.add(Constant(values=numbers))
    else:
        value, other = floats(right, node.op), floats(left, node.op)
        if value.type != other.type or len({value.width, other.width, 1}) > 2:
            raise NoReader(node.op, "of tensors that don't fit")
        first = other.columns
        wider = max(value, other, key=lambda one: one.width)
        value = replace(value, shape=wider.shape, exact=value.exact and other.exact)
    second = value.columns
    if node.op == "Sub":
        second = graph.add(Apply(inputs=second, function="negative"))
    return [replace(value, columns=rounded(graph, together(graph, combined, first, second), value.type))]


def _widened(value: Value, constant: Any, op: str) -> Value:
    """The value as wide as a constant that it is broadcast with."""
    size = constant.size
    if constant.ndim > len(value.shape) + 1 or (size > 1 and constant.shape[-1] != size):
        raise NoReader(op, "of a constant that has rows")
    if size in (1, value.width):
        return value
    if value.width == 1 and value.shape == (1,):
        return replace(value, columns=value.columns * size, shape=(size,))
    raise NoReader(op, "of a constant that doesn't fit")


def unary(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """A function of each number."""
    function, exact = _UNARY[node.op]
    return [applied(graph, floats(given[0], node.op), function, exact=exact)]


# Whether onnxruntime rounds their results rightly.
_UNARY: Mapping[str, tuple[str, bool]] = {
    "Abs": ("abs", True),
    "Exp": ("exp", False),
    "Neg": ("negative", True),
    "Relu": ("relu", True),
    "Sqrt": ("sqrt", True),
    "Tanh": ("tanh", False),
}


def sigmoids(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Sigmoid."""
    return [sigmoid(graph, floats(given[0], node.op))]


def softmaxes(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Softmax over the columns."""
    value = floats(given[0], node.op)
    _over_columns(node, value, default=-1)
    return [softmax(graph, value)]


def matmul(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """MatMul: columns by constant weights."""
    left, right = given
    if not isinstance(left, Value) or not isinstance(right, np.ndarray) or right.ndim not in (1, 2):
        raise NoReader(node.op, "of other than columns by constant weights")
    product = products(graph, floats(left, node.op), right.reshape(len(right), -1).astype(np.float64), node.op)
    return [replace(product, shape=()) if right.ndim == 1 else product]


def gemm(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Gemm: columns by constant weights, plus a constant."""
    held, (left, right, *bias) = node.attributes, given
    plain = held.get("alpha", 1.0) == 1.0 and held.get("beta", 1.0) == 1.0 and not held.get("transA", 0)
    if not plain or not isinstance(right, np.ndarray) or not all(isinstance(one, np.ndarray) for one in bias):
        raise NoReader(node.op, "of other than columns by constant weights")
    weights = right.astype(np.float64)
    product = products(graph, floats(left, node.op), weights.T if held.get("transB", 0) else weights, node.op)
    return [arithmetic(graph, _widened(product, one, node.op), "add", np.ravel(one)) for one in bias] or [product]


def argmax(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """ArgMax: the place of the first largest column."""
    value = floats(given[0], node.op)
    _over_columns(node, value, default=0)
    if node.attributes.get("select_last_index", 0):
        raise NoReader(node.op, "the last of equals")
    shape = (1,) if node.attributes.get("keepdims", 1) else ()
    return [Value(largest(graph, value), "int64", shape, classes=range(value.width))]


def reduce_sum(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """ReduceSum over the columns, in an order of onnxruntime's own."""
    value = floats(given[0], node.op)
    axes = np.ravel(given[1]).tolist() if len(given) > 1 else list(node.attributes.get("axes", ()))
    if axes not in ([1], [-1]) or len(value.shape) != 1:
        raise NoReader(node.op, "over other than columns")
    group = np.arange(value.width, dtype=np.int32)[None]
    total = rounded(graph, graph.add(Combine(inputs=value.columns, op="sum", groups=group)), value.type)
    shape = (1,) if node.attributes.get("keepdims", 1) else ()
    return [Value(total, value.type, shape, exact=False)]


def _over_columns(node: Node, value: Value, default: int) -> None:
    if len(value.shape) != 1 or node.attributes.get("axis", default) not in (1, -1):
        raise NoReader(node.op, "over other than columns")


def cast(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Cast between numbers, and of labels."""
    (value,), type_ = given, TYPES.get(node.attributes["to"], "other")
    if isinstance(value, np.ndarray):
        return [value.astype(type_)]
    if value.classes is not None:
        if (type_ == "string") != isinstance(next(iter(value.classes)), str) or type_ == "bool":
            raise NoReader(node.op, f"of labels to {type_}")
        return [replace(value, type=type_)]
    if (value.type, type_) not in _CASTS and value.type != type_:
        raise NoReader(node.op, f"{value.type} to {type_}")
    columns = rounded(graph, value.columns, type_) if value.type != type_ and value.type != "bool" else value.columns
    return [replace(value, columns=columns, type=type_)]


_WHOLE = ("bool", "int32", "int64")
_CASTS = {
    *((one, other) for one in _WHOLE for other in ("int64", "float32", "float64")),
    ("float32", "float64"),
    ("float64", "float32"),
}


def concat(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Concat of columns."""
    values = [_columns(node, one, default=None) for one in given]
    if len({(value.type, value.shape[:-1]) for value in values}) > 1:
        raise NoReader(node.op, "of columns of several types")
    columns = tuple(ref for value in values for ref in value.columns)
    shape = (*values[0].shape[:-1], len(columns))
    return [Value(columns, values[0].type, shape, exact=all(value.exact for value in values))]


def gather(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Gather of columns by constant places."""
    value, places = _columns(node, given[0], default=0), given[1]
    if isinstance(places, Value):
        raise NoReader(node.op, "by places that are not constant")
    columns = tuple(value.columns[place] for place in np.ravel(places).tolist())
    return [replace(value, columns=columns, shape=(*value.shape[:-1], *np.shape(places)))]


def _columns(node: Node, value: Any, default: int | None) -> Value:
    """The value, where the operator's axis is that of its columns."""
    if not isinstance(value, Value) or value.classes is not None:
        raise NoReader(node.op, "of other than columns")
    flat = bool(value.shape) and all(one == 1 for one in value.shape[:-1])
    if not flat or node.attributes.get("axis", default) not in (-1, len(value.shape)):
        raise NoReader(node.op, "over other than columns")
    return value


def cut(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Slice of columns between constant places."""
    value, *bounds = given
    if not isinstance(value, Value) or len(bounds) < 3 or any(isinstance(one, Value) for one in bounds):
        raise NoReader(node.op, "of other than columns")
    start, end, axis, *step = (int(np.ravel(one)[0]) for one in bounds)
    if len(value.shape) != 1 or axis not in (1, -1) or step not in ([], [1]) or any(np.size(one) > 1 for one in bounds):
        raise NoReader(node.op, "of other than columns")
    columns = value.columns[start:end]
    return [replace(value, columns=columns, shape=(len(columns),))]


def reshape(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Reshape and Flatten where rows stay rows."""
    value = given[0]
    if isinstance(value, np.ndarray):
        raise NoReader(node.op, "of a constant")
    if node.op == "Flatten":
        wanted = [-1, value.width] if node.attributes.get("axis", 1) == 1 else []
    else:
        wanted = np.ravel(given[1]).tolist() if isinstance(given[1], np.ndarray) else []
    free = [value.width if i and one == -1 and wanted[0] == 0 else one for i, one in enumerate(wanted)]
    if not free or free[0] not in (-1, 0) or int(np.prod(free[1:])) != value.width:
        raise NoReader(node.op, "rows that don't stay rows")
    return [replace(value, shape=tuple(int(one) for one in free[1:]))]


def identity(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Any]:
    """Identity."""
    return [given[0]]


OPERATORS: Mapping[str, Operator] = {
    **dict.fromkeys(_BINARY, binary),
    **dict.fromkeys(_UNARY, unary),
    "ArgMax": argmax,
    "Cast": cast,
    "Concat": concat,
    "Flatten": reshape,
    "Gather": gather,
    "Gemm": gemm,
    "Identity": identity,
    "MatMul": matmul,
    "ReduceSum": reduce_sum,
    "Reshape": reshape,
    "Sigmoid": sigmoids,
    "Slice": cut,
    "Softmax": softmaxes,
}
