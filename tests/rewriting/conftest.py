"""Sessions over one project, whose functions are models of every kind over a fact table and two dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import sqlml
from rewriting import world as worlds
from rewriting.tables import COLUMNS, arrow, fill, made
from rewriting.world import World


@pytest.fixture(scope="session")
def rewriting_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The registry, the project, the models. No test changes it."""
    return worlds.build(tmp_path_factory.mktemp("rewriting"))


@pytest.fixture
def db(rewriting_world: World) -> Iterator[sqlml.Session]:
    """A session of a test's own, with the three tables and their keys."""
    with sqlml.connect(project=rewriting_world.folder, publish="needed", rewrites="always") as session:
        fill(session, made())
        yield session


@pytest.fixture(scope="module")
def reader(rewriting_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlml.Session]:
    """The same for the tests of a module, which only read.

    Also `holed`, whose tables have NULLs, NaNs and categories that no model has seen; the tables without keys, with
    `_free` behind their names; as Parquet files, with `_file`; a view over the fact table, and an empty table.
    """
    folder = tmp_path_factory.mktemp("files")
    with sqlml.connect(project=rewriting_world.folder, publish="needed", rewrites="always") as session:
        fill(session, made())
        fill(session, made(holes=0.1, seed=7), suffix="_holed")
        fill(session, made(holes=0.1, seed=7), suffix="_free", keys=False)
        for name in COLUMNS:
            session.sql(f"COPY {name}_free TO '{folder}/{name}.parquet' (FORMAT parquet)")
            session.sql(f"CREATE VIEW {name}_file AS FROM '{folder}/{name}.parquet'")
        session.sql("CREATE VIEW seen AS SELECT *, dist / 2 AS half FROM facts WHERE dist > 100")
        session.sql("CREATE TABLE empty AS FROM facts LIMIT 0")
        yield session


@pytest.fixture(scope="session")
def spark_tables(spark: Any) -> Any:
    """A session of Spark with the three tables as temporary views, and with `_holed` behind their names."""
    fresh = spark.newSession()
    for suffix, rows in (("", made()), ("_holed", made(count=300, holes=0.1, seed=7))):
        for name in COLUMNS:
            fresh.createDataFrame(arrow(rows[name], name)).createOrReplaceTempView(f"{name}{suffix}")
    return fresh


@pytest.fixture(scope="module")
def spark_reader(spark_tables: Any, rewriting_world: World) -> Iterator[sqlml.Session]:
    with sqlml.connect(spark_tables, project=rewriting_world.folder, publish="needed", rewrites="always") as session:
        yield session
