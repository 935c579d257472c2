"""No test depends on what another one, or the machine, has set."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

# How long a machine takes for one example says nothing of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The one classic Spark session of a test process, as a user would hold it; killed tasks are tried again."""
    from pyspark.sql import SparkSession

    from sqlml.engines.spark_session import java_home

    if (home := java_home()) is not None:
        os.environ["JAVA_HOME"] = str(home)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "FATAL",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
    }
    session = SparkSession.builder.master("local[2,4]").appName("tests").config(map=settings).getOrCreate()
    yield session
    session.stop()
