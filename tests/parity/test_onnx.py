"""ONNX models answer as onnxruntime answers the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from parity.asking import arrow
from parity.test_stock import mixed, numbers, target
from sqlml.errors import PredictionFailed, UnsupportedModel

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
through = pytest.importorskip("parity.onnx_asking").through

ROWS = numbers("").astype(np.float32).astype(np.float64)
VALUES = target(ROWS)
TWO = (np.median(VALUES) < VALUES).astype(int)
THREE = np.digitize(VALUES, np.quantile(VALUES, [0.3, 0.6]))
TEXTS = np.array(["adelie", "chinstrap", "gentoo"])[THREE]
MODELS: dict[str, tuple[Any, Any]] = {
    "linear": (LinearRegression(), VALUES),
    "linear of two": (LinearRegression(), np.column_stack([VALUES, -VALUES])),
    "logistic": (LogisticRegression(), TWO),
    "logistic of texts": (LogisticRegression(), TEXTS),
    "scaled logistic": (make_pipeline(StandardScaler(), LogisticRegression()), TWO + 4),
    "forest": (RandomForestClassifier(9, max_depth=4, random_state=0), TWO),
    "forest of texts": (RandomForestClassifier(9, max_depth=4, random_state=0), TEXTS),
    "forest of numbers": (RandomForestRegressor(9, max_depth=4, random_state=0), VALUES),
    "boosting": (GradientBoostingClassifier(n_estimators=9), TWO),
    "boosting of texts": (GradientBoostingClassifier(n_estimators=9), TEXTS),
    "boosting of numbers": (GradientBoostingRegressor(n_estimators=9), VALUES),
    "network": (MLPClassifier((8,), tol=9.0, random_state=0), TEXTS),
    "network of numbers": (MLPRegressor(hidden_layer_sizes=(8,), tol=9.0, random_state=0), VALUES),
}


def matrix_of(model: Any, labels: Any, **options: Any) -> Any:
    """One input for all columns, in float32."""
    given = ROWS.to_numpy(np.float32)
    return skl2onnx.to_onnx(model.fit(given, labels), given[:1], options=options or None)


def same(got: list[Any], expected: Any) -> None:
    """As onnxruntime says: its float32 sums may come in another order where a program makes them."""
    wanted = np.asarray(expected)
    found = np.asarray(got, dtype=object).reshape(wanted.shape)
    if wanted.dtype.kind != "f":
        assert (found == wanted).all()
        return
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=2e-6, atol=2e-7)


def check(asked: Any, rows: pd.DataFrame) -> None:
    """Every output of every strategy beside the session's."""
    columns, outputs = arrow(rows), asked.description.outputs()
    answers = asked.model(rows)
    label = answers[0].reshape(len(rows), -1)
    for found in asked.answers("predict", columns):
        same(found, label if label.shape[1] > 1 else label[:, 0])
    if "proba" not in outputs:
        return
    classes = list(asked.description.classes)
    proba = answers[1] if len(answers) == 2 else np.column_stack(answers[1:])
    if isinstance(proba, list):
        assert list(proba[0]) == classes
        proba = np.array([[row[label] for label in classes] for row in proba])
    for found in asked.answers("proba", columns):
        assert [[label for label, _ in row] for row in found] == [classes] * len(rows)
        same([[p for _, p in row] for row in found], proba)
    assert ("score" in outputs) == (len(classes) == 2)
    for found in asked.answers("score", columns) if len(classes) == 2 else ():
        same(found, proba[:, 1])


@pytest.mark.parametrize("name", MODELS)
def test_one_input_of_all_columns(registry, name):
    asked = through(registry, matrix_of(*MODELS[name]), ROWS, f"onnx {name}")
    held = asked.description
    assert (held.format, held.flavour, held.reader) == ("onnx", "onnx", "onnx")
    assert [(a.name, a.type) for a in held.arguments] == [(name, "DOUBLE") for name in ROWS.columns]
    assert held.feed == "matrix"
    assert held.strategies == ("kernel", "python"), held.no_program
    assert ("proba" in held.outputs()) == ("numbers" not in name and "linear" not in name)
    assert held.kind == ("classifier" if "proba" in held.outputs() else "other" if "of two" in name else "regressor")
    check(asked, ROWS)
    # What float32 doesn't hold is rounded first.
    check(asked, ROWS * 1.1)


@pytest.mark.parametrize("name", ["linear", "logistic", "forest of texts", "boosting of numbers"])
def test_mlflow_says_the_same(registry, name, tmp_path):
    """Its pyfunc rounds to float32 as well; what it can't put into a frame's column it flattens."""
    mlflow_onnx = pytest.importorskip("mlflow.onnx")
    model = matrix_of(*MODELS[name])
    mlflow_onnx.save_model(model, str(tmp_path / "m"), pip_requirements=["onnxruntime"])
    answers = mlflow_onnx._load_pyfunc(str(tmp_path / "m" / "model.onnx")).predict(ROWS * 1.1)
    asked = through(registry, model, ROWS, f"mlflow {name}")
    same(asked.predictor("predict", arrow(ROWS * 1.1)).to_pylist(), answers.iloc[:, 0].to_numpy())
    if "proba" in asked.description.outputs():
        found = asked.predictor("proba", arrow(ROWS * 1.1)).to_pylist()
        # It runs on every core, and so adds up a forest's trees in another order.
        same([[p for _, p in row] for row in found], [list(row.values()) for row in answers.iloc[:, 1]])


