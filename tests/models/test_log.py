"""`log_model`: what it registers, what it leaves alone, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import Birch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sqlml.errors import BadReference, CannotSave, RegistryUnreachable, SqlmlError, UnsupportedModel
from sqlml.models import saving
from sqlml.models.log import LoggedModel, log_model
from sqlml.models.registry import MlflowClient


@pytest.fixture
def client(registry_uri):
    return MlflowClient(registry_uri, registry_uri)


def versions(client, name):
    return client.search_model_versions(f"name = '{name}'")


def test_mlflow_is_not_imported_before_a_model_is_logged():
    code = "import sys, sqlml.models.log; print([m for m in ('mlflow', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_registered(client, registry_uri, rows, fitted):
    frame = rows.assign(late=[1.0, 2.0, 3.0, 4.0], id=["p", "q", "r", "s"])
    made = log_model(
        fitted, name="written", signature_from=frame, label="late", alias="best", registry=registry_uri, tags={"k": "v"}
    )
    assert made == LoggedModel("written", "1", "models:/written/1", "skops", needs_trust=False)
    version = client.get_model_version_by_alias("written", "best")
    assert version.tags == {"k": "v", "sqlml.label": "late"}
    folder = Path(registry_uri.removeprefix("sqlite:///")).parent
    artifacts = Path(version.source.removeprefix("file://"))
    assert artifacts.is_relative_to(folder / "mlartifacts")
    (output,) = client.get_run(version.run_id).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.status == "READY"
    assert logged.artifact_location == version.source
    assert client.get_run(version.run_id).info.status == "FINISHED"
    held = mlflow.models.Model.load(str(artifacts))
    assert [(c.name, c.type.name, c.required) for c in held.signature.inputs] == [
        ("a", "double", True),
        ("b", "double", True),
    ]
    assert held.metadata == {"sqlml.label": "late"}
    assert len(held.load_input_example(str(artifacts))) == 4
    wanted = (artifacts / "requirements.txt").read_text().split()
    assert all("==" in line for line in wanted)
    assert {line.split("==")[0] for line in wanted} >= {"mlflow", "scikit-learn", "skops", "numpy", "pandas"}


def test_the_working_directory_stays_empty(tmp_path, monkeypatch, rows, fitted):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "project").mkdir()
    registry = f"sqlite:///{tmp_path / 'project' / 'mlflow.db'}"
    log_model(fitted, name="m", signature_from=rows, registry=registry)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
    assert sorted(path.name for path in (tmp_path / "project").iterdir()) == ["mlartifacts", "mlflow.db"]


def test_an_active_run_and_the_settings_are_left_alone(tmp_path, registry_uri, rows, fitted, monkeypatch):
    # MLflow's setter writes to the environment, too.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_uri)
    elsewhere = f"sqlite:///{tmp_path / 'mine.db'}"
    mlflow.set_tracking_uri(elsewhere)
    try:
        mlflow.set_experiment("mine")
        with mlflow.start_run() as run:
            log_model(fitted, name="beside", signature_from=rows, registry=registry_uri)
            assert mlflow.active_run().info.run_id == run.info.run_id
            assert mlflow.get_tracking_uri() == elsewhere
        held = mlflow.MlflowClient().get_run(run.info.run_id)
        assert held.outputs is None or not held.outputs.model_outputs
        assert len(mlflow.search_runs(search_all_experiments=True)) == 1
        assert len(mlflow.search_runs(experiment_names=["mine"])) == 1
    finally:
        mlflow.set_tracking_uri(None)


def test_nothing_is_printed(registry_uri, rows, capfd):
    log_model(Birch(n_clusters=2).fit(rows), name="birch", signature_from=rows, registry=registry_uri)
    assert capfd.readouterr() == ("", "")


def test_the_registry_is_the_settings_one(tmp_path, monkeypatch, rows, fitted):
    monkeypatch.setenv("SQLML_REGISTRY", f"sqlite:///{tmp_path / 'named.db'}")
    log_model(fitted, name="m", signature_from=rows)
    assert (tmp_path / "named.db").is_file()


def test_code_of_the_users_own_needs_trust(registry_uri, rows):
    model = make_pipeline(FunctionTransformer(lambda rows: rows * 2), LinearRegression()).fit(rows, [1.0, 2, 3, 4])
    made = log_model(model, name="own_code", signature_from=rows, registry=registry_uri)
    assert (made.format, made.needs_trust) == ("pickle", True)


class Forgetful(LinearRegression):
    """Answers otherwise when it is loaded."""

    def __getstate__(self):
        return {**self.__dict__, "intercept_": 1e6}


class Unpicklable(LinearRegression):
    def __reduce__(self):
        raise TypeError("no")


@pytest.mark.parametrize("kind", [Forgetful, Unpicklable])
def test_what_answers_otherwise_is_not_registered(client, registry_uri, rows, kind):
    model = kind().fit(rows, [1.0, 2.0, 3.0, 4.0])
    runs = len(client.search_runs([client.get_experiment_by_name("sqlml").experiment_id]))
    with pytest.raises(CannotSave, match=f"A fitted {kind.__name__} can't be saved") as caught:
        log_model(model, name="never", signature_from=rows, registry=registry_uri)
    assert "cloudpickle" in str(caught.value)
    assert not versions(client, "never")
    assert not client.search_registered_models("name = 'never'")
    assert len(client.search_runs([client.get_experiment_by_name("sqlml").experiment_id])) == runs


def test_an_unfitted_model_is_refused(registry_uri, rows):
    with pytest.raises(CannotSave, match="NotFittedError"):
        log_model(LinearRegression(), name="never", signature_from=rows, registry=registry_uri)


def test_an_alias_that_fails_leaves_no_version(client, registry_uri, rows, fitted):
    with pytest.raises(SqlmlError):
        log_model(fitted, name="half", signature_from=rows, alias="v1", registry=registry_uri)
    assert not client.search_registered_models("name = 'half'")
    log_model(fitted, name="half", signature_from=rows, registry=registry_uri)
    with pytest.raises(SqlmlError):
        log_model(fitted, name="half", signature_from=rows, alias="v1", registry=registry_uri)
    assert len(versions(client, "half")) == 1


@pytest.mark.parametrize(("name", "alias"), [("a/b", None), ("a@b", None), ("", None), ("m", "a/b"), ("m", "")])
def test_names_that_no_reference_could_hold(registry_uri, rows, fitted, name, alias):
    with pytest.raises(BadReference):
        log_model(fitted, name=name, signature_from=rows, alias=alias, registry=registry_uri)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////dev/null/mlflow.db"])
def test_a_registry_that_does_not_answer(rows, fitted, uri):
    with pytest.raises(RegistryUnreachable):
        log_model(fitted, name="m", signature_from=rows, registry=uri)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1.0], "c": [1.0]}), "fitted on 'b', which signature_from does not have"),
        (pd.DataFrame({"a": [1.0], "bb": [1.0], "c": [0]}), "Did you mean 'bb'"),
        (pd.DataFrame({"a": [], "b": []}), "no rows"),
        (np.zeros(3), "no table of rows and columns"),
    ],
)
def test_rows_that_do_not_fit_the_model(registry_uri, fitted, frame, message):
    with pytest.raises(UnsupportedModel, match=message):
        log_model(fitted, name="never", signature_from=frame, registry=registry_uri)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], "long"),
        ([1.5, None], "double"),
        (pd.array([1, None], dtype="Int8"), "long"),
        (pd.array([1.5, None], dtype="Float32"), "double"),
        (pd.array([True, None], dtype="boolean"), "boolean"),
        ([True, False], "boolean"),
        (["x", None], "string"),
        (pd.Series(["x", "y"], dtype=object), "string"),
        (pd.Series([True, None], dtype=object), "boolean"),
        (pd.Series([1, None], dtype=object), "long"),
        (pd.Series([1, 2.5], dtype=object), "double"),
        (pd.Series([b"x", b"y"], dtype=object), "binary"),
        (pd.to_datetime(["2013-01-01", None]), "datetime"),
        (pd.to_datetime(["2013-01-01", "2013-01-02"], utc=True), "datetime"),
        (pd.Categorical(["x", "y"]), "string"),
        (pd.Categorical([1, 2]), "long"),
        (pd.Categorical([1.5, 2.0]), "double"),
        (np.array([1, 2], dtype="uint8"), "long"),
        (np.array([1, 2], dtype="float32"), "double"),
    ],
)
def test_the_type_of_a_column(values, type_):
    assert saving.column_types(pd.DataFrame({"x": values}), "m") == {"x": type_}


def test_a_column_of_a_type_that_sql_does_not_have():
    with pytest.raises(UnsupportedModel, match=r"'m' .* its input 'x' is of the type 'timedelta64"):
        saving.column_types(pd.DataFrame({"x": pd.to_timedelta([1, 2], "D")}), "m")
    with pytest.raises(UnsupportedModel, match="'x'"):
        saving.column_types(pd.DataFrame({"x": [[1], [2]]}), "m")
