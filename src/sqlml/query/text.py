"""Tokens of a statement with their places in the text, and text made of pieces of it.

A statement is changed by replacing the calls in its text and nothing else: what sqlglot would write back for the
rest is not always what the engine was given, and an engine's newer syntax is not always known to it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError

OPENING = {TokenType.L_PAREN, TokenType.L_BRACE, TokenType.L_BRACKET}
CLOSING = {TokenType.R_PAREN, TokenType.R_BRACE, TokenType.R_BRACKET}


@dataclass(frozen=True)
class Span:
    """A stretch of a statement's text, `end` exclusive."""

    start: int
    end: int


def tokenize(text: str, dialect: str) -> list[Token] | None:
    """The tokens of a text, without comments; None where it has none to be read (an unclosed string, say)."""
    found = _tokens(text, dialect)
    return None if found is None else list(found)


@functools.lru_cache(32)
def _tokens(text: str, dialect: str) -> tuple[Token, ...] | None:
    """The same, kept: on its way from a session to an engine a statement is read several times."""
    try:
        return tuple(_tokenizer(dialect)(dialect=dialect).tokenize(text))
    except TokenError:
        return None


@functools.cache
def _tokenizer(dialect: str) -> Any:
    """The dialect's tokenizer, without the commands (EXPLAIN, PREPARE) behind which it reads one string."""
    return type("Tokenizer", (Dialect.get_or_raise(dialect).tokenizer_class,), {"COMMANDS": set()})


def is_word(token: Token, *words: str) -> bool:
    """Whether a token is one of these words, in any case and not in quotes."""
    return token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER) and token.text.casefold() in words


def closing(tokens: Sequence[Token], opening: int) -> int | None:
    """The index of the bracket that closes the one at `opening`."""
    depth = 0
    for i in range(opening, len(tokens)):
        if tokens[i].token_type in OPENING:
            depth += 1
        elif tokens[i].token_type in CLOSING:
            depth -= 1
            if depth == 0:
                return i
    return None


def parts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The token runs between the commas of one level."""
    depth, start = 0, 0
    for i, token in enumerate(tokens):
        if token.token_type in OPENING:
            depth += 1
        elif token.token_type in CLOSING:
            depth -= 1
        elif token.token_type == TokenType.COMMA and depth == 0:
            yield tokens[start:i]
            start = i + 1
    if tokens:
        yield tokens[start:]


def outermost(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens that stand in no bracket, and are none."""
    depth = 0
    for token in tokens:
        depth += token.token_type in OPENING
        if depth == 0:
            yield token
        depth -= token.token_type in CLOSING


def span_of(tokens: Sequence[Token]) -> Span:
    """From the first token's start to the last one's end."""
    return Span(tokens[0].start, tokens[-1].end + 1)


def statements(text: str, tokens: Sequence[Token]) -> list[str]:
    """The statements of a text, cut at the semicolons outside strings and comments.

    Example:
        >>> statements("SELECT 1; SELECT ';'", tokenize("SELECT 1; SELECT ';'", "duckdb"))
        ['SELECT 1', "SELECT ';'"]
    """
    found, start = [], 0
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            found.append(text[start : token.start].strip())
            start = token.end + 1
    if any(token.start >= start for token in tokens):
        found.append(text[start:].strip())
    return [statement for statement in found if statement]


def identifier(name: str, dialect: str = "duckdb") -> str:
    """A name as an identifier, always in quotes.

    Example:
        >>> identifier('a"b'), identifier('a"b', "spark")
        ('"a""b"', '`a"b`')
    """
    mark = "`" if dialect == "spark" else '"'
    return mark + name.replace(mark, 2 * mark) + mark


def literal(value: str, dialect: str = "duckdb") -> str:
    r"""A text as a string literal.

    Example:
        >>> literal("it's"), literal("it's", "spark")
        ("'it''s'", "'it\\'s'")
    """
    if dialect == "spark":
        # Two quotes there end one text and begin another, and a backslash begins an escape.
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + value.replace("'", "''") + "'"


def numbered_placeholders(text: str, tokens: Sequence[Token]) -> str:
    """The text with each `?` as `$1`, `$2`, ...: binding by name may move an argument past another.

    Example:
        >>> numbered_placeholders("f(b := ?, a := ?)", tokenize("f(b := ?, a := ?)", "duckdb"))
        'f(b := $1, a := $2)'
    """
    places = [token.start for token in tokens if token.token_type == TokenType.PLACEHOLDER and token.text == "?"]
    for number, place in reversed(list(enumerate(places, 1))):
        text = f"{text[:place]}${number}{text[place + 1 :]}"
    return text


def scalar_literal(value: Any, dialect: str = "duckdb") -> str:
    """A label as SQL: text in quotes, numbers and truth values as they are.

    Example:
        >>> scalar_literal("a'b"), scalar_literal(True), scalar_literal(3)
        ("'a''b'", 'TRUE', '3')
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return literal(value, dialect) if isinstance(value, str) else repr(value)


def is_like(name: str, pattern: str | None) -> bool:
    """Whether a name matches a LIKE pattern, in any case.

    Example:
        >>> is_like("delay_risk", "DELAY%"), is_like("species", "delay%"), is_like("f", None)
        (True, False, True)
    """
    if pattern is None:
        return True
    wildcards = {"%": ".*", "_": "."}
    expression = "".join(wildcards.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, name, re.IGNORECASE | re.DOTALL) is not None
