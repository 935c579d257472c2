"""A project's files: `udfs/**/*.sql` declare functions; some of `sql/**/*.sql` declare prediction tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlml.errors import (
    BadFile,
    BindingError,
    CatalogError,
    CatalogUnreachable,
    EngineError,
    ModelError,
    NoProject,
    RegistryUnreachable,
    StatementError,
    SyntaxMistake,
    TableError,
    quoted,
)
from sqlml.query.statements import CreateFunction, Statement, read
from sqlml.query.tables import CreatePredictionTable
from sqlml.query.text import tokenize

DIALECTS = ("duckdb", "spark")
"""Each engine's SQL, by the engine's name."""

_DECLARES = re.compile(r"\bcreate\s+(or\s+replace\s+)?prediction\s+table\b", re.IGNORECASE)


class DeclaredFunction(NamedTuple):
    """A CREATE FUNCTION, and the file that it stands in."""

    file: str
    statement: CreateFunction


class DeclaredTable(NamedTuple):
    """A CREATE PREDICTION TABLE, the file that it stands in, and the engine whose SQL the file is written in."""

    file: str
    statement: CreatePredictionTable
    engine: str


@dataclass(frozen=True)
class ProjectFiles:
    """What a project's files declare, in the files' order."""

    functions: tuple[DeclaredFunction, ...]
    tables: tuple[DeclaredTable, ...]


@contextmanager
def about(file: str) -> Iterator[None]:
    """Do what a file asks for; raises BadFile for what stands against it, but for what no file can help."""
    try:
        yield
    except (CatalogUnreachable, RegistryUnreachable):
        raise
    except (StatementError, CatalogError, BindingError, ModelError, TableError, EngineError) as error:
        # An engine shows below its sentence where in the query it means.
        reason = f"{error}\n" if "\n" in str(error) else str(error)
        raise BadFile(file=file, reason=reason) from error


def read_project(folder: Path | None, engine: str) -> ProjectFiles:
    """Read all that the files of a project declare.

    Args:
        folder: the project's.
        engine: in whose SQL a file is written that doesn't say so.

    Raises:
        NoProject: there is no project folder.
        BadFile: a file holds what it can't, or a name that another one holds.
    """
    if folder is None:
        raise NoProject(folder=Path.cwd())
    functions = [
        DeclaredFunction(file, statement)
        for file, text in _texts(folder, "udfs")
        for statement in _functions(file, text, engine)
    ]
    tables = [
        DeclaredTable(file, statement, dialect)
        for file, text in _texts(folder, "sql")
        for statement, dialect in _tables(file, text, engine)
    ]
    _check_names("function", functions)
    _check_names("table", tables)
    return ProjectFiles(tuple(functions), tuple(tables))


def _texts(folder: Path, below: str) -> Iterator[tuple[str, str]]:
    for path in sorted((folder / below).glob("**/*.sql")):
        file = path.relative_to(folder).as_posix()
        try:
            yield file, path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadFile(file=file, reason=f"it is no text in UTF-8 ({error.reason} at byte {error.start}).") from None


def _functions(file: str, text: str, engine: str) -> Iterator[CreateFunction]:
    with about(file):
        for statement in read(text, engine):
            if not isinstance(statement, CreateFunction):
                raise BadFile(file=file, reason="it holds something else than CREATE FUNCTION ... USING MODEL.")
            yield statement


def _tables(file: str, text: str, engine: str) -> list[tuple[CreatePredictionTable, str]]:
    """The tables that a file declares, if any, and in whose SQL."""
    if "prediction" not in text.casefold():
        # A question, or a table of the engine's own: whatever it is, it is no declaration.
        return []
    with about(file):
        try:
            statements, dialect = _read(file, text, engine)
        except StatementError:
            if _DECLARES.search(text):
                raise
            return []
    tables = [one for one in statements if isinstance(one, CreatePredictionTable)]
    if tables and len(tables) < len(statements):
        reason = "CREATE PREDICTION TABLE stands beside other statements: put these into a file of their own."
        raise BadFile(file=file, reason=reason)
    return [(table, dialect) for table in tables]


def _read(file: str, text: str, engine: str) -> tuple[list[Statement], str]:
    """The statements of a file, read as the SQL of the engine that they name, and which one that is."""
    wrong: dict[str, StatementError] = {}
    for dialect in (engine, *(one for one in DIALECTS if one != engine)):
        try:
            statements = _statements(text, dialect)
        except StatementError as error:
            wrong[dialect] = error
            continue
        tables = [one for one in statements if isinstance(one, CreatePredictionTable)]
        named = {one.options.get("engine", engine) for one in tables}
        if len(named) > 1:
            raise BadFile(file=file, reason=f"its tables are of several engines ({quoted(sorted(named))}): one a file.")
        if named <= {dialect}:
            return statements, dialect
    raise next(iter(wrong.values()))


def _statements(text: str, dialect: str) -> list[Statement]:
    if tokenize(text, dialect) is None:
        raise SyntaxMistake(statement="it", expected="statements", found="a quote or comment that doesn't end")
    return read(text, dialect)


def _check_names(kind: str, declared: Iterable[DeclaredFunction | DeclaredTable]) -> None:
    seen: dict[str, str] = {}
    for one in declared:
        name = one.statement.name
        if (other := seen.get(name.casefold())) is not None:
            where = "it twice" if other == one.file else f"'{other}' too"
            raise BadFile(file=one.file, reason=f"the {kind} '{name}' stands in {where}.")
        seen[name.casefold()] = one.file
