"""Find out what a model version is by its signature, its library and by trying it. Runs in the child process."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlml.errors import NoSignature, UnsupportedModel
from sqlml.models import feed
from sqlml.models.description import CATEGORIES_KEY, Argument, Description, Missing
from sqlml.models.fitted import Fitted
from sqlml.models.probe import Columns, probe_rows, trial
from sqlml.types import ARROW, Returns

_FROM_MLFLOW: Mapping[str, str] = {
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "binary": "BLOB",
    "datetime": "TIMESTAMP",
}

_FROM_NUMPY: Mapping[str, str] = {"b": "BOOLEAN", "i": "BIGINT", "u": "BIGINT", "f": "DOUBLE"}


@dataclass(frozen=True)
class Source:
    """Where a version came from: what the registry said of it, and its MLmodel file's contents."""

    model: str
    version: str
    run_id: str | None
    label: str | None
    reader: str
    options: Mapping[str, Any]
    format: str
    flavour: str
    mlmodel: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The version as people name it."""
        return f"{self.model} version {self.version}" if self.version else self.model


def describe(source: Source, fitted: Fitted, folder: Path, requirements: tuple[str, ...]) -> Description:
    """Describe a loaded version.

    Raises:
        NoSignature: neither the version nor its library names the inputs.
        UnsupportedModel: an input or output that no SQL function can have.
    """
    arguments = _arguments(source, fitted)
    example = input_example(folder, source.mlmodel, arguments)
    rows = probe_rows(arguments, fitted.categories, example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = _with_missing(arguments, fitted, rows)
        returns = _returns(source, fitted, arguments, rows)
        has_proba = _has_proba(fitted, arguments, rows)
        fed_by_matrix = fitted.takes_matrix and _matrix_agrees(fitted, arguments, rows)
    classes = tuple(_plain(value) for value in fitted.classes) if fitted.classes is not None else None
    return Description(
        model=source.model,
        version=source.version,
        run_id=source.run_id,
        reader=source.reader,
        options=source.options,
        format=source.format,
        flavour=source.flavour,
        kind=fitted.kind,
        arguments=arguments,
        returns=returns,
        classes=classes,
        has_proba=has_proba,
        label=source.label,
        feed="matrix" if fed_by_matrix else "frame",
        requirements=requirements,
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _arguments(source: Source, fitted: Fitted) -> tuple[Argument, ...]:
    signature = source.mlmodel.get("signature") or {}
    inputs = json.loads(signature["inputs"]) if signature.get("inputs") else []
    if inputs and inputs[0].get("type") == "tensor":
        arguments = _tensor_arguments(source, fitted, inputs)
    elif inputs:
        arguments = [_argument(source, spec, i) for i, spec in enumerate(inputs)]
    elif fitted.names:
        arguments = [Argument(name, "VARCHAR" if name in fitted.text_names else "DOUBLE") for name in fitted.names]
    else:
        raise NoSignature(model=source.title, flavour=source.flavour)
    # A pipeline passes category columns on, to a booster or to histogram boosting; log_model wrote down which.
    logged = (source.mlmodel.get("metadata") or {}).get(CATEGORIES_KEY) or {}
    categories = {**logged, **fitted.pandas_categories}
    return tuple(
        replace(argument, categories=tuple(categories[argument.name])) if argument.name in categories else argument
        for argument in arguments
    )


def _argument(source: Source, spec: Mapping[str, Any], place: int) -> Argument:
    type_ = str(spec.get("type"))
    name = str(spec.get("name", f"x{place}"))
    if type_ not in _FROM_MLFLOW:
        raise UnsupportedModel(model=source.title, reason=f"its input '{name}' is of the type '{type_}'")
    return Argument(name, _FROM_MLFLOW[type_], bool(spec.get("required", True)))


def _tensor_arguments(source: Source, fitted: Fitted, inputs: Sequence[Mapping[str, Any]]) -> list[Argument]:
    spec = inputs[0]["tensor-spec"]
    shape = spec["shape"]
    if len(inputs) > 1 or len(shape) != 2 or shape[1] < 1 or np.dtype(spec["dtype"]).kind not in "biuf":
        raise UnsupportedModel(model=source.title, reason=f"its input is a tensor of the shape {shape}")
    names = fitted.names if fitted.names and len(fitted.names) == shape[1] else [f"x{i}" for i in range(shape[1])]
    return [Argument(name, _FROM_NUMPY[np.dtype(spec["dtype"]).kind]) for name in names]


def input_example(folder: Path, mlmodel: Mapping[str, Any], arguments: Sequence[Argument]) -> Columns | None:
    """The rows that were logged with the model, as columns by argument; None where there are none to read."""
    info = mlmodel.get("saved_input_example_info") or {}
    path = folder / str(info.get("artifact_path", ""))
    if info.get("type") != "dataframe" or info.get("pandas_orient") != "split" or not path.is_file():
        return None
    held = json.loads(path.read_text(encoding="utf-8"))
    names = [str(name) for name in held.get("columns", [argument.name for argument in arguments])]
    by_name = dict(zip(names, zip(*held["data"], strict=True), strict=False)) if held["data"] else {}
    columns: list[pa.Array] = []
    for argument in arguments:
        values = by_name.get(argument.name)
        if values is None:
            return None
        try:
            array = pa.array([value for value in values], from_pandas=True)
            columns.append(array if array.type == ARROW[argument.type] else array.cast(ARROW[argument.type]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return None
    return columns


def _with_missing(arguments: tuple[Argument, ...], fitted: Fitted, rows: Columns) -> tuple[Argument, ...]:
    """Find out which arguments the model takes as missing, by giving it rows where they are.

    Many at a time: a group that the model takes is settled by one call, one that it refuses is halved.
    """
    complete = _complete_rows(arguments, fitted, rows)
    if complete is None:
        return arguments
    settled = list(arguments)

    def accepts(places: Sequence[int], way: Missing) -> bool:
        tried = [replace(argument, missing=way) if i in places else argument for i, argument in enumerate(settled)]
        columns = [pa.nulls(len(array), array.type) if i in places else array for i, array in enumerate(complete)]
        return all(_sound(call, columns, tried) for call in _calls(fitted))

    def settle(places: list[int], way: Missing) -> None:
        if not places:
            return
        if accepts(places, way):
            for i in places:
                settled[i] = replace(settled[i], missing=way)
        elif len(places) > 1:
            settle(places[: len(places) // 2], way)
            settle(places[len(places) // 2 :], way)

    settle([i for i, argument in enumerate(arguments) if argument.type != "VARCHAR"], "nan")
    texts = [i for i, argument in enumerate(arguments) if argument.type == "VARCHAR"]
    settle(texts, "nan")
    settle([i for i in texts if settled[i].missing is None], "none")
    return tuple(settled)


def _complete_rows(arguments: Sequence[Argument], fitted: Fitted, rows: Columns) -> Columns | None:
    """Up to three rows, with no NULL, that the model answers."""
    whole = pa.table(rows, names=[str(i) for i in range(len(rows))]).drop_null()
    for start in range(min(whole.num_rows, 8)):
        columns = [column.combine_chunks() for column in whole.slice(start, 3).columns]
        if all(_sound(call, columns, arguments) for call in _calls(fitted)):
            return columns
    return None


def _calls(fitted: Fitted) -> list[Callable[[Any], Any]]:
    return [fitted.predict] if fitted.proba is None else [fitted.predict, fitted.proba]


def _sound(call: Callable[[Any], Any], columns: Columns, arguments: Sequence[Argument]) -> bool:
    """Whether the model answers these rows, and with numbers where it answers with numbers."""
    answers = trial(call, feed.frame(columns, arguments))
    if answers is None:
        return False
    values = np.asarray(answers)
    return values.dtype.kind != "f" or not bool(np.isnan(values).any())


def _returns(source: Source, fitted: Fitted, arguments: Sequence[Argument], rows: Columns) -> Returns:
    answers = trial(fitted.predict, feed.frame(rows, arguments))
    if answers is None and (complete := _complete_rows(arguments, fitted, rows)) is not None:
        answers = trial(fitted.predict, feed.frame(complete, arguments))
    name = "label" if fitted.kind == "classifier" else "value"
    if answers is None:
        return _declared_returns(source, fitted, name)
    if type(answers).__name__ == "DataFrame":
        columns = {str(column): np.asarray(answers[column]) for column in answers.columns}
        if len(columns) > 1:
            return Returns("struct", tuple((n, _scalar_type(source, v)) for n, v in columns.items()))
        answers = next(iter(columns.values()))
    values = np.asarray(answers)
    if values.ndim == 2 and values.shape[1] > 1:
        return Returns("list", ((name, _scalar_type(source, values)),))
    if values.ndim > 2:
        raise UnsupportedModel(model=source.title, reason=f"its answers have the shape {values.shape}")
    return Returns("scalar", ((name, _scalar_type(source, values)),))


def _declared_returns(source: Source, fitted: Fitted, name: str) -> Returns:
    """Where no probe row was answered: by the classes or the signature's outputs."""
    if fitted.classes is not None:
        return Returns("scalar", ((name, _scalar_type(source, np.asarray(fitted.classes))),))
    signature = source.mlmodel.get("signature") or {}
    outputs = json.loads(signature["outputs"]) if signature.get("outputs") else []
    if len(outputs) == 1 and outputs[0]["type"] in _FROM_MLFLOW:
        return Returns("scalar", ((name, _FROM_MLFLOW[outputs[0]["type"]]),))
    if len(outputs) == 1 and outputs[0]["type"] == "tensor" and len(outputs[0]["tensor-spec"]["shape"]) == 1:
        kind = np.dtype(outputs[0]["tensor-spec"]["dtype"]).kind
        return Returns("scalar", ((name, _FROM_NUMPY.get(kind, "VARCHAR")),))
    raise UnsupportedModel(
        model=source.title, reason="it answered none of the rows it was tried with; log it with an input example"
    )


