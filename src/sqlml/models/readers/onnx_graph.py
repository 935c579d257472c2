"""An ONNX file as plain data: its nodes, constants, inputs and outputs, and what the outputs mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

# Those that the library and sqlml both have, by ONNX's number.
TYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.STRING: "string",
}
# What passes its first input on.
_PASSING = ("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Tensor:
    """An input or output: `shape` has the number of rows first, None where a number is not fixed."""

    name: str
    type: str
    shape: tuple[int | None, ...]

    @property
    def width(self) -> int | None:
        """How many columns it has; None where that is not fixed."""
        held = self.shape[1:]
        return None if None in held else int(np.prod(np.array(held, np.int64)))


@dataclass(frozen=True)
class Node:
    """One operator."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A model; outputs of another kind than tensors have the type `maps` or `other`."""

    nodes: Sequence[Node]
    constants: Mapping[str, npt.NDArray[Any]]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


@dataclass(frozen=True)
class Roles:
    """Which outputs answer what: a classifier's label and probabilities (one output, or one a class), or values."""

    values: tuple[str, ...] = ()
    label: str | None = None
    probabilities: tuple[str, ...] = ()
    classes: Sequence[Any] | None = None


def opened(path: str) -> onnx.ModelProto:
    """The model in a file, with the weights that lie beside it."""
    return onnx.load(path)


def graph_of(model: onnx.ModelProto) -> Graph:
    """A model taken apart."""
    held = model.graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in held.initializer}
    nodes = []
    for node in held.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(attributes)
            continue
        nodes.append(Node(node.op_type, tuple(node.input), tuple(node.output), _plain(attributes)))
    inputs = [_tensor(one) for one in held.input if one.name not in constants]
    return Graph(nodes, constants, inputs, [_tensor(one) for one in held.output])


def _constant(attributes: Mapping[str, Any]) -> npt.NDArray[Any]:
    ((_, value),) = attributes.items()
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.array(value)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as Python's own values and arrays."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, onnx.TensorProto):
            return onnx.numpy_helper.to_array(value)
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return {name: plain(value) for name, value in attributes.items()}


def _tensor(held: Any) -> Tensor:
    kind = held.type.WhichOneof("value")
    if kind == "sequence_type" and held.type.sequence_type.elem_type.WhichOneof("value") == "map_type":
        return Tensor(held.name, "maps", (None,))
    if kind != "tensor_type":
        return Tensor(held.name, "other", (None,))
    dims = held.type.tensor_type.shape.dim
    shape = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)
    return Tensor(held.name, TYPES.get(held.type.tensor_type.elem_type, "other"), shape)


def column_places(graph: Graph, names: Sequence[str]) -> list[int]:
    """For each of several inputs the place of its column: the same name, else the same but for odd characters.

    Converters write what is no letter, digit or underscore as an underscore.

    Raises:
        KeyError: none, or more than one.
    """
    places = []
    for tensor in graph.inputs:
        fits = [i for i, name in enumerate(names) if name == tensor.name]
        fits = fits or [i for i, name in enumerate(names) if _safe(name) == _safe(tensor.name)]
        if len(fits) != 1:
            raise KeyError(tensor.name)
        places.append(fits[0])
    return places


def _safe(name: str) -> str:
    return re.sub(r"\W", "_", name).casefold()


def roles_of(graph: Graph) -> Roles:
    """What the outputs mean, as converters of classifiers and regressors write them.

    A classifier gives its label, then its probabilities: a list of maps, a tensor, or a tensor a class. Of other
    outputs all are values where each is one column, else the first is.
    """
    makers = {name: node for node in graph.nodes for name in node.outputs}
    first, *others = graph.outputs
    if first.type in ("int64", "string", "bool") and first.width == 1 and others:
        names = tuple(tensor.name for tensor in others)
        maps = len(others) == 1 and others[0].type == "maps"
        floats = all(tensor.type in ("float32", "float64") for tensor in others)
        classes = _keys(makers[names[0]]) if maps else _classes(first.name, makers, graph)
        if classes is not None and (maps or (floats and len(others) in (1, len(classes)))):
            return Roles(label=first.name, probabilities=names, classes=classes)
    single = all(tensor.width == 1 and tensor.type != "other" for tensor in graph.outputs)
    return Roles(values=tuple(tensor.name for tensor in (graph.outputs if single else [first])))


def _keys(node: Node) -> list[Any] | None:
    return next((list(node.attributes[name]) for name in _KEYS if node.attributes.get(name)), None)


_KEYS = ("classlabels_int64s", "classlabels_strings", "classlabels_ints")


def _classes(name: str, makers: Mapping[str, Node], graph: Graph) -> list[Any] | None:
    """The classes of a label, from the operator that it comes from."""
    while (node := makers.get(name)) is not None and node.op in _PASSING:
        name = node.inputs[0]
    if node is None:
        return None
    if node.op == "ArrayFeatureExtractor" and node.inputs[0] in graph.constants:
        return [
            one.decode() if isinstance(one, bytes) else one
            for one in np.ravel(graph.constants[node.inputs[0]]).tolist()
        ]
    return _keys(node)
