"""Finding versions, and the child process that reads them first."""

from __future__ import annotations

import contextlib
import json
import signal

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from sqlml.errors import ModelDied, ModelFailedToLoad, NoSignature, RegistryUnreachable, UnknownModel
from sqlml.models.artifact import ArtifactStore
from sqlml.models.description import Description
from sqlml.models.reading import Artifact, ModelReader
from sqlml.models.reference import ModelReference

lightgbm = pytest.importorskip("lightgbm")


def parse(text: str) -> ModelReference:
    return ModelReference.parse(text)


def test_an_alias_and_a_version_are_found(reader):
    found = reader.resolve(parse("models:/delay_risk@champion"))
    assert (found["model"], found["version"], found["label"]) == ("delay_risk", "1", "late")
    assert reader.resolve(parse("models:/delay_risk/2"))["version"] == "2"
    reader.ping()


def test_a_version_is_described(reader):
    artifact = reader.fetch(parse("models:/delay_risk@champion"))
    assert artifact.title == "delay_risk version 1"
    tried = reader.describe(artifact, trusted=False)
    description, proof = tried.description, tried.proof
    assert [(a.name, a.type, a.required, a.missing) for a in description.arguments] == [
        ("a", "DOUBLE", True, None),
        ("b", "DOUBLE", True, None),
    ]
    assert (description.kind, description.returns.sql, description.label) == ("regressor", "DOUBLE", "late")
    assert (description.format, description.flavour, description.feed) == ("skops", "sklearn", "matrix")
    assert description.requirements == ()
    assert proof["rows"] > 40
    assert proof["max_relative"] == 0.0
    assert Description.from_json(json.loads(json.dumps(description.to_json()))) == description


def test_a_run_is_a_reference_too(reader):
    run = reader.resolve(parse("models:/delay_risk/1"))["run_id"]
    artifact = reader.fetch(parse(f"runs:/{run}/model"))
    assert artifact.source["label"] == "late"
    description = reader.describe(artifact, trusted=False).description
    assert description.title == f"runs:/{run}/model"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("models:/dealy_risk@champion", "has no model 'dealy_risk'. Did you mean 'delay_risk'?"),
        ("models:/zzz/1", "has no model 'zzz'. Register one with 'sqlml log' or mlflow."),
        ("models:/delay_risk@champoin", "has no alias 'champoin' of the model 'delay_risk'. Did you mean 'champion'?"),
        ("models:/delay_risk/9", "has no version 9 of the model 'delay_risk'. Its versions are 1, 2."),
        ("runs:/0123456789abcdef0123456789abcdef/model", "has no run '0123456789abcdef0123456789abcdef'."),
    ],
)
def test_what_is_not_there(reader, reference, message):
    with pytest.raises(UnknownModel) as caught:
        reader.fetch(parse(reference))
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/mlflow.db", "http://user:secret@127.0.0.1:9"])
def test_a_registry_that_does_not_answer(tmp_path, uri):
    reader = ModelReader(uri, ArtifactStore(tmp_path))
    try:
        with pytest.raises(RegistryUnreachable) as caught:
            reader.ping()
        with pytest.raises(RegistryUnreachable):
            reader.resolve(parse("models:/m/1"))
    finally:
        reader.close()
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


def made(store, folder, flavour, options, example=None):
    """An artifact as somebody else's tool may have logged it: no signature."""
    mlmodel = {"flavors": {flavour: options}}
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    digest, manifest = store.adopt(folder)
    source = {"model": "m", "version": "1", "run_id": None, "label": None, "reader": flavour, "options": options}
    return Artifact({**source, "format": "own", "flavour": flavour, "mlmodel": mlmodel}, digest, manifest)


@pytest.fixture
def boosted():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(200, 2)), columns=["dep_delay", "distance"])
    parameters = {"objective": "binary", "verbose": -1}
    return lightgbm.train(parameters, lightgbm.Dataset(frame, frame["dep_delay"] > 0), num_boost_round=5)


def test_a_truncated_text_kills_the_child_alone(reader, tmp_path, boosted):
    text = boosted.model_to_string()
    killed, message = 0, ""
    for share in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75):
        folder = tmp_path / str(share)
        folder.mkdir()
        (folder / "model.lgb").write_text(text[: int(len(text) * share)])
        artifact = made(reader.store, folder, "lightgbm", {"data": "model.lgb"})
        # Cut between two trees it loads, with fewer of them: the manifest is what finds that.
        with contextlib.suppress(ModelFailedToLoad):
            try:
                reader.describe(artifact, trusted=False)
            except ModelDied as error:
                message = str(error)
                killed += 1
        # A new child answers.
        assert reader.resolve(parse("models:/delay_risk/2"))["version"] == "2"
    assert killed
    assert "'m version 1' ended the process that loaded it" in message
    assert any(name in message for name in ("SIGSEGV", "SIGABRT", "SIGFPE", "exit code"))


@pytest.mark.long
def test_a_child_that_is_killed_is_replaced(registry_uri, tmp_path):
    reader = ModelReader(registry_uri, ArtifactStore(tmp_path))
    try:
        reader.ping()
        first = reader._child
        first.send_signal(signal.SIGKILL)
        first.wait()
        reader.ping()
        assert reader._child.pid != first.pid
    finally:
        reader.close()
    assert reader._child is None


def test_without_a_signature_the_library_names_the_inputs(reader, tmp_path, boosted):
    boosted.save_model(tmp_path / "model.lgb")
    artifact = made(reader.store, tmp_path, "lightgbm", {"data": "model.lgb"})
    description = reader.describe(artifact, trusted=False).description
    assert [(a.name, a.type) for a in description.arguments] == [("dep_delay", "DOUBLE"), ("distance", "DOUBLE")]
    assert description.classes == (0, 1)


def test_without_a_signature_the_estimator_names_the_inputs(reader, tmp_path, fitted):
    skops.io.dump(fitted, tmp_path / "model.skops")
    artifact = made(reader.store, tmp_path, "sklearn", {"pickled_model": "model.skops"})
    description = reader.describe(artifact, trusted=False).description
    assert [a.name for a in description.arguments] == ["a", "b"]


def test_without_any_name_there_is_no_signature(reader, tmp_path):
    skops.io.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "model.skops")
    artifact = made(reader.store, tmp_path, "sklearn", {"pickled_model": "model.skops"})
    with pytest.raises(NoSignature, match=r"'m version 1' has no signature.*sqlml\.log_model"):
        reader.describe(artifact, trusted=False)
