"""Models of several libraries in Spark's JVM: the answers are the model's own, also where values are missing."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("pyspark")

import lightgbm
import xgboost
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from programs.java_asking import session
from programs.sklearn_asking import LENGTHS, fitted, penguins
from sqlml.models.cases import compare_answers, make_cases, tolerance
from sqlml.models.compiled import Compiled
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.readers.program import read_program
from sqlml.programs.program import Trees
from sqlml.programs.simplify import compact, prune
from sqlml.types import ARROW, Returns, label_type

# Twenty models are fitted here; what each kind of node does in Java is asked in the other files.
pytestmark = [
    pytest.mark.spark,
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
]

TEXTS = ["island", "sex"]
ALL = penguins()[[*LENGTHS, *TEXTS, "is_late"]]
FULL = ALL.dropna().reset_index(drop=True)
SPECIES = penguins()["species"]
NUMBERS = FULL[LENGTHS]


def mixed(model, unknown="ignore"):
    texts = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown=unknown))
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    parts = [("numbers", numeric, LENGTHS), ("texts", texts, TEXTS), ("late", "passthrough", ["is_late"])]
    return make_pipeline(ColumnTransformer(parts), model)


def histogram(model):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    parts = [("texts", codes, TEXTS), ("numbers", "passthrough", LENGTHS)]
    return make_pipeline(ColumnTransformer(parts), model.set_params(categorical_features=[0, 1], max_iter=20))


# A model, its rows, and what it is to predict.
MODELS = {
    "logistic of three": (lambda: mixed(LogisticRegression(max_iter=500)), ALL, SPECIES),
    "logistic of two": (lambda: mixed(LogisticRegression(max_iter=500)), ALL, SPECIES == "Adelie"),
    "logistic that refuses": (lambda: mixed(LogisticRegression(max_iter=500), "error"), ALL, SPECIES == "Adelie"),
    "ridge": (lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()), NUMBERS, "numbers"),
    "bins": (lambda: make_pipeline(KBinsDiscretizer(5), Ridge()), NUMBERS, "numbers"),
    "forest": (lambda: RandomForestClassifier(40, random_state=0), ALL[LENGTHS], SPECIES),
    "forest over texts": (lambda: mixed(RandomForestClassifier(20, random_state=0)), ALL, SPECIES),
    "extra trees": (lambda: ExtraTreesRegressor(20, random_state=0), NUMBERS, "numbers"),
    "gradient boosting": (lambda: GradientBoostingClassifier(n_estimators=20, random_state=0), NUMBERS, "species"),
    "histograms": (lambda: histogram(HistGradientBoostingClassifier()), ALL, SPECIES),
    "histograms, a number": (lambda: histogram(HistGradientBoostingRegressor()), ALL, "numbers"),
    "lightgbm": (lambda: lightgbm.LGBMClassifier(n_estimators=30, verbose=-1), ALL[LENGTHS], SPECIES),
    "lightgbm, a number": (lambda: lightgbm.LGBMRegressor(n_estimators=30, verbose=-1), ALL[LENGTHS], "numbers"),
    "xgboost": (lambda: xgboost.XGBClassifier(n_estimators=30), ALL[LENGTHS], SPECIES.astype("category").cat.codes),
    "xgboost of two": (lambda: xgboost.XGBClassifier(n_estimators=30), ALL[LENGTHS], (SPECIES == "Adelie").astype(int)),
    "network": (lambda: mixed(MLPClassifier((40, 20), max_iter=60, random_state=0)), ALL, SPECIES),
    "naive Bayes": (GaussianNB, NUMBERS, "species"),
    "kernel": (lambda: make_pipeline(StandardScaler(), SVC()), NUMBERS, "species"),
    "median of trees": (lambda: AdaBoostRegressor(n_estimators=20, random_state=0), NUMBERS, "numbers"),
    "clusters": (lambda: KMeans(5, n_init=1, random_state=0), NUMBERS, None),
}
EXACT = {"extra trees", "histograms, a number", "lightgbm, a number", "median of trees"}


@pytest.fixture(scope="module")
def jvm(spark, tmp_path_factory):
    return session(spark, tmp_path_factory.mktemp("jars"))


def made(name):
    """The model, its program and description, as CREATE FUNCTION would have them."""
    make, rows, values = MODELS[name]
    if isinstance(values, str):
        values = penguins().dropna()["species"] if values == "species" else np.arange(len(rows)) ** 0.5
    model = fitted(make(), rows, values.to_numpy() if isinstance(values, pd.Series) else values)
    types = {"f": "DOUBLE", "b": "BOOLEAN"}
    takes_missing = rows is not FULL and rows is not NUMBERS
    arguments = tuple(
        Argument(
            column,
            types.get(rows[column].dtype.kind, "VARCHAR"),
            missing="nan" if takes_missing and column != "is_late" and name != "logistic that refuses" else None,
        )
        for column in rows.columns
    )
    classes = getattr(model, "classes_", None)
    held = None if classes is None else tuple(one.item() if isinstance(one, np.generic) else one for one in classes)
    has_proba = hasattr(model, "predict_proba")
    kind = "DOUBLE" if held is None else label_type(held)
    kind = "BIGINT" if name == "clusters" else kind
    program = compact(prune(read_program(model, arguments)))
    description = Description(
        model=name, version="1", run_id=None, reader="", options={}, format="", flavour="",
        kind="regressor" if held is None else "classifier", arguments=arguments,
        returns=Returns("scalar", (("value", kind),)), classes=held, has_proba=has_proba, label=None, feed="frame",
        labelled="label" in program.heads,
    )  # fmt: skip
    own = Fitted("", description.kind, model.predict, model, model.predict_proba if has_proba else None, held)
    return description, program, own, rows


def ways(jvm, compiled):
    """Every output of a function as a call over arrays: in Spark's JVM."""
    publication = compiled.publication()

    def answer(output, columns):
        named = [(one.name, array) for one, array in zip(compiled.description.taken, columns, strict=True)]
        table = pa.table(dict(named)).append_column("__row", pa.array(range(len(columns[0]))))
        suffix = {"predict": "", "score": "_score", "probs": "_proba"}[output]
        if id(columns) not in asked:
            asked[id(columns)] = jvm.answers([publication], table)
        got = asked[id(columns)][f"f{suffix}"]
        if output == "probs":
            struct = [None if row is None else [{"label": one, "prob": p} for one, p in row] for row in got]
            label = ARROW[label_type(compiled.description.classes)]
            return pa.array(struct, pa.list_(pa.struct([("label", label), ("prob", pa.float64())])))
        return pa.array(got, compiled.description.returns.arrow if output == "predict" else pa.float64())

    asked = {}
    return answer


