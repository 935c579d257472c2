"""A function's expression, put into a database for good: whoever reads that needs neither sqlml nor Python."""

from __future__ import annotations

from pathlib import Path

from sqlml.config import Settings
from sqlml.engines import open_engine
from sqlml.engines.engine import Engine, Refused
from sqlml.errors import CannotPublish, SqlmlError
from sqlml.models.answering import Answerer
from sqlml.models.compiled import Compiled
from sqlml.planner import Target
from sqlml.programs.publish import duckdb_statements, spark_statements
from sqlml.programs.sql import NoSql

SPARK = "spark"
_EXPRESSION = "SQL expression"


def statements(target: Target, compiled: Compiled | None, to: str) -> list[str]:
    """The statements that make a function's macros in a DuckDB file, or Spark's functions where `to` is 'spark'.

    Raises:
        CannotPublish: its version has no expression that was proved.
    """
    held = target.description
    if compiled is None or "sql" not in held.strategies:
        reason = held.no_program or held.refused.get("sql") or "it was registered before: register it again"
        raise _cannot(target, _EXPRESSION, reason)
    publication = compiled.publication()
    try:
        return spark_statements(publication) if to == SPARK else duckdb_statements(publication)
    except NoSql as error:
        raise _cannot(target, _EXPRESSION, error) from error


def into_jar(engine: Engine, target: Target, answerer: Answerer, path: str) -> list[str]:
    """Write a function's classes into a jar; gives the statements by which Spark uses it.

    Raises:
        CannotPublish: the engine has no JVM, or the version can't be a class that answers as the model does.
    """
    try:
        return engine.jar(answerer, Path(path).absolute())
    except Refused as why:
        raise _cannot(target, "class of a jar", why) from why


def into_spark(engine: Engine, target: Target, answerer: Answerer, made: list[str]) -> None:
    """Run the statements in Spark's metastore.

    Raises:
        CannotPublish: Spark's answers are not the model's.
        EngineError: the engine has none.
    """
    try:
        engine.publish_for_good(answerer, made)
    except Refused as why:
        raise _cannot(target, _EXPRESSION, why) from why


def into_duckdb(made: list[str], path: str) -> None:
    """Run the statements in a database file, all of them or none.

    Raises:
        EngineError: the file can't be opened, or another process holds it.
    """
    engine = open_engine(Settings(engine="duckdb", native="off", time_zone="UTC"), path)
    try:
        engine.rows("BEGIN")
        try:
            for statement in made:
                engine.rows(statement)
        except SqlmlError:
            engine.rows("ROLLBACK")
            raise
        engine.rows("COMMIT")
    finally:
        engine.close()


def _cannot(target: Target, what: str, reason: object) -> CannotPublish:
    return CannotPublish(function=target.function.name, model=target.description.title, what=what, reason=reason)