def _scalar_type(source: Source, values: Any) -> str:
    if values.dtype.kind in _FROM_NUMPY:
        return _FROM_NUMPY[values.dtype.kind]
    kinds = {type(value) for value in values.reshape(-1).tolist()}
    for type_, name in ((bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"), (str, "VARCHAR")):
        if kinds and all(issubclass(kind, type_) for kind in kinds):
            return name
    raise UnsupportedModel(model=source.title, reason=f"its answers are of the type '{values.dtype}'")


def _has_proba(fitted: Fitted, arguments: Sequence[Argument], rows: Columns) -> bool:
    if fitted.proba is None or fitted.classes is None:
        return False
    complete = _complete_rows(arguments, fitted, rows)
    answers = trial(fitted.proba, feed.frame(complete if complete is not None else rows, arguments))
    return answers is None or np.asarray(answers).shape[-1:] == (len(fitted.classes),)


def _matrix_agrees(fitted: Fitted, arguments: Sequence[Argument], rows: Columns) -> bool:
    """Whether a float64 matrix gives the very bits that a data frame does, for rows with and without NULL."""
    if any(argument.categories or argument.type in ("VARCHAR", "BLOB", "TIMESTAMP") for argument in arguments):
        return False
    passable = [
        array if argument.missing else array.fill_null(0) for array, argument in zip(rows, arguments, strict=True)
    ]
    for call in _calls(fitted):
        by_frame = trial(call, feed.frame(passable, arguments))
        by_matrix = trial(call, feed.matrix(passable))
        if by_frame is None or by_matrix is None:
            return False
        left, right = np.asarray(by_frame), np.asarray(by_matrix)
        same = np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
        if not same or left.dtype != right.dtype:
            return False
    return True
