"""The prediction tables that a statement reads: which ones, as of when, and what stands in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect

from sqlml.errors import SyntaxMistake
from sqlml.query.reader import TEXTS, Reader, starts
from sqlml.query.sources import Way, sources
from sqlml.query.tables import SCHEMA, read_bound
from sqlml.query.text import closing, identifier, is_word, tokenize


class At(NamedTuple):
    """The version or the moment that is asked for."""

    kind: Literal["version", "timestamp"]
    value: str


Edit = tuple[int, int, str]
"""A stretch of the text, its end exclusive, and what comes in its place."""

Shown = Callable[[str, At | None], str | None]
"""From a table's casefolded name to what stands in its place; None: it stays."""


def references(text: str, dialect: str) -> tuple[str, ...]:
    """The casefolded names of the prediction tables that a statement reads, in order, once each.

    Example:
        >>> references('FROM predictions.a, predictions."B", t WHERE t.x = "predictions.c"', "duckdb")
        ('a', 'b')
    """
    return tuple(dict.fromkeys(place.name for place in _places(_tokens(text, dialect))))


def with_snapshots(text: str, dialect: str, shown: Shown) -> str:
    """A statement that reads something else in the place of prediction tables; the rest of its text stays.

    Raises:
        SyntaxMistake: an AS OF of such a table has no version or timestamp behind it.

    Example:
        >>> with_snapshots("FROM predictions.a VERSION AS OF 3", "duckdb", lambda name, at: f"{name}_v{at[1]}")
        'FROM a_v3 AS a'
    """
    tokens = _tokens(text, dialect)
    places = list(_places(tokens))
    edits: list[Edit] = []
    named: set[str] = set()
    for place in places:
        held = _held(text, tokens, place, shown)
        if held is not None:
            new, end = held
            alias_at = _alias_place(tokens, place, end, dialect)
            edits += _edits(text, tokens, place, end, alias_at, new, dialect)
            named |= {place.name} if alias_at is not None else set()
    edits += _prefixes(tokens, named, {place.start for place in places})
    for start, stop, new in sorted(edits, reverse=True):
        text = f"{text[:start]}{new}{text[stop:]}"
    return text


def normalized(query: str, dialect: str) -> str:
    r"""A query without its layout: the same for two that differ in blanks, comments and the case of words only.

    Example:
        >>> normalized("SELECT  A, 'B' -- so\nFROM t", "duckdb")
        "select a , 'B' from t"
    """
    tokens = tokenize(query, dialect)
    if tokens is None:
        return query
    words, end = [], -1
    for token in tokens:
        # Spark's tokenizer makes several tokens of `1L`, all of the same place.
        if token.start > end:
            end = token.end
            word = query[token.start : end + 1]
            words.append(" ".join(word.casefold().split()) if re.fullmatch(r"[\w\s]+", word) else word)
    return " ".join(words)


@dataclass(frozen=True)
class _Place:
    """A prediction table that is read: the index of its first token, and what it is there."""

    name: str
    start: int
    way: Way


def _tokens(text: str, dialect: str) -> Sequence[Token]:
    if re.search(SCHEMA, text, re.IGNORECASE) is None:
        return []
    return tokenize(text, dialect) or []


def _places(tokens: Sequence[Token]) -> Iterator[_Place]:
    for i, way in sources(tokens):
        # Behind a longer path or brackets there is something else: a table of another catalog, a function.
        is_whole = i + 3 >= len(tokens) or tokens[i + 3].token_type not in (TokenType.DOT, TokenType.L_PAREN)
        if _is_table(tokens, i) and is_whole:
            yield _Place(tokens[i + 2].text.casefold(), i, way)


def _is_table(tokens: Sequence[Token], i: int) -> bool:
    """Whether `predictions.name` begins there."""
    return (
        i + 2 < len(tokens)
        and tokens[i].text.casefold() == SCHEMA
        and tokens[i].token_type not in TEXTS
        and tokens[i + 1].token_type == TokenType.DOT
        and tokens[i + 2].token_type not in (*TEXTS, TokenType.NUMBER, TokenType.STAR)
        and (i == 0 or tokens[i - 1].token_type != TokenType.DOT)
    )


def _held(text: str, tokens: Sequence[Token], place: _Place, shown: Shown) -> tuple[str, int] | None:
    """What stands in the place of a table, and the index of the token behind it and its AS OF."""
    reader = Reader(f"{SCHEMA}.{place.name}", text, tokens[place.start + 3 :])
    try:
        at = _as_of(reader)
    except SyntaxMistake:
        # Of a table that isn't one of ours, the engine may know what this is.
        if shown(place.name, None) is None:
            return None
        raise
    new = shown(place.name, at)
    return None if new is None else (new, len(tokens) - len(reader.tokens))


