"""Sessions over one project whose functions are real models from a real MLflow registry."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import sqlml
from sql import world as worlds
from sql.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The registry, the project, the models. No test changes it: one that must, copies it."""
    return worlds.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def models(world: World) -> dict:
    return world.models


@pytest.fixture(scope="session")
def people(world: World) -> pd.DataFrame:
    """The rows that `churn`, `spend` and `tier` were fitted on, with a number each."""
    rows = world.models["churn"].rows
    return rows.assign(id=range(len(rows)))


@pytest.fixture(scope="session")
def pairs(world: World) -> pd.DataFrame:
    """The rows of the models of two numbers, `a` and `b`."""
    rows = world.models["logit"].rows
    return rows.assign(id=range(len(rows)))


@pytest.fixture
def db(world: World, people: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[sqlml.Session]:
    """A session on a fresh database in memory, with the tables `people` and `pairs`."""
    with sqlml.connect(project=world.folder) as session:
        fill(session, people=people, pairs=pairs)
        yield session


@pytest.fixture(scope="module")
def reader(world: World, people: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[sqlml.Session]:
    """The same for all tests of a module, which only read."""
    with sqlml.connect(project=world.folder) as session:
        fill(session, people=people, pairs=pairs)
        yield session


def fill(db, **tables: pd.DataFrame) -> None:
    """Make tables of data frames; also on a connection of DuckDB's own."""
    for name, rows in tables.items():
        db.sql(f"CREATE TABLE {name} AS FROM rows")
        assert len(rows) >= 0
