"""Sessions on a project of their own, with the table `events` and the function `risk`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import sqlml
from tables import small
from tables.small import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The registry, the project, the models. No test changes it: one that must, copies it."""
    return small.build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def project(world: World, tmp_path: Path) -> Path:
    """A project of the test's own."""
    return world.copy(tmp_path / "project")


@pytest.fixture
def source() -> pd.DataFrame:
    """The rows of `events`."""
    return small.events()


@pytest.fixture
def db(project: Path, source: pd.DataFrame) -> Iterator[sqlml.Session]:
    """A session with `events` in a database in memory."""
    with sqlml.connect(project=project) as session:
        small.fill(session, source)
        yield session
