"""The statements about prediction tables, read from tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlglot import Token, TokenType

from sqlml.errors import UnknownOption, did_you_mean, quoted
from sqlml.query.audits import read_audit
from sqlml.query.reader import IN_QUOTES, TEXTS, Known, Reader, starts
from sqlml.query.text import identifier, is_word, literal

SCHEMA = "predictions"
"""Where a query finds the tables."""


class Bound(NamedTuple):
    """A literal as written; whether it is one of the column's type is not known here."""

    type: Literal["timestamp", "timestamptz", "date", "integer", "text"]
    text: str


@dataclass(frozen=True)
class Incremental:
    """INCREMENTAL ON column [EVERY ...] [LOOKBACK ...] [START ...]; lengths as `1 DAY` or `1000`."""

    column: str
    every: str | None = None
    lookback: str | None = None
    start: Bound | None = None


@dataclass(frozen=True)
class Audit:
    """One condition that the rows of a refresh must hold.

    Example:
        >>> print(Audit("between", ("risk",), (0, 1)))
        between(risk, 0, 1)
    """

    rule: str
    columns: tuple[str, ...] = ()
    values: tuple[str | int | float, ...] = ()

    def __str__(self) -> str:
        columns = [one if re.fullmatch(r"\w+", one) else identifier(one) for one in self.columns]
        values = [literal(one) if isinstance(one, str) else repr(one) for one in self.values]
        return f"{self.rule}({', '.join([*columns, *values])})"