@pytest.mark.parametrize("zipmap", [False, "columns"])
@pytest.mark.parametrize("name", ["logistic", "forest of texts", "network"])
def test_probabilities_without_maps(registry, name, zipmap):
    asked = through(registry, matrix_of(*MODELS[name], zipmap=zipmap), ROWS, f"onnx {name} {zipmap}")
    assert asked.description.classes == ((0, 1) if name == "logistic" else ("adelie", "chinstrap", "gentoo"))
    check(asked, ROWS)


def every_type() -> pd.DataFrame:
    rows = mixed().astype({name: np.float32 for name in ROWS.columns})
    random = np.random.default_rng(5)
    return rows.assign(
        island=rows.island.fillna("none").astype(object),
        count=random.integers(0, 4, len(rows)),
        wet=random.integers(0, 2, len(rows)).astype(bool),
    )


def prepared(model: Any) -> Any:
    plain = ["length", "width", "height", "weight"]
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), plain),
                ("texts", OneHotEncoder(handle_unknown="ignore"), ["island"]),
                ("whole", OneHotEncoder(handle_unknown="ignore"), ["count"]),
                ("flags", "passthrough", ["wet"]),
            ]
        ),
        model,
    )


@pytest.mark.parametrize("model", [LogisticRegression(), DecisionTreeClassifier(max_depth=4), LinearRegression()])
def test_one_input_a_column(registry, model):
    rows = every_type()
    fitted = prepared(model).fit(rows, TWO if hasattr(model, "predict_proba") else VALUES)
    asked = through(registry, skl2onnx.to_onnx(fitted, rows), rows, f"onnx columns {type(model).__name__}")
    arguments = asked.description.arguments
    assert asked.compiled is not None, asked.description.no_program
    assert [a.type for a in arguments] == ["DOUBLE"] * 4 + ["VARCHAR", "BIGINT", "BOOLEAN"]
    # It has an imputer for its numbers, and onnxruntime no missing value for the others.
    assert [a.missing for a in arguments] == ["nan"] * 4 + [None] * 3
    check(asked, rows)
    odd = rows.assign(island=np.where(rows.index % 4, rows.island, "Anvers"), count=rows["count"] + 2)
    check(asked, odd)
    holed = odd.assign(island=odd.island.where(odd.index != 3))
    for found in asked.answers("predict", arrow(holed)):
        assert [place for place, one in enumerate(found) if one is None] == [3]
    passing = type(asked.predictor)("f", asked.description, asked.predictor.fitted, "pass")
    with pytest.raises(PredictionFailed):
        passing("predict", arrow(holed))


def test_a_category_that_the_encoder_refuses(registry):
    rows = every_type()[["length", "island"]].fillna({"length": 1.0})
    columns = ColumnTransformer([("n", "passthrough", ["length"]), ("t", OrdinalEncoder(), ["island"])])
    fitted = make_pipeline(columns, DecisionTreeClassifier(max_depth=3)).fit(rows, TWO)
    asked = through(registry, skl2onnx.to_onnx(fitted, rows), rows, "onnx ordinal")
    check(asked, rows)
    check(asked, rows.assign(island="Anvers"))


def test_odd_names(registry):
    rows = every_type()[["length", "island"]].set_axis(["the length", "is-land"], axis=1)
    columns = ColumnTransformer([("n", SimpleImputer(), ["the length"]), ("t", OneHotEncoder(), ["is-land"])])
    fitted = make_pipeline(columns, LogisticRegression()).fit(rows, TWO)
    asked = through(registry, skl2onnx.to_onnx(fitted, rows), rows, "onnx odd names")
    assert [argument.name for argument in asked.description.arguments] == ["the length", "is-land"]
    check(asked, rows)


def test_a_cluster_s_first_output_is_the_answer(registry):
    given = ROWS.to_numpy(np.float32)
    asked = through(
        registry, skl2onnx.to_onnx(KMeans(3, n_init=1, random_state=0).fit(given), given[:1]), ROWS, "onnx clusters"
    )
    assert (asked.description.kind, asked.description.returns.sql) == ("other", "BIGINT")
    assert asked.description.no_program == "ReduceSumSquare: no reader for this operator"
    check(asked, ROWS)


def simple(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> Any:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "graph",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_several_values_are_a_struct(registry):
    model = simple(
        [("MatMul", ["x", "w"], ["y"]), ("MatMul", ["x", "v"], ["z"])],
        [("x", 1, [None, 4])],
        [("y", 1, [None, 1]), ("z", 1, [None, 1])],
        {"w": np.ones((4, 1), np.float32), "v": np.full((4, 1), 2, np.float32)},
    )
    asked = through(registry, model, ROWS, "onnx struct")
    assert asked.description.returns.sql == 'STRUCT("y" DOUBLE, "z" DOUBLE)'
    got = asked.predictor("predict", arrow(ROWS)).to_pylist()
    expected = asked.model(ROWS)
    same([row["y"] for row in got], expected[0][:, 0])
    same([row["z"] for row in got], expected[1][:, 0])


@pytest.mark.parametrize(
    ("shape", "reason"), [([1, 4], "takes 1 rows alone"), ([None, 2, 2], "is of the shape")], ids=["batch", "cube"]
)
def test_an_input_that_no_query_has(registry, shape, reason):
    model = simple([("Relu", ["x"], ["y"])], [("x", 1, shape)], [("y", 1, shape)], {})
    with pytest.raises(UnsupportedModel, match=reason):
        through(registry, model, ROWS, f"onnx {reason}")
