"""What parity is: the answers that a query gets against the model's own, on the same rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlml.models import readers
from sqlml.models.artifact import ArtifactStore
from sqlml.models.cases import FLOAT32_TOLERANCE
from sqlml.models.compiled import Compiled
from sqlml.models.description import Description
from sqlml.models.log import LoggedModel, log_model
from sqlml.models.predictor import Predictor
from sqlml.models.reading import ModelReader
from sqlml.models.reference import ModelReference
from sqlml.programs.kernel.loading import machine
from sqlml.programs.store import load

# Sums of floats may be added up in another order.
RELATIVE = 1e-9


@dataclass(frozen=True)
class Asked:
    """A model that went through the registry, and the predictor that a session would load."""

    model: Any
    logged: LoggedModel
    description: Description
    predictor: Predictor
    compiled: Compiled | None

    def answers(self, output: Any, columns: list[pa.Array]) -> list[list[Any]]:
        """What each strategy gives; a program that refuses a row leaves the batch to the model itself."""
        given = [self.predictor(output, columns), self.compiled and self.compiled(output, columns)]
        return [answers.to_pylist() for answers in given if answers is not None]


class Registry:
    """A registry, an artifact store and a child process that every test of the session shares."""

    def __init__(self, folder: Any) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.store = ArtifactStore(folder / "artifacts")
        self.reader = ModelReader(self.uri, self.store)

    def through(self, model: Any, rows: Any, name: str, **options: Any) -> Asked:
        """Log, fetch, describe in the child, verify and load here."""
        safe = "".join(letter if letter.isalnum() else "_" for letter in name)
        logged = log_model(model, name=safe, signature_from=rows, registry=self.uri, **options)
        artifact = self.reader.fetch(ModelReference.parse(logged.uri))
        tried = self.reader.describe(artifact, trusted=logged.needs_trust)
        description, proof = tried.description, tried.proof
        assert proof["label_mismatches"] == 0
        assert proof["max_relative"] <= RELATIVE
        folder = self.store.verify(artifact.digest, artifact.manifest, description.title)
        fitted = readers.load(
            description.reader, folder, description.options, trusted=logged.needs_trust, model=description.title
        )
        compiled = None
        if description.program is not None:
            program = load(self.store.programs, description.program)
            compiled = Compiled("f", description, program, "propagate", machine())
        return Asked(model, logged, description, Predictor("f", description, fitted, "propagate"), compiled)


def arrow(rows: pd.DataFrame) -> list[pa.Array]:
    """The rows as an engine would hand them over: missing values are NULL."""
    return [pa.array(rows[name], from_pandas=True) for name in rows.columns]


def own(call: Any, rows: Any) -> Any:
    """The model's own answer, or None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(rows)
        except (ValueError, TypeError, IndexError):
            return None


def same(got: list[Any], expected: Any) -> None:
    """Labels and numbers of trees are equal; sums of floats nearly."""
    wanted = np.asarray(expected)
    wanted = wanted.reshape(len(wanted), -1)
    found = np.array([value if isinstance(value, list) else [value] for value in got], dtype=object)
    assert found.shape == wanted.shape
    if wanted.dtype.kind == "f":
        # A library that answers in float32 has rounded its exp to seven digits.
        close = FLOAT32_TOLERANCE if wanted.dtype == np.float32 else RELATIVE
        np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=close, atol=1e-15)
    else:
        assert (found == wanted).all()
        assert {type(value) for value in found.reshape(-1)} <= {int, str, bool, float}


def check(asked: Asked, rows: pd.DataFrame, given: Any = None) -> None:
    """Every output of the predictor equals the model's own on these rows; `given` is what the model takes for them."""
    given = rows if given is None else given
    columns = arrow(rows)
    predicted = own(asked.model.predict, given)
    assert predicted is not None
    for found in asked.answers("predict", columns):
        same(found, predicted)
    outputs = asked.description.outputs()
    if "proba" not in outputs:
        return
    proba = asked.model.predict_proba(given)
    classes = [value.item() if isinstance(value, np.generic) else value for value in asked.model.classes_]
    for found in asked.answers("proba", columns):
        assert [[label for label, _ in row] for row in found] == [classes] * len(rows)
        same([[p for _, p in row] for row in found], proba)
    for found in asked.answers("probs", columns):
        same([[one["prob"] for one in row] for row in found], proba)
    assert ("score" in outputs) == (len(classes) == 2)
    if len(classes) == 2:
        for found in asked.answers("score", columns):
            same(found, proba[:, 1])


def check_missing(asked: Asked, rows: pd.DataFrame) -> None:
    """A NULL is answered where the model itself answers the row, else gives NULL; no other row changes."""
    width = len(rows.columns)
    holed = rows.iloc[: width + 2].reset_index(drop=True).copy()
    for place, name in enumerate(rows.columns):
        if holed[name].dtype.kind in "iub":
            holed[name] = holed[name].astype(float)
        holed.loc[place, name] = None if holed[name].dtype.kind not in "fM" else np.nan
    whole = asked.answers("predict", arrow(rows.iloc[: width + 2]))[0]
    for got in asked.answers("predict", arrow(holed)):
        same(got[width:], np.array(whole[width:]))
        for place, argument in enumerate(asked.description.arguments):
            answer = own(asked.model.predict, holed.iloc[place : place + 1])
            if not argument.used:
                # What the answer doesn't depend on may be missing, though the model would refuse it.
                same([got[place]], np.array([whole[place]]))
            elif argument.missing is None:
                assert got[place] is None
                assert answer is None, f"the model takes a missing '{argument.name}'"
            else:
                assert answer is not None, f"the model refuses a missing '{argument.name}'"
                same([got[place]], answer)
