"""ONNX graphs as programs: operator by operator, in the order in which the file has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlml.models.readers import onnx_math, onnx_ml, onnx_trees
from sqlml.models.readers.onnx_graph import Graph, Node, Tensor, column_places, graph_of, roles_of
from sqlml.models.readers.onnx_values import Value, rounded
from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.programs.program import Builder, Guard, Ref

# Both domains' names are different ones.
OPERATORS: Mapping[str, Callable[[Builder, Node, Sequence[Any]], Sequence[Any]]] = {
    **onnx_math.OPERATORS,
    **onnx_ml.OPERATORS,
    "TreeEnsembleClassifier": onnx_trees.classifier,
    "TreeEnsembleRegressor": onnx_trees.regressor,
}


def model(reading: Reading, held: Any, columns: Columns) -> Answers:
    """A model: its label and probabilities, or its first values."""
    graph = graph_of(held)
    for node in graph.nodes:
        if node.op not in OPERATORS:
            raise NoReader(node.op, "no reader for this operator")
    found: dict[str, Any] = {**graph.constants, **_inputs(reading, graph, columns)}
    for node in graph.nodes:
        given = [found[name] for name in node.inputs if name]
        found.update(zip(node.outputs, OPERATORS[node.op](reading.graph, node, given), strict=False))
    roles = roles_of(graph)
    if roles.classes is None or roles.label is None:
        return Answers(value=_value(found, roles.values))
    label = found[roles.label]
    if label.classes is None or [*label.classes] != [*roles.classes]:
        raise NoReader("ONNX", "a label that is no place among its classes")
    probabilities = tuple(ref for name in roles.probabilities for ref in found[name].columns)
    return Answers(label=label.columns, probabilities=probabilities, classes=roles.classes)


def _value(found: Mapping[str, Any], names: Sequence[str]) -> Columns:
    if len(names) > 1:
        raise NoReader("ONNX", "several outputs")
    value = found[names[0]]
    if not isinstance(value, Value) or value.type == "string":
        raise NoReader("ONNX", "an output that is no number")
    if value.classes is not None and [*value.classes] != list(range(len(value.classes))):
        raise NoReader("ONNX", "a label without probabilities")
    return value.columns


def _inputs(reading: Reading, graph: Graph, columns: Columns) -> dict[str, Value]:
    """The arguments as tensors: all of them as one, or each as one."""
    if len(graph.inputs) == 1:
        (tensor,) = graph.inputs
        return {tensor.name: _input(reading, tensor, columns)}
    names = [argument.name for argument in reading.arguments.values()]
    try:
        places = column_places(graph, names)
    except KeyError as error:
        raise NoReader("ONNX", f"an input {error} that is no argument") from error
    given = zip(graph.inputs, places, strict=True)
    return {tensor.name: _input(reading, tensor, (columns[place],)) for tensor, place in given}


def _input(reading: Reading, tensor: Tensor, columns: Columns) -> Value:
    shape = () if len(tensor.shape) == 1 else (len(columns),)
    for ref in columns:
        _check(reading, tensor, ref)
    if tensor.type == "string":
        return Value(columns, "string", shape)
    if tensor.type in ("float32", "float64"):
        return Value(rounded(reading.graph, columns, tensor.type), tensor.type, shape)
    # A missing number is none of these.
    return Value(reading.graph.add(Guard(inputs=columns, rule="finite")), tensor.type, shape)


def _check(reading: Reading, tensor: Tensor, ref: Ref) -> None:
    type_ = reading.arguments[ref].type if ref in reading.arguments else "DOUBLE"
    if type_ not in _TAKEN[tensor.type]:
        raise NoReader("ONNX", f"an input of {tensor.type} from an argument of {type_}")


_WHOLE = ("BOOLEAN", "INTEGER", "BIGINT")
_TAKEN: Mapping[str, Sequence[str]] = {
    "string": ("VARCHAR",),
    "float32": ("FLOAT", "DOUBLE", *_WHOLE),
    "float64": ("FLOAT", "DOUBLE", *_WHOLE),
    "int64": _WHOLE,
    "int32": ("BOOLEAN", "INTEGER"),
    "bool": ("BOOLEAN",),
}

TRANSFORMERS: dict[str, Transforming] = {}
PREDICTORS: dict[str, Predicting] = {"onnx.onnx_ml_pb2.ModelProto": model}