@pytest.mark.parametrize("name", MODELS)
def test_a_model(jvm, name):
    description, program, own, rows = made(name)
    assert len(description.taken) == len(rows.columns)
    columns = [pa.array(rows[a.name], ARROW[a.type], from_pandas=True) for a in description.arguments]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = make_cases(program, description, own, columns)
    compiled = Compiled("f", description, program, "propagate", None)
    answer = ways(jvm, compiled)
    assert cases.rows > 600
    assert any(array.null_count for array in cases.columns) == any(a.missing for a in description.arguments)
    _, reason = compare_answers(description, cases, answer, max(1e-9, tolerance(program)))
    assert reason is None
    # Nearer still to the evaluator, also where a NULL makes the answer NULL.
    holed = [pa.concat_arrays([array, array[:40]]) for array in cases.columns]
    for i, array in enumerate(holed):
        keep = np.arange(len(array)) != cases.rows + i
        holed[i] = array.take(pa.array(np.arange(len(array)), mask=~keep))
    wanted, got = compiled("predict", holed), answer("predict", holed)
    if wanted is None:
        assert name == "logistic that refuses"
        return
    exact = name in EXACT
    assert exact <= any(isinstance(node, Trees) for node in program.nodes)
    assert wanted.is_null().equals(got.is_null())
    if wanted.type != pa.float64():
        assert wanted.to_pylist() == got.to_pylist()
    else:
        a, b = (one.to_numpy(zero_copy_only=False) for one in (wanted, got))
        np.testing.assert_allclose(b, a, rtol=0.0 if exact else 1e-11, atol=0.0)
