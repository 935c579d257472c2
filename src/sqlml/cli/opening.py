"""A command's session, from the options that it was given."""

from __future__ import annotations

from pathlib import Path

from sqlml.catalog import Catalog
from sqlml.config import load_settings
from sqlml.engines import open_engine
from sqlml.lifecycle.backing import Backing
from sqlml.session import Session, connect


def opened(
    project: Path | None = None,
    database: Path | None = None,
    *,
    trust_pickle: bool = False,
    engine: str | None = None,
) -> Session:
    """A session; a relative `database` is taken from the working directory, as a shell user means it."""
    target = None if database is None else str(database if str(database) == ":memory:" else database.resolve())
    settings = {"trust": "pickle"} if trust_pickle else {}
    # Nobody else has this session's engine.
    return connect(target, engine=engine, project=project, publish="needed", **settings)


def opened_beside(project: Path | None) -> Session:
    """A session that asks no data but the prediction tables' own, whoever holds the database and whatever is gone."""
    held = load_settings(project, engine="duckdb", publish="needed")
    settings = held.model_copy(update={"database": None, "sources": {}})
    return Session(settings, open_engine(settings), Backing.open(settings))


def opened_for_table(
    name: str, engine: str | None, project: Path | None, database: Path | None = None, *, trust_pickle: bool = False
) -> Session:
    """A session on the engine that computes a prediction table: as given, declared or set.

    Raises:
        UnknownTable: there is none of that name.
    """
    if engine is None:
        with Catalog.open(load_settings(project).catalog_url) as catalog:
            engine = catalog.predictions.get(name).engine
    return opened(project, database, trust_pickle=trust_pickle, engine=engine)


def tables_by_engine(project: Path | None) -> dict[str | None, list[str]]:
    """The prediction tables by the engine that they are declared with; None: that of the settings."""
    found: dict[str | None, list[str]] = {}
    with Catalog.open(load_settings(project).catalog_url) as catalog:
        for table in catalog.predictions.all():
            found.setdefault(table.engine, []).append(table.name)
    return found