@dataclass(frozen=True)
class CreatePredictionTable:
    """CREATE [OR REPLACE] PREDICTION TABLE name clauses AS query; `text` is all of it."""

    name: str
    replace: bool
    query: str
    partition_by: tuple[str, ...] = ()
    incremental: Incremental | None = None
    key: tuple[str, ...] = ()
    cron: str | None = None
    zone: str | None = None
    audits: tuple[Audit, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class RefreshPredictionTable:
    """REFRESH PREDICTION TABLE name [FROM start TO end] [FULL]."""

    name: str
    start: Bound | None = None
    end: Bound | None = None
    full: bool = False


@dataclass(frozen=True)
class ShowPredictionTables:
    """SHOW PREDICTION TABLES [LIKE 'pattern']."""

    like: str | None = None


@dataclass(frozen=True)
class DescribePredictionTable:
    """DESCRIBE PREDICTION TABLE name."""

    name: str


@dataclass(frozen=True)
class DropPredictionTable:
    """DROP PREDICTION TABLE [IF EXISTS] name."""

    name: str
    if_exists: bool = False


TableStatement = (
    CreatePredictionTable
    | RefreshPredictionTable
    | ShowPredictionTables
    | DescribePredictionTable
    | DropPredictionTable
)


def read_table_statement(text: str, tokens: Sequence[Token]) -> TableStatement | None:
    """One of the statements about prediction tables; None where the text is none.

    Args:
        text: one statement.
        tokens: all of its tokens.

    Raises:
        SyntaxMistake: it is one, written wrongly.
        UnknownOption: a clause, audit, option or value that there is not.
    """
    for words, (statement, read) in _STATEMENTS.items():
        if taken := starts(tokens, words):
            return read(Reader(statement, text, tokens[taken:]))
    return None


def read_bound(reader: Reader) -> Bound:
    """Take a literal: a timestamp, a date, a whole number or a text; raises SyntaxMistake."""
    expected = "a literal such as TIMESTAMP '2013-01-01', DATE '2013-01-01' or 42"
    for words, kind in _BOUNDS.items():
        if reader.maybe(words):
            return Bound(kind, reader.string(f"{words} and a text in quotes"))
    if reader.has_string():
        return Bound("text", reader.string(expected))
    return Bound("integer", _whole(reader, expected))


# The longer ones first. Spark's TIMESTAMP has a zone, but what was written says only TIMESTAMP: the column decides.
_BOUNDS: Mapping[str, Literal["timestamp", "timestamptz", "date"]] = {
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp",
    "TIMESTAMPTZ": "timestamptz",
    "TIMESTAMP_LTZ": "timestamptz",
    "TIMESTAMP_NTZ": "timestamp",
    "TIMESTAMP": "timestamp",
    "DATE": "date",
}


def _create(reader: Reader, *, replace: bool = False) -> CreatePredictionTable:
    name, given, fields = _table(reader), set[str](), dict[str, Any]()
    while not reader.maybe("AS"):
        clause = _clause(reader)
        if clause in given:
            raise reader.mistake(f"{clause} once", f"'{clause}' again")
        given.add(clause)
        fields |= _CLAUSES[clause](reader)
    if not reader.tokens:
        raise reader.fail("a query after AS")
    # A comment behind the query would swallow the bracket that closes it, were it put in brackets.
    query = reader.text[reader.tokens[0].start : reader.tokens[-1].end + 1]
    return CreatePredictionTable(name, replace, query, **fields, text=reader.text)


def _replace(reader: Reader) -> CreatePredictionTable:
    return _create(reader, replace=True)


def _refresh(reader: Reader) -> RefreshPredictionTable:
    name, full = _table(reader), reader.maybe("FULL")
    start = end = None
    if reader.maybe("FROM"):
        start = read_bound(reader)
        reader.word("TO")
        end = read_bound(reader)
    if start and (full or reader.maybe("FULL")):
        raise reader.mistake("FULL or FROM ... TO", "both")
    reader.end()
    return RefreshPredictionTable(name, start, end, full)


def _show(reader: Reader) -> ShowPredictionTables:
    like = reader.string("a pattern in quotes") if reader.maybe("LIKE") else None
    reader.end()
    return ShowPredictionTables(like)


def _describe(reader: Reader) -> DescribePredictionTable:
    name = _table(reader)
    reader.end()
    return DescribePredictionTable(name)


def _drop(reader: Reader) -> DropPredictionTable:
    if_exists = reader.maybe("IF EXISTS")
    name = _table(reader)
    reader.end()
    return DropPredictionTable(name, if_exists)


# What a statement begins with, what errors call it, and how the rest is read.
_STATEMENTS: Mapping[str, tuple[str, Callable[[Reader], TableStatement]]] = {
    "CREATE PREDICTION TABLE": ("CREATE PREDICTION TABLE", _create),
    "CREATE OR REPLACE PREDICTION TABLE": ("CREATE PREDICTION TABLE", _replace),
    "REFRESH PREDICTION TABLE": ("REFRESH PREDICTION TABLE", _refresh),
    "SHOW PREDICTION TABLES": ("SHOW PREDICTION TABLES", _show),
    "DESCRIBE PREDICTION TABLE": ("DESCRIBE PREDICTION TABLE", _describe),
    "DESC PREDICTION TABLE": ("DESCRIBE PREDICTION TABLE", _describe),
    "DROP PREDICTION TABLE": ("DROP PREDICTION TABLE", _drop),
}


def _table(reader: Reader) -> str:
    """A table's name, which becomes a folder's."""
    tokens = reader.tokens
    if (
        len(tokens) > 2
        and tokens[0].text.casefold() == SCHEMA
        and tokens[0].token_type not in TEXTS
        and tokens[1].token_type == TokenType.DOT
    ):
        del tokens[:2]
    # `daily-risk` is three tokens, and the name that was meant.
    length = 1 if tokens else 0
    while 0 < length < len(tokens) and tokens[length].start == tokens[length - 1].end + 1:
        if tokens[length].token_type == TokenType.L_PAREN:
            break
        length += 1
    is_text = length == 1 and tokens[0].token_type in TEXTS
    if length != 1 or is_text or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", tokens[0].text):
        expected = "a table's name, of the letters a to z, digits and '_' and no digit first"
        raise reader.mistake(expected, reader.shown(tokens[:length]))
    return str(tokens.pop(0).text)


def _clause(reader: Reader) -> str:
    """Take the words that a clause begins with."""
    for clause in _CLAUSES:
        if reader.maybe(clause):
            return clause
    if not reader.tokens or is_word(reader.tokens[0], "select", "with", "from"):
        raise reader.fail("AS and a query")
    token = reader.tokens[0]
    if token.token_type in IN_QUOTES or not re.fullmatch(r"[\w\s]+", token.text):
        raise reader.fail("a clause, or AS and a query")
    word = " ".join(token.text.upper().split())
    valid = [*_CLAUSES, "AS"]
    raise UnknownOption(
        statement=reader.statement,
        what="clause",
        value=word,
        valid=quoted(valid),
        suggestion=did_you_mean(word, valid),
    )


def _columns(reader: Reader) -> tuple[str, ...]:
    columns: dict[str, str] = {}
    for item in reader.items():
        column = item.name("a column's name")
        item.end()
        if column.casefold() in columns:
            raise reader.mistake("each column once", f"'{column}' again")
        columns[column.casefold()] = column
    return tuple(columns.values())


def _incremental(reader: Reader) -> Incremental:
    column = reader.name("a column's name")
    fields: dict[str, Any] = {}
    while part := next((part for part in _PARTS if reader.maybe(part)), None):
        if part in fields:
            raise reader.mistake(f"{part.upper()} once", f"'{part.upper()}' again")
        fields[part] = _PARTS[part](reader)
    return Incremental(column, **fields)


def _interval(reader: Reader) -> str:
    expected = "INTERVAL '1' DAY, or a whole number"
    if not reader.maybe("INTERVAL"):
        return _whole(reader, expected)
    if not reader.has_string():
        return f"{_whole(reader, expected)} {_unit(reader)}"
    text = reader.string(expected)
    return f"{text} {_unit(reader)}" if re.fullmatch(r"\s*\d+\s*", text) else text


def _unit(reader: Reader) -> str:
    expected = "a unit such as DAY"
    if any(starts(reader.tokens, words) for words in (*_CLAUSES, *_PARTS, "AS")):
        raise reader.fail(expected)
    return reader.name(expected)


# The fields of Incremental, each written by its own name.
_PARTS: Mapping[str, Callable[[Reader], object]] = {"every": _interval, "lookback": _interval, "start": read_bound}


def _whole(reader: Reader, expected: str) -> str:
    wrong = reader.fail(expected)
    number = reader.number(expected)
    if not re.fullmatch(r"-?\d+", number):
        raise wrong
    return number


def _schedule(reader: Reader) -> dict[str, str | None]:
    cron = reader.string("a schedule in quotes, such as '0 3 * * *'")
    zoned = reader.maybe("AT TIME ZONE")
    return {"cron": cron, "zone": reader.string("a time zone in quotes, such as 'UTC'") if zoned else None}


def _table_options(reader: Reader) -> dict[str, str]:
    options = reader.options(_OPTIONS)
    for key, (pattern, valid) in _PATTERNS.items():
        value = options.get(key)
        if value is None:
            continue
        if not re.fullmatch(pattern, value, re.IGNORECASE):
            raise UnknownOption(statement=reader.statement, what=key, value=value, valid=valid, suggestion="")
        options[key] = value.casefold()
    return options


_OPTIONS: Known = {
    "engine": ("duckdb", "spark"),
    "retention": None,
    "comment": None,
    "catch_up": None,
    "timeout": None,
    "retries": None,
}
_PATTERNS: Mapping[str, tuple[str, str]] = {
    "catch_up": (r"all|latest|\d+", "'all', 'latest' or a whole number in quotes"),
    "retries": (r"\d+", "a whole number in quotes"),
}


# What a clause begins with, and the fields of CreatePredictionTable that the rest of it gives.
_CLAUSES: Mapping[str, Callable[[Reader], Mapping[str, Any]]] = {
    "PARTITIONED BY": lambda reader: {"partition_by": _columns(reader)},
    "INCREMENTAL ON": lambda reader: {"incremental": _incremental(reader)},
    "KEY": lambda reader: {"key": _columns(reader)},
    "SCHEDULE CRON": _schedule,
    "AUDIT": lambda reader: {"audits": tuple(Audit(*read_audit(item)) for item in reader.items())},
    "OPTIONS": lambda reader: {"options": _table_options(reader)},
}
