"""Batches: NULL policies, empty ones, refusals, and that no row's values reach a message or the log."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sqlml.errors import BadCast, InfiniteArgument, NotTrusted, NullArgument, PredictionFailed, UnknownCategory
from sqlml.models import readers
from sqlml.models.describe import Source, describe
from sqlml.models.fitted import Fitted
from sqlml.models.predictor import Predictor
from sqlml.models.readers.sklearn import fitted_estimator
from sqlml.models.reading import ModelReader
from sqlml.models.reference import ModelReference


def predictor(model, types, on_null="propagate", fitted=None) -> Predictor:
    """A predictor of a fitted model with inputs of these types, without a registry."""
    specs = ", ".join(f'{{"name": "{name}", "type": "{type_}"}}' for name, type_ in types.items())
    mlmodel = {"signature": {"inputs": f"[{specs}]"}}
    source = Source("m", "1", None, None, "sklearn", {}, "skops", "sklearn", mlmodel)
    fitted = fitted or fitted_estimator(model, "m")
    return Predictor("f", describe(source, fitted, Path("/nowhere"), ()), fitted, on_null)


NUMBERS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
DOUBLES = {"a": "double", "b": "double"}
HOLED = [pa.array([1.0, None, 2.0, None, float("nan")]), pa.array([0.0, 1.0, None, None, 1.0])]


@pytest.fixture(scope="module")
def linear():
    return LinearRegression().fit(NUMBERS, [1.0, 2.0, 3.0, 4.0])


@pytest.fixture(scope="module")
def boosted():
    frame = pd.concat([NUMBERS] * 10)
    return HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2).fit(frame, frame["a"] > 1)


def test_propagate_answers_the_whole_rows_alone(linear):
    got = predictor(linear, DOUBLES)("predict", HOLED).to_pylist()
    assert got[1:] == [None] * 4
    assert got[0] == pytest.approx(linear.predict(pd.DataFrame({"a": [1.0], "b": [0.0]}))[0])


def test_propagate_answers_what_the_model_takes_as_missing(boosted):
    got = predictor(boosted, DOUBLES)("predict", HOLED).to_pylist()
    frame = pd.DataFrame({"a": [1, np.nan, 2, np.nan, np.nan], "b": [0, 1, np.nan, np.nan, 1]})
    assert got == boosted.predict(frame).tolist()


def test_error_names_the_argument_and_counts_its_rows(linear, boosted):
    for model in (linear, boosted):
        with pytest.raises(NullArgument) as caught:
            predictor(model, DOUBLES, "error")("predict", HOLED)
        assert "'a' is NULL in 3 of 5 rows" in str(caught.value)
    assert len(predictor(linear, DOUBLES, "error")("predict", [pa.array([1.0]), pa.array([1.0])])) == 1


def test_pass_gives_the_model_what_there_is(linear, boosted):
    with pytest.raises(PredictionFailed, match="raised ValueError on its batch 1 of 5 rows"):
        predictor(linear, DOUBLES, "pass")("predict", HOLED)
    assert None not in predictor(boosted, DOUBLES, "pass")("predict", HOLED).to_pylist()


@pytest.mark.parametrize("output", ["predict", "score", "proba", "probs"])
def test_all_null_and_no_rows(output):
    model = LogisticRegression().fit(NUMBERS, ["no", "yes", "no", "yes"])
    held = predictor(model, DOUBLES)
    assert held(output, [pa.nulls(3), pa.nulls(3)]).to_pylist() == [None] * 3
    empty = held(output, [pa.array([], pa.float64())] * 2)
    assert len(empty) == 0
    one = held(output, [pa.array([1]), pa.array(["2"])])
    assert empty.type == one.type == held(output, [pa.nulls(3), pa.nulls(3)]).type


def test_a_slice_of_a_batch_is_that_slice(linear):
    held = predictor(linear, DOUBLES)
    columns = [pa.array([9.0, 1.0, None, 3.0]), pa.array([9.0, 0.0, 1.0, 1.0])]
    whole = held("predict", columns).to_pylist()
    assert held("predict", [column.slice(1, 2) for column in columns]).to_pylist() == whole[1:3]


def test_a_text_that_is_no_number_is_named(linear):
    with pytest.raises(BadCast) as caught:
        predictor(linear, DOUBLES)("predict", [pa.array(["1", "x1"]), pa.array([1, 2])])
    assert str(caught.value) == "'f': the argument 'a' takes DOUBLE, and the text 'x1' is no number."


def test_infinity_is_a_value_that_the_model_may_refuse(linear, boosted):
    columns = [pa.array([1.0, float("inf"), float("-inf")]), pa.array([1.0, 1.0, 1.0])]
    with pytest.raises(InfiniteArgument, match="'a' is infinite in 2 rows"):
        predictor(linear, DOUBLES)("predict", columns)
    assert None not in predictor(boosted, DOUBLES)("predict", columns).to_pylist()


def encoded(handle_unknown):
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown=handle_unknown))
    columns = ColumnTransformer([("numbers", "passthrough", ["a"]), ("texts", texts, ["origin", "carrier"])])
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0], "origin": ["EWR", "JFK", "LGA"], "carrier": ["AA", "UA", "AA"]})
    return make_pipeline(columns, LinearRegression()).fit(frame, [1.0, 2.0, 3.0])


TEXTS = {"a": "double", "origin": "string", "carrier": "string"}


def test_a_category_never_seen_is_named_with_its_argument():
    held = predictor(encoded("error"), TEXTS)
    columns = [pa.array([1.0, 2.0]), pa.array(["EWR", "JFK"]), pa.array(["AA", "ZZ"])]
    with pytest.raises(UnknownCategory) as caught:
        held("predict", columns)
    assert str(caught.value) == "'f': the model never saw 'ZZ' in the argument 'carrier' and refuses it."


def test_a_category_never_seen_that_the_model_takes():
    model = encoded("ignore")
    columns = [pa.array([1.0, 2.0]), pa.array(["EWR", None]), pa.array(["AA", "ZZ"])]
    frame = pd.DataFrame({"a": [1.0, 2.0], "origin": ["EWR", np.nan], "carrier": ["AA", "ZZ"]})
    assert predictor(model, TEXTS)("predict", columns).to_pylist() == pytest.approx(model.predict(frame).tolist())


class Talkative(LinearRegression):
    """Raises with the rows in its message, as MLflow's schema enforcement does."""

    def predict(self, rows):
        if np.asarray(rows).max() > 1000:
            raise RuntimeError(f"can't take {np.asarray(rows).tolist()}")
        return super().predict(rows)


