"""A model that is code is not loaded unless it is trusted, whatever the artifact says of itself."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import skops.io
from sklearn.cluster import Birch
from sklearn.linear_model import LinearRegression

from sqlml.errors import NotTrusted
from sqlml.models import readers
from sqlml.models.reading import Artifact
from sqlml.models.trust import is_data, trusted_types


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def artifact(store, tmp_path: Path, file: str, content: bytes, trusted_in_file: list[str] | None = None) -> Artifact:
    """A scikit-learn artifact, as a registry would hold it, around a file's content."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / file).write_bytes(content)
    options = {"pickled_model": file, "skops_trusted_types": trusted_in_file}
    mlmodel = {"flavors": {"sklearn": options}}
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    digest, manifest = store.adopt(folder)
    source = {
        "model": "m",
        "version": "1",
        "run_id": None,
        "label": None,
        "reader": "sklearn",
        "options": options,
        "format": readers.storage_format("sklearn", options),
        "flavour": "sklearn",
        "mlmodel": mlmodel,
    }
    return Artifact(source, digest, manifest)


@pytest.fixture
def child(reader, store):
    """The shared child process, over this test's own store."""
    shared, reader.store = reader.store, store
    yield reader
    reader.store = shared


@pytest.mark.parametrize("file", ["model.pkl", "model.pickle", "model.joblib", "model", "model.skops.pkl"])
def test_a_pickle_is_refused_unloaded(child, store, tmp_path, file):
    trace = tmp_path / "executed"
    held = artifact(store, tmp_path, file, pickle.dumps(Malicious(trace)))
    with pytest.raises(NotTrusted, match="'m version 1' is stored as a pickle") as caught:
        child.describe(held, trusted=False)
    assert "--trust-pickle" in str(caught.value)
    folder = store.verify(held.digest, held.manifest, "m")
    with pytest.raises(NotTrusted):
        readers.load("sklearn", folder, held.source["options"], trusted=False, model="m")
    assert not trace.exists()


def test_a_pickle_named_skops_is_not_unpickled(child, store, tmp_path):
    trace = tmp_path / "executed"
    held = artifact(store, tmp_path, "model.skops", pickle.dumps(Malicious(trace)))
    with pytest.raises(Exception, match="can't be loaded"):
        child.describe(held, trusted=False)
    assert not trace.exists()


def naming(module: str, name: str) -> bytes:
    """A skops file that names a function of a module."""
    content = skops.io.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))
    read = zipfile.ZipFile(io.BytesIO(content))
    schema = json.loads(read.read("schema.json"))
    schema["__class__"], schema["__module__"] = name, module
    schema["__loader__"] = "FunctionNode"
    schema["content"] = {"module_path": module, "function": name}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as out:
        for entry in read.namelist():
            out.writestr(entry, json.dumps(schema) if entry == "schema.json" else read.read(entry))
    return written.getvalue()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("numpy.testing", "measure"),
    ],
)
def test_a_skops_file_that_names_a_command_is_refused(child, store, tmp_path, module, name):
    # MLflow would take the artifact's own list of trusted types.
    held = artifact(store, tmp_path, "model.skops", naming(module, name), [f"{module}.{name}", "os.system"])
    with pytest.raises(NotTrusted, match="unknown types") as caught:
        child.describe(held, trusted=False)
    assert f"'{module}.{name}'" in str(caught.value)


def test_birch_needs_trust_and_works_with_it(child, store, tmp_path):
    model = Birch(n_clusters=2).fit([[0.0], [0.1], [5.0], [5.1]])
    held = artifact(store, tmp_path, "model.pkl", pickle.dumps(model))
    held.source["mlmodel"]["signature"] = {"inputs": json.dumps([{"type": "double", "name": "x"}])}
    with pytest.raises(NotTrusted):
        child.describe(held, trusted=False)
    tried = child.describe(held, trusted=True)
    description, proof = tried.description, tried.proof
    assert description.kind == "clusterer"
    assert proof["label_mismatches"] == 0


@pytest.mark.parametrize("name", ["model.skops", "model.lgb", "model.UBJ", "model.json", "model.onnx"])
def test_formats_that_are_data(name):
    assert is_data(Path(name))


@pytest.mark.parametrize("name", ["model.pkl", "model", "model.skops.pkl", "model.py", "model.joblib", "model.pt"])
def test_formats_that_are_code(name):
    assert not is_data(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "sklearn.os.system",
        "sklearn.utils._testing.os.system",
        "sklearn.externals.joblib.load",
        "sklearn.datasets.fetch_openml",
        "sklearn.datasets._base.load_files",
        "numpy.load",
        "numpy.testing.measure",
        "numpy.f2py.compile",
        "scipy.io.loadmat",
        "sklearn",
        "sklearn.no_such_module.Thing",
        "skops.io.load",
        "joblib.load",
        "pandas.read_pickle",
        "lightgbm.train",
        "xgboost.train",
        "",
        ".",
    ],
)
def test_types_that_are_never_trusted(name):
    assert trusted_types([name]) == ([], [name])
