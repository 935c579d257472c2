"""The operators of ai.onnx.ml that converters write for pipelines: what prepares columns, and linear models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sqlml.models.readers.onnx_graph import Node
from sqlml.models.readers.onnx_values import (
    Value,
    applied,
    arithmetic,
    floats,
    largest,
    products,
    rounded,
    softmax,
    summed,
    together,
    with_columns,
)
from sqlml.models.readers.reading import Columns, NoReader
from sqlml.programs.program import Apply, Arithmetic, Builder, Encode, Guard, OneHot, Replace


def scaler(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """Scaler: (x - offset) * scale."""
    value = _narrow(graph, given[0])
    less = arithmetic(graph, value, "subtract", node.attributes["offset"])
    return [arithmetic(graph, less, "multiply", node.attributes["scale"])]


def imputer(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """Imputer: another value where one is missing, or is a certain number."""
    value, held = floats(given[0], node.op), node.attributes
    if "imputed_value_floats" not in held:
        raise NoReader(node.op, "of whole numbers")
    new = np.broadcast_to(np.array(held["imputed_value_floats"], np.float64), (value.width,)).copy()
    old = float(held.get("replaced_value_float", 0.0))
    return [replace(value, columns=graph.add(Replace(inputs=value.columns, old=old, new=new)))]


def one_hot(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """OneHotEncoder: a column for each category, which are all 0 for another one where it has `zeros`."""
    (value,), held = given, node.attributes
    text = value.type == "string"
    keys = held.get("cats_strings") if text else held.get("cats_int64s")
    if not keys or value.classes is not None or (not text and value.type != "int64"):
        raise NoReader(node.op, f"of {value.type}")
    codes = np.arange(len(keys), dtype=np.float64)
    found: Columns = ()
    for ref in value.columns:
        unknown = float(len(keys)) if held.get("zeros", 1) else None
        known: Any = tuple(keys) if text else np.array(keys, np.float64)
        code = graph.add(Encode(inputs=(ref,), keys=known, codes=codes, missing=None, unknown=unknown))
        found = (*found, *graph.add(OneHot(inputs=code, codes=codes)))
    return [Value(found, "float32", (*value.shape, len(keys)))]


def label_encoder(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """LabelEncoder: a number for each text or number, and a default for any other."""
    (value,), held = given, node.attributes
    if held.get("classes_strings"):
        keys: Any = held["classes_strings"]
        values: Any = list(range(len(keys)))
        type_, default = "int64", float(held.get("default_int64", -1))
    else:
        keys = held.get("keys_strings") or held.get("keys_int64s") or held.get("keys_floats")
        values = held.get("values_int64s") or held.get("values_floats")
        type_ = "int64" if held.get("values_int64s") else "float32"
        default = float(held.get("default_int64", -1) if type_ == "int64" else held.get("default_float", -0.0))
    if not keys or not values or value.classes is not None or isinstance(keys[0], str) != (value.type == "string"):
        raise NoReader(node.op, f"of {value.type}")
    pairs = dict(zip(keys, values, strict=True))
    missing = None if value.type in ("string", "int64") else default
    if any(isinstance(key, float) and math.isnan(key) for key in pairs):
        missing = float(next(code for key, code in pairs.items() if math.isnan(key)))
        pairs = {key: code for key, code in pairs.items() if not math.isnan(key)}
    known: Any = tuple(pairs) if value.type == "string" else np.array([*pairs], np.float64)
    codes = np.array([*pairs.values()], np.float64)
    columns: Columns = ()
    for ref in value.columns:
        columns += graph.add(Encode(inputs=(ref,), keys=known, codes=codes, missing=missing, unknown=default))
    return [Value(columns, type_, value.shape)]


def binarizer(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """Binarizer: 1 above a threshold, else 0."""
    value = _finite(graph, _exact(floats(given[0], node.op), node.op))
    limit = np.full(value.width, float(node.attributes.get("threshold", 0.0)))
    return [replace(value, columns=graph.add(Arithmetic(inputs=value.columns, op="greater", operand=limit)))]


def normalizer(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """Normalizer: each row over the sum of its absolute values, or over the root of that of its squares."""
    value, norm = _finite(graph, _narrow(graph, given[0])), str(node.attributes.get("norm", "MAX"))
    if norm not in ("L1", "L2"):
        raise NoReader(node.op, f"the norm {norm}")
    parts = applied(graph, value, "abs" if norm == "L1" else "square")
    whole = summed(graph, parts)
    total = graph.add(Replace(inputs=whole, old=0.0, new=np.ones(1)))
    if norm == "L1":
        return [with_columns(graph, value, together(graph, "divide", value.columns, total))]
    shares = with_columns(graph, value, together(graph, "divide", parts.columns, total))
    signs = graph.add(Apply(inputs=value.columns, function="sign"))
    found = together(graph, "product", applied(graph, shares, "sqrt").columns, signs)
    # A row whose squares are all 0 in float32 stays as it is.
    nothing = graph.add(Arithmetic(inputs=whole, op="equal", operand=np.zeros(1)))
    kept = together(graph, "product", nothing, value.columns)
    return [replace(value, columns=together(graph, "sum", found, kept))]


def extractor(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """ArrayFeatureExtractor: columns by their places, or the classes of labels by theirs."""
    data, places = given
    if isinstance(data, np.ndarray) and isinstance(places, Value) and places.classes is not None:
        classes = np.ravel(data).tolist()
        if [*places.classes] != list(range(len(classes))):
            raise NoReader(node.op, "places that are none")
        named = [one.decode() if isinstance(one, bytes) else one for one in classes]
        return [replace(places, classes=named, type="string" if isinstance(named[0], str) else "int64")]
    if not isinstance(data, Value) or isinstance(places, Value) or data.classes is not None:
        raise NoReader(node.op, "of other than columns")
    columns = tuple(data.columns[place] for place in np.ravel(places).tolist())
    return [replace(data, columns=columns, shape=(len(columns),))]


def zip_map(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """ZipMap, whose keys are the classes that the probabilities are in the order of."""
    return [given[0]]


def linear_regressor(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """LinearRegressor."""
    held = node.attributes
    if held.get("post_transform", "NONE") != "NONE":
        raise NoReader(node.op, f"the link {held['post_transform']}")
    return [_linear(graph, node, given[0], int(held.get("targets", 1)))]


def linear_classifier(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """LinearClassifier: the first class of the largest score."""
    held = node.attributes
    classes = list(held.get("classlabels_ints") or held.get("classlabels_strings") or [])
    link = _LINKS.get(held.get("post_transform", "NONE"))
    if link is None:
        raise NoReader(node.op, f"the link {held['post_transform']}")
    if len(held["intercepts"]) != len(classes):
        raise NoReader(node.op, "another number of scores than of classes")
    scores = _linear(graph, node, given[0], len(classes))
    type_ = "string" if isinstance(classes[0], str) else "int64"
    return [Value(largest(graph, scores), type_, (), classes=classes), link(graph, scores)]


def _linear(graph: Builder, node: Node, given: Any, outputs: int) -> Value:
    held, value = node.attributes, _narrow(graph, given)
    weights = np.array(held["coefficients"], np.float64).reshape(outputs, -1).T
    bias = np.array(held.get("intercepts", [0.0] * outputs), np.float64)
    if outputs == 2 and (weights[:, 0] == -weights[:, 1]).all() and bias[0] == -bias[1]:
        # The two scores of two classes are each other's negative, to the last bit.
        one = arithmetic(graph, products(graph, value, weights[:, 1:], node.op), "add", bias[1:])
        other = graph.add(Apply(inputs=one.columns, function="negative"))
        return replace(one, columns=(*other, *one.columns), shape=(2,))
    return arithmetic(graph, products(graph, value, weights, node.op), "add", bias)


def _narrow(graph: Builder, value: Any) -> Value:
    """Numbers as these operators take them: in float32."""
    if not isinstance(value, Value) or value.type in ("string", "bool") or value.classes is not None:
        raise NoReader("a linear model", "of other than numbers")
    if value.type == "float32":
        return value
    return replace(value, columns=rounded(graph, value.columns, "float32"), type="float32")


def _finite(graph: Builder, value: Value) -> Value:
    """The value; where it isn't finite onnxruntime raises, or answers in a way of its own."""
    return replace(value, columns=graph.add(Guard(inputs=value.columns, rule="finite")))


def _exact(value: Value, op: str) -> Value:
    if not value.exact:
        raise NoReader(op, "it compares what was rounded in a way of onnxruntime's own")
    return value


def sigmoid(graph: Builder, value: Value) -> Value:
    """1 / (1 + exp(-x)), which onnxruntime approximates."""
    return applied(graph, value, "sigmoid", exact=False)


_LINKS: Mapping[str, Callable[[Builder, Value], Value]] = {
    "NONE": lambda graph, value: value,
    "LOGISTIC": sigmoid,
    "SOFTMAX": softmax,
}

OPERATORS: Mapping[str, Callable[[Builder, Node, Sequence[Any]], Sequence[Any]]] = {
    "ArrayFeatureExtractor": extractor,
    "Binarizer": binarizer,
    "Imputer": imputer,
    "LabelEncoder": label_encoder,
    "LinearClassifier": linear_classifier,
    "LinearRegressor": linear_regressor,
    "Normalizer": normalizer,
    "OneHotEncoder": one_hot,
    "Scaler": scaler,
    "ZipMap": zip_map,
}
