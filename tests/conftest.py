"""No test depends on what another one, or the machine, has set."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest


def settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("SQLML_", "MLFLOW_"))}


@pytest.fixture(scope="session", autouse=True)
def unset() -> None:
    """Settings of the machine's are not the tests'."""
    for name in settings().keys() - {"SQLML_TEST_CATALOG_URL", "SQLML_CACHE", "SQLML_NATIVE"}:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def heeding() -> None:
    """A run that was put into the background ignores SIGINT, and so would every process that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def settings_stay() -> Iterator[None]:
    """MLflow's setters write to the environment, which child processes and later tests would read."""
    before = settings()
    yield
    for name in settings().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
