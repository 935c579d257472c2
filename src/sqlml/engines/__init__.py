"""An engine differs, and only here: which there are, and how each is opened."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlml.engines.engine import Engine
from sqlml.errors import BadSetting, MissingPackage, quoted

if TYPE_CHECKING:
    from sqlml.config import Settings


class Entry(NamedTuple):
    """Where an engine is, what to install for it, and the modules that its connections' classes are of."""

    module: str
    type: str
    package: str
    extra: str
    connections: tuple[str, ...]


ENGINES: Mapping[str, Entry] = {
    "duckdb": Entry("sqlml.engines.duckdb", "DuckDBEngine", "duckdb", "models", ("duckdb", "_duckdb")),
    "spark": Entry("sqlml.engines.spark", "SparkEngine", "pyspark", "spark", ("pyspark",)),
}


def open_engine(settings: Settings, database: str | None = None) -> Engine:
    """Open the engine that the settings name, on another database where one is given.

    Raises:
        BadSetting: there is no such engine.
        MissingPackage: its library is not installed.
        EngineError: the database can't be opened.
    """
    engine: Engine = _type_of(settings.engine).at(settings, database)
    return engine


def engine_over(connection: Any, settings: Settings) -> Engine:
    """The engine of a connection that the user holds.

    Raises:
        BadSetting: the object is no connection of an engine that sqlml knows.
    """
    module = type(connection).__module__.split(".")[0]
    for name, entry in ENGINES.items():
        if module in entry.connections:
            engine: Engine = _type_of(name).over(connection, settings)
            return engine
    kinds = "a DuckDB connection, a SparkSession, a database file's path, or nothing"
    raise BadSetting(key="target", value=type(connection).__name__, reason=f"connect() takes {kinds}")


def _type_of(name: str) -> Any:
    if name not in ENGINES:
        raise BadSetting(key="engine", value=name, reason=f"the engines are {quoted(ENGINES)}")
    entry = ENGINES[name]
    try:
        with warnings.catch_warnings():
            # Spark says so when it is imported; no frame of pandas is given to it here.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        raise MissingPackage(what=f"The engine '{name}'", package=entry.package, extra=entry.extra) from error
    return getattr(module, entry.type)