def _as_of(reader: Reader) -> At | None:
    kinds = (kind for words, kind in _AS_OF.items() if reader.maybe(f"{words} AS OF"))
    kind = next(kinds, None)
    if kind is None:
        return None
    if kind == "timestamp":
        expected = "a timestamp such as '2024-01-31 12:00'"
        wrong = reader.fail(expected)
        try:
            bound = read_bound(reader)
        except SyntaxMistake:
            raise wrong from None
        if bound.type == "integer":
            raise wrong
        return At(kind, bound.text)
    expected = "a version such as 12"
    wrong = reader.fail(expected)
    value = reader.string(expected) if reader.has_string() else reader.number(expected)
    if not re.fullmatch(r"\d+", value):
        raise wrong
    return At(kind, value)


_AS_OF: Mapping[str, Literal["version", "timestamp"]] = {
    "VERSION": "version",
    "FOR VERSION": "version",
    "FOR SYSTEM_VERSION": "version",
    "TIMESTAMP": "timestamp",
    "FOR TIMESTAMP": "timestamp",
    "FOR SYSTEM_TIME": "timestamp",
}


def _edits(
    text: str, tokens: Sequence[Token], place: _Place, end: int, alias_at: int | None, new: str, dialect: str
) -> list[Edit]:
    """The changes that put something in a table's place, and give it the table's name where it has no other.

    Args:
        text: the statement.
        tokens: all of its tokens.
        place: the table's.
        end: the index of the token behind the table and its AS OF.
        alias_at: the index of the token before which the table's name comes as an alias; None: nowhere.
        new: what comes in the table's place.
        dialect: sqlglot's name of the engine's SQL.
    """
    start, stop = tokens[place.start].start, tokens[end - 1].end + 1
    if alias_at is None:
        return [(start, stop, new)]
    name = tokens[place.start + 2]
    is_plain = name.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
    alias = f" AS {text[name.start : name.end + 1] if is_plain else identifier(name.text, dialect)}"
    if place.way == "item":
        alias_start = tokens[alias_at - 1].end + 1
        return [(start, stop, new), (alias_start, alias_start, alias)]
    before = tokens[place.start - 1]
    query = f"SELECT * FROM {new}{alias}"
    start = before.start if is_word(before, "table") else start
    return [(start, stop, f"({query})" if place.way == "brackets" else query)]


def _alias_place(tokens: Sequence[Token], place: _Place, end: int, dialect: str) -> int | None:
    """The index of the token before which an alias is missing; None where there is one, or none may be."""
    if place.way == "argument":
        return None
    if place.way != "item":
        return end
    behind = _behind_sample(tokens, end) if dialect in _SAMPLES_FIRST else end
    return None if _has_alias(tokens, place.start, behind, dialect) else behind


# Where TABLESAMPLE comes before the alias; elsewhere it comes behind.
_SAMPLES_FIRST = ("spark",)


def _behind_sample(tokens: Sequence[Token], i: int) -> int:
    """The index behind a TABLESAMPLE (...) [REPEATABLE (...)], if one begins there."""
    for word in ("tablesample", "repeatable"):
        end = closing(tokens, i + 1) if i + 1 < len(tokens) and is_word(tokens[i], word) else None
        if end is None:
            return i
        i = end + 1
    return i


def _has_alias(tokens: Sequence[Token], start: int, behind: int, dialect: str) -> bool:
    """Whether a table has an alias: behind it, or before it as in `FROM a: t`."""
    if start > 0 and tokens[start - 1].token_type == TokenType.COLON:
        return True
    if behind >= len(tokens):
        return False
    token = tokens[behind]
    if is_word(token, "as") or token.token_type == TokenType.IDENTIFIER:
        return True
    if any(starts(tokens[behind:], words) for words in _NO_ALIAS):
        return False
    return token.token_type in Dialect.get_or_raise(dialect).parser_class.TABLE_ALIAS_TOKENS


# What sqlglot would take for an alias, were it not for what comes next.
_NO_ALIAS = (
    *("LIMIT", "OFFSET", "SET", "PIVOT", "UNPIVOT", "STRAIGHT_JOIN"),
    *("GROUP BY", "ORDER BY", "SORT BY", "CLUSTER BY", "DISTRIBUTE BY"),
)


def _prefixes(tokens: Sequence[Token], names: Collection[str], places: Collection[int]) -> Iterator[Edit]:
    """The changes that take the schema off columns written in full: `predictions.name.column`."""
    for i in range(len(tokens) - 3):
        name, dot = tokens[i + 2], tokens[i + 3]
        is_column = _is_table(tokens, i) and dot.token_type == TokenType.DOT and i not in places
        if is_column and name.text.casefold() in names:
            yield tokens[i].start, name.start, ""