def test_what_a_library_says_of_rows_is_said_to_nobody(caplog):
    held = predictor(Talkative().fit(NUMBERS, [1.0, 2.0, 3.0, 4.0]), DOUBLES)
    with caplog.at_level(logging.INFO), pytest.raises(PredictionFailed) as caught:
        held("predict", [pa.array([1.0, 123456.0]), pa.array([0.0, 0.0])])
    assert "123456" not in str(caught.value)
    assert "123456" not in caplog.text
    assert "'f' (m version 1) raised RuntimeError on its batch 1 of 2 rows" in str(caught.value)
    assert "raised RuntimeError" in caplog.text


def test_a_model_that_warns_does_so_to_nobody(recwarn):
    def predict(rows):
        warnings.warn("look", UserWarning, stacklevel=2)
        return np.zeros(len(rows))

    held = predictor(None, DOUBLES, fitted=Fitted("x", "regressor", predict))
    assert held("predict", [pa.array([1.0]), pa.array([1.0])]).to_pylist() == [0.0]
    assert not recwarn


@pytest.mark.filterwarnings("ignore:.*type hints")
def test_a_python_function_needs_trust(registry_uri, reader: ModelReader, tmp_path):
    class Twice(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["a"] * 2

    client = mlflow.MlflowClient(registry_uri, registry_uri)
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=Twice(),
        pip_requirements=["mlflow"],
        signature=mlflow.models.infer_signature(NUMBERS, NUMBERS["a"]),
    )
    client.create_registered_model("twice")
    client.create_model_version("twice", str(tmp_path / "model"))
    artifact = reader.fetch(ModelReference.parse("models:/twice/1"))
    with pytest.raises(NotTrusted, match="a python_function model is Python code"):
        reader.describe(artifact, trusted=False)
    description = reader.describe(artifact, trusted=True).description
    folder = reader.store.verify(artifact.digest, artifact.manifest, description.title)
    fitted = readers.load(description.reader, folder, description.options, trusted=True, model=description.title)
    held = Predictor("f", description, fitted, "propagate")
    assert held("predict", [pa.array([1, 2]), pa.array([None, 0.5])]).to_pylist()[1] == 4.0
