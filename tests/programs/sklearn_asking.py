"""What it is for a program to answer as its scikit-learn model, and rows of penguins to ask both about."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from palmerpenguins import load_penguins
from scipy import sparse

from sqlml.models.description import Argument
from sqlml.models.readers.program import opened, read_program
from sqlml.programs.evaluate import Evaluation, evaluate
from sqlml.programs.program import Program

RELATIVE = 1e-12

PENGUINS = load_penguins()
LENGTHS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_kg"]


def penguins() -> pd.DataFrame:
    """Rows with texts, numbers, whole numbers and booleans, some of them missing."""
    rows = PENGUINS.assign(body_mass_kg=PENGUINS["body_mass_g"] / 1000).drop(columns="body_mass_g")
    rows["is_late"] = rows["year"] > 2007
    return rows.iloc[::3].reset_index(drop=True)


def around(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, some near them and some further off."""
    random = np.random.default_rng(5)
    near, far = (rows + random.normal(0, size, rows.shape) * rows.std().to_numpy() for size in (0.1, 2.0))
    return pd.concat([rows, near, far.abs(), rows.iloc[:20].round()], ignore_index=True)


def arguments_of(rows: pd.DataFrame) -> list[Argument]:
    types = {"f": "DOUBLE", "i": "BIGINT", "b": "BOOLEAN"}
    return [
        Argument(str(name), types.get(rows[name].dtype.kind, "VARCHAR"), missing="nan" if rows[name].hasnans else None)
        for name in rows.columns
    ]


def asked(program: Program, rows: pd.DataFrame) -> Evaluation:
    return evaluate(program, [column(rows[node.name], node.text) for node in program.inputs])


def column(values: Any, text: bool) -> Any:
    return pa.array(values, pa.string(), from_pandas=True) if text else values.to_numpy(np.float64, na_value=np.nan)


def fitted(model: Any, rows: Any, values: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(rows, values)


def own(call: Any, rows: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(rows)


def near(found: Any, wanted: Any) -> None:
    held = wanted.toarray() if sparse.issparse(wanted) else np.asarray(wanted)
    np.testing.assert_allclose(found, held.astype(float).reshape(len(found), -1), rtol=RELATIVE, atol=1e-15)


def same(model: Any, rows: pd.DataFrame, arguments: Sequence[Argument] | None = None, refused: int = 0) -> Program:
    """Every head of its program is the model's own answer, of the rows that it doesn't refuse."""
    program = read_program(model, arguments or arguments_of(rows))
    got = asked(program, rows)
    assert got.refused.sum() == refused
    kept, rows = ~got.refused, rows[~got.refused]
    wanted = own(model.predict, rows)
    if "label" not in got.heads:
        near(got.heads["value"][kept], wanted)
        return program
    labels = got.heads["label"][kept, 0]
    assert (np.asarray(model.classes_)[labels.astype(int)] == wanted).all()
    assert ("probabilities" in got.heads) == hasattr(model, "predict_proba")
    if hasattr(model, "predict_proba"):
        near(got.heads["probabilities"][kept], own(model.predict_proba, rows))
    return program


def transformed(model: Any, rows: pd.DataFrame, arguments: Sequence[Argument] | None = None, refused: int = 0) -> None:
    reading, columns = opened(model, arguments or arguments_of(rows))
    got = asked(reading.graph.program({"value": reading.transform(model, columns)}), rows)
    assert got.refused.sum() == refused
    wanted = own(model.transform, rows[~got.refused])
    held = wanted.toarray() if sparse.issparse(wanted) else np.asarray(wanted)
    np.testing.assert_allclose(got.heads["value"][~got.refused], held.astype(float), rtol=RELATIVE, atol=1e-13)
    if not hasattr(model, "components_") and "Spline" not in type(model).__name__ and held.size:
        # What isn't a long sum is equal to the last bits.
        np.testing.assert_allclose(got.heads["value"][~got.refused], held.astype(float), rtol=1e-15, atol=0)


def numbers(name: str = "") -> pd.DataFrame:
    rows = penguins().dropna().reset_index(drop=True)
    if name == "CategoricalNB":
        return rows[["island", "sex", "year"]].apply(lambda column: column.astype("category").cat.codes).astype(int)
    return rows[LENGTHS[:1] if name == "IsotonicRegression" else LENGTHS]
