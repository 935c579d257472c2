"""One registry with a few versions, one child process, one artifact store: each takes a second to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from sqlml.models.artifact import ArtifactStore
from sqlml.models.log import log_model
from sqlml.models.reading import ModelReader


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})


@pytest.fixture(scope="session")
def fitted(rows: pd.DataFrame) -> LinearRegression:
    return LinearRegression().fit(rows, [1.0, 2.0, 3.0, 4.0])


@pytest.fixture(scope="session")
def registry_uri(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame, fitted: LinearRegression) -> str:
    """A registry that holds `delay_risk`, version 1 (champion) and 2."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"
    log_model(fitted, name="delay_risk", signature_from=rows, label="late", alias="champion", registry=uri)
    log_model(fitted, name="delay_risk", signature_from=rows, registry=uri)
    return uri


@pytest.fixture(scope="session")
def reader(registry_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelReader]:
    held = ModelReader(registry_uri, ArtifactStore(tmp_path_factory.mktemp("artifacts")))
    yield held
    held.close()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")
