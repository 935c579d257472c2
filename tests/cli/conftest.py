"""A folder with a project, commands run in it, and a registry with models in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sqlml.programs.objects import cache_folder

SOURCE = Path(__file__).parents[2] / "src"

# Fitted and logged in a process of its own: mlflow takes seconds to import and warns of its own code.
LOGGED = """
import sys, mlflow, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression, LogisticRegression
mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])
client = mlflow.MlflowClient()
rows = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 1.0, 0.0, 1.0]})
labels = pd.Series(["no", "no", "yes", "yes"], name="late")
for model, target in ((LogisticRegression(C=1.0), labels), (LogisticRegression(C=9.0), labels)):
    model.fit(rows, target)
    signature = infer_signature(rows, model.predict(rows))
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, name="m", registered_model_name="late", signature=signature)
client.set_registered_model_alias("late", "champion", "1")
model = LinearRegression().fit(rows, rows.a * 2)
with mlflow.start_run():
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.log_model(
        model, name="m", registered_model_name="pickled", signature=signature, serialization_format="cloudpickle"
    )
"""

ALIAS = """
import sys, mlflow
mlflow.MlflowClient(registry_uri=sys.argv[1]).set_registered_model_alias(*sys.argv[2:])
"""


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where this process keeps compiled code: each test has a home of its own, and would compile it there first."""
    return cache_folder()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path, cache):
    """No setting of the machine's, and a home of the test's own."""
    for name in list(os.environ):
        if name.startswith(("SQLML_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SQLML_CACHE", str(cache))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, which is the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sqlml.toml").write_text("[sqlml]\n")
    monkeypatch.chdir(folder)
    return folder


def sqlml(*arguments, stdin=None, timeout=120, **environment):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "sqlml", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | environment,
    )


@pytest.fixture
def command(project):
    """Runs the command in the project."""
    return sqlml


@pytest.fixture
def run(command):
    """Runs the command, and checks its exit code and that no traceback gets out."""

    def run(*arguments, code=0, **options):
        done = command(*arguments, **options)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def rows(run):
    """Runs a statement and gives its rows, read from JSON."""
    return lambda *arguments, **options: json.loads(run("sql", *arguments, "--output", "json", **options).stdout)


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A registry with `late` (two versions; `champion` is the first) and `pickled` (one version)."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SQLML_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", LOGGED, uri], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return uri


@pytest.fixture
def models(project, registry):
    """The project, told of the registry."""
    (project / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n')
    return project


@pytest.fixture(scope="session")
def catalogued(registry, tmp_path_factory):
    """A project in which `late` is registered, to be copied: registering takes seconds."""
    folder = tmp_path_factory.mktemp("catalogued")
    (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n')
    source = {"PYTHONPATH": str(SOURCE)}
    done = sqlml("functions", "register", "late", "models:/late@champion", "--project", folder, **source)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def registered(models, catalogued):
    """The project, with the function `late`, which follows `late@champion`."""
    shutil.copytree(catalogued / ".sqlml", models / ".sqlml")
    return models


@pytest.fixture
def champion(models, registry):
    """Points `late@champion` at a version; at the first one again when the test is over."""

    def move(version):
        arguments = [sys.executable, "-c", ALIAS, registry, "late", "champion", str(version)]
        subprocess.run(arguments, check=True, capture_output=True)

    yield move
    move(1)
