"""ONNX models, run by onnxruntime on one thread of the processor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from sqlml.errors import UnsupportedModel
from sqlml.models.fitted import Fitted
from sqlml.models.readers.onnx_graph import Graph, Roles, Tensor, column_places, graph_of, opened, roles_of

_ERRORS_ONLY = 3


def load(folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Read the `onnx` flavour, which is data."""
    path = str(folder / str(options["data"]))
    held = opened(path)
    graph = graph_of(held)
    _check(graph, model)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    roles, single = roles_of(graph), len(graph.inputs) == 1
    names, width = [tensor.name for tensor in graph.inputs], graph.inputs[0].width
    if single:
        names = [f"x{place}" for place in range(width)] if width is not None else []
    texts = [tensor.type == "string" for tensor in graph.inputs]
    return Fitted(
        library="onnx",
        kind="classifier" if roles.classes is not None else _kind(graph, roles),
        predict=_predicting(session, graph, roles),
        model=held,
        proba=_probabilities(session, graph, roles) if roles.classes is not None else None,
        classes=roles.classes,
        names=names or None,
        text_names=frozenset(names if single and texts[0] else itertools.compress(names, texts)),
        takes_matrix=single and graph.inputs[0].type in ("float32", "float64"),
    )


def _check(graph: Graph, model: str) -> None:
    for tensor in graph.inputs:
        if tensor.type == "other":
            raise UnsupportedModel(model=model, reason=f"its input '{tensor.name}' is of a type that SQL doesn't have")
        if tensor.shape and tensor.shape[0] is not None:
            raise UnsupportedModel(model=model, reason=f"its input '{tensor.name}' takes {tensor.shape[0]} rows alone")
        if len(tensor.shape) > 2 or (len(graph.inputs) > 1 and tensor.width not in (1, None)):
            raise UnsupportedModel(model=model, reason=f"its input '{tensor.name}' is of the shape {tensor.shape}")
    if not graph.inputs:
        raise UnsupportedModel(model=model, reason="it takes no input")


def _kind(graph: Graph, roles: Roles) -> Any:
    (*others, last) = [tensor for tensor in graph.outputs if tensor.name in roles.values]
    return "regressor" if not others and last.type in ("float32", "float64") and last.width == 1 else "other"


def _predicting(session: Any, graph: Graph, roles: Roles) -> Callable[[Any], Any]:
    wanted = list(roles.values) if roles.label is None else [roles.label]

    def predict(rows: Any) -> Any:
        answers = [_flat(answer, len(rows)) for answer in session.run(wanted, _feeds(graph, rows))]
        if len(answers) > 1:
            return pd.DataFrame({name: answer for name, answer in zip(wanted, answers, strict=True)})
        return answers[0]

    return predict


def _probabilities(session: Any, graph: Graph, roles: Roles) -> Callable[[Any], Any]:
    classes, wanted = roles.classes, list(roles.probabilities)
    assert classes is not None

    def proba(rows: Any) -> Any:
        found = session.run(wanted, _feeds(graph, rows))
        if isinstance(found[0], list):
            return np.array([[one[label] for label in classes] for one in found[0]], np.float32)
        return found[0] if len(found) == 1 else np.column_stack([_flat(one, len(rows)) for one in found])

    return proba


def _flat(answer: Any, rows: int) -> npt.NDArray[Any]:
    values = np.asarray(answer)
    return values.reshape(rows) if values.size == rows else values


def _feeds(graph: Graph, rows: Any) -> dict[str, Any]:
    """Rows as the graph's inputs take them: all in one matrix, or one column each."""
    if len(graph.inputs) == 1 and graph.inputs[0].width != 1:
        (tensor,) = graph.inputs
        if not isinstance(rows, pd.DataFrame):
            return {tensor.name: rows.astype(tensor.type)}
        held = np.empty(rows.shape, object if tensor.type == "string" else tensor.type)
        for place in range(held.shape[1]):
            held[:, place] = _column(rows.iloc[:, place], tensor)
        return {tensor.name: held}
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    places: Sequence[int] = [0] if len(graph.inputs) == 1 else column_places(graph, [str(n) for n in frame.columns])
    return {
        tensor.name: _column(frame.iloc[:, place], tensor).reshape((-1, 1) if len(tensor.shape) == 2 else -1)
        for tensor, place in zip(graph.inputs, places, strict=True)
    }


def _column(column: Any, tensor: Tensor) -> npt.NDArray[Any]:
    """A column of the tensor's type. A text, an integer or a truth is never missing: onnxruntime would make one up."""
    if tensor.type in ("float32", "float64"):
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan)).astype(tensor.type)
    if column.isna().any():
        raise ValueError(f"'{tensor.name}' takes no missing value")
    if tensor.type == "string":
        return np.asarray(column.to_numpy(object))
    values = np.asarray(column)
    converted = values.astype(tensor.type)
    if not (converted == values).all():
        raise ValueError(f"'{tensor.name}' takes whole numbers")
    return converted
