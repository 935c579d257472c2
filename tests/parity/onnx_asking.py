"""ONNX models through the registry, as MLflow logs them, and onnxruntime's own answers to the same rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

from parity.asking import RELATIVE, Asked, Registry
from sqlml.models import readers, registry
from sqlml.models.compiled import Compiled
from sqlml.models.log import LoggedModel
from sqlml.models.predictor import Predictor
from sqlml.models.reference import ModelReference
from sqlml.models.signature import column_types
from sqlml.programs.kernel.loading import machine
from sqlml.programs.store import load


class Own:
    """A session of onnxruntime's, asked as its documentation asks one."""

    def __init__(self, model: Any) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        )

    def __call__(self, rows: pd.DataFrame) -> list[Any]:
        return self.session.run(None, self.feeds(rows))

    def feeds(self, rows: pd.DataFrame) -> dict[str, Any]:
        types = {
            "tensor(float)": np.float32,
            "tensor(double)": np.float64,
            "tensor(int64)": np.int64,
            "tensor(bool)": bool,
            "tensor(string)": object,
        }
        inputs = self.session.get_inputs()
        if len(inputs) == 1 and len(rows.columns) > 1:
            return {inputs[0].name: rows.to_numpy().astype(types[inputs[0].type])}
        names = {
            name: name if name in rows.columns else rows.columns[i] for i, name in enumerate(i.name for i in inputs)
        }
        return {one.name: rows[names[one.name]].to_numpy().astype(types[one.type])[:, None] for one in inputs}


def logged(held: Registry, model: Any, rows: pd.DataFrame, name: str) -> LoggedModel:
    """Log as `mlflow.onnx.log_model` does, with a signature of the rows' columns."""
    safe = "".join(letter if letter.isalnum() else "_" for letter in name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        registry.save(
            model,
            "onnx",
            folder,
            columns=column_types(rows, name),
            example=rows.head(5),
            answered=np.zeros(5),
            requirements=["onnxruntime"],
            metadata={},
            options={},
        )
        version = registry.publish(held.uri, folder, name=safe, tags={}, alias=None)
    return LoggedModel(safe, version, f"models:/{safe}/{version}", "onnx", needs_trust=False)


def through(held: Registry, model: Any, rows: pd.DataFrame, name: str) -> Asked:
    """Log, fetch, describe in the child, verify and load here; the model is its own session."""
    made = logged(held, model, rows, name)
    artifact = held.reader.fetch(ModelReference.parse(made.uri))
    tried = held.reader.describe(artifact, trusted=False)
    description = tried.description
    assert tried.proof["label_mismatches"] == 0
    assert tried.proof["max_relative"] <= RELATIVE
    folder = held.store.verify(artifact.digest, artifact.manifest, description.title)
    fitted = readers.load(description.reader, folder, description.options, trusted=False, model=description.title)
    compiled = None
    if description.program is not None:
        program = load(held.store.programs, description.program)
        compiled = Compiled("f", description, program, "propagate", machine())
    return Asked(Own(model), made, description, Predictor("f", description, fitted, "propagate"), compiled)
