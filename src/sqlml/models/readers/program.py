"""A fitted model becomes a Program: the entry, which finds the readers by the class's full name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sqlml.models.description import Argument
from sqlml.models.parts import parts
from sqlml.models.readers import (
    sklearn_bayes,
    sklearn_cluster,
    sklearn_compose,
    sklearn_encoding,
    sklearn_kernels,
    sklearn_linear,
    sklearn_meta,
    sklearn_multiple,
    sklearn_preprocessing,
    sklearn_projection,
    sklearn_refused,
    sklearn_trees,
)
from sqlml.models.readers.reading import Answers, Columns, NoReader, Predicting, Reading, Transforming
from sqlml.programs.program import Arithmetic, Builder, Combine, Encode, Guard, Head, Node, Program, reached
from sqlml.types import NUMBERS

# Imported where a model, or an estimator inside it, is of that library, which is an extra.
_LAZY: Mapping[str, str] = {
    "catboost": "sqlml.models.readers.catboost_program",
    "lightgbm": "sqlml.models.readers.lightgbm_program",
    "onnx": "sqlml.models.readers.onnx_program",
    "xgboost": "sqlml.models.readers.xgboost_program",
}

_READERS: tuple[Any, ...] = (
    sklearn_bayes,
    sklearn_cluster,
    sklearn_compose,
    sklearn_encoding,
    sklearn_kernels,
    sklearn_linear,
    sklearn_meta,
    sklearn_multiple,
    sklearn_preprocessing,
    sklearn_projection,
    sklearn_refused,
    sklearn_trees,
)


def read_program(model: Any, arguments: Sequence[Argument]) -> Program:
    """The program that answers as the fitted model does.

    Args:
        model: a fitted estimator.
        arguments: the function's, in signature order.

    Raises:
        NoReader: the model, or a step of it, can't be a program.
    """
    reading, columns = opened(model, arguments)
    return reading.graph.program(_tied(reading.graph, _heads(model, reading.predict(model, columns))))


def opened(model: Any, arguments: Sequence[Argument]) -> tuple[Reading, Columns]:
    """A program of inputs alone, with the readers that the model may need, and the model's columns in its order."""
    graph = Builder([(argument.name, _is_text(argument)) for argument in arguments])
    transformers, predictors = _readers(model)
    columns = {argument.name: graph.input(argument.name) for argument in arguments}
    held = {columns[argument.name][0]: argument for argument in arguments}
    return Reading(graph, transformers, predictors, held), _ordered(model, columns)


def _is_text(argument: Argument) -> bool:
    if argument.type != "VARCHAR" and argument.type not in NUMBERS:
        raise NoReader(f"argument '{argument.name}'", f"its type is {argument.type}")
    if argument.type != "VARCHAR" and argument.missing == "none":
        raise NoReader(f"argument '{argument.name}'", "the model takes None for a missing number")
    return argument.type == "VARCHAR"


def _ordered(model: Any, columns: Mapping[str, Columns]) -> Columns:
    """The columns in the order that the model was fitted with."""
    # Other libraries take the signature's order, and keep names that they changed.
    sklearn = type(model).__module__.startswith("sklearn.")
    names = getattr(model, "feature_names_in_", None) if sklearn else None
    order = list(columns) if names is None else [str(name) for name in names]
    for name in order:
        if name not in columns:
            raise NoReader(type(model).__name__, f"it takes a column '{name}', which is no argument")
    return tuple(ref for name in order for ref in columns[name])


def _readers(model: Any) -> tuple[dict[str, Transforming], dict[str, Predicting]]:
    transformers: dict[str, Transforming] = {}
    predictors: dict[str, Predicting] = {}
    for module in (*_READERS, *_lazy(model)):
        transformers.update(getattr(module, "TRANSFORMERS", {}))
        predictors.update(getattr(module, "PREDICTORS", {}))
    return transformers, predictors


def _lazy(model: Any) -> Iterator[Any]:
    found = [model, *parts(model)]
    origins = {type(part).__module__.split(".")[0] for part in found}
    for origin, name in _LAZY.items():
        if origin in origins:
            yield importlib.import_module(name)


def _heads(model: Any, answers: Answers) -> dict[Head, Columns]:
    heads: dict[Head, Columns]
    if answers.label is not None:
        heads = {"label": answers.label}
        if answers.probabilities is not None:
            heads["probabilities"] = answers.probabilities
        return heads
    if answers.value is None:
        raise NoReader(type(model).__name__, "it has no predict")
    heads = {"value": answers.value}
    if answers.probabilities is not None:
        heads["probabilities"] = answers.probabilities
    return heads


def _tied(graph: Builder, heads: dict[Head, Columns]) -> dict[Head, Columns]:
    """The heads, each plus nothing for every refusal that it would else not depend on.

    A step's answer may be left out by a later one, a selection of features say: the model still raises there.
    """
    seen = {place for place, _ in reached(graph.nodes, {str(name): refs for name, refs in heads.items()})}
    lost = tuple((i, 0) for i, node in enumerate(graph.nodes) if i not in seen and _refuses(node))
    if not lost:
        return heads
    # Nothing is greater than infinity, not even a missing value.
    nothing = graph.add(Arithmetic(inputs=lost, op="greater", operand=np.full(len(lost), np.inf)))
    tied: dict[Head, Columns] = {}
    for name, (first, *others) in heads.items():
        group = np.arange(len(lost) + 1, dtype=np.int32)[None]
        tied[name] = (*graph.add(Combine(inputs=(first, *nothing), op="sum", groups=group)), *others)
    return tied


def _refuses(node: Node) -> bool:
    return isinstance(node, Guard) or (isinstance(node, Encode) and (node.missing is None or node.unknown is None))
