"""Where in a statement a table is named to be read, told by the words around it, in any engine's SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import Token, TokenType

from sqlml.query.reader import IN_QUOTES
from sqlml.query.text import CLOSING, OPENING, is_word, tokenize

Way = Literal["item", "query", "brackets", "argument"]
"""What the table is there: an item of FROM; a whole query (`TABLE t`, `DESCRIBE t`), which may need brackets (`COPY t
TO`); or a function's argument (`f(TABLE t)`, `f(TABLE(t))`)."""

_BEGINS = {"from", "join", "straight_join", "using", "pivot", "unpivot"}
_ENDS = {
    *("select", "where", "group", "having", "qualify", "window", "order", "limit", "offset", "fetch", "union"),
    *("intersect", "except", "minus", "set", "values", "returning", "|>"),
    *("cluster by", "distribute by", "sort by"),
}
"""What ends a FROM clause; behind it, a comma is one between columns."""

# Functions with a FROM among their arguments; and words that make a FROM one that reads no table.
_TAKE_FROM = {"extract", "substring", "substr", "trim", "overlay"}
_NO_TABLE = ("distinct", "delete")

# What a query can follow, TABLE t being one.
_BEFORE_QUERY = {
    *("as", "union", "all", "distinct", "except", "intersect", "minus", "explain", "predict"),
    *("describe", "desc", "summarize"),
}
_NO_FUNCTIONS = {"as", "from", "join", "in", "exists", "union", "all", "except", "intersect", "any", "some", "not"}


@dataclass
class _Level:
    """What is known inside the brackets that are open: is this FROM, is a table next, is FROM a word of a function."""

    in_from: bool = False
    is_next: bool = False
    takes_from: bool = False


def sources(tokens: Sequence[Token]) -> Iterator[tuple[int, Way]]:
    """The index of the first token of each table that is read, and what it is there; some are no tables' names.

    Example:
        >>> from sqlml.query.text import tokenize
        >>> tokens = tokenize("SELECT a FROM b, c JOIN (TABLE d) ORDER BY 1, e", "duckdb")
        >>> [(tokens[i].text, way) for i, way in sources(tokens)]
        [('b', 'item'), ('c', 'item'), ('d', 'query')]
    """
    # SHOW COLUMNS FROM reads no rows.
    if not tokens or is_word(tokens[0], "show"):
        return
    yield from _first(tokens)
    levels = [_Level()]
    for i, token in enumerate(tokens):
        level = levels[-1]
        if token.token_type in OPENING:
            levels.append(_opened(tokens, i, level))
            level.is_next = False
            if i > 0 and is_word(tokens[i - 1], "table"):
                yield i + 1, "argument"
        elif token.token_type in CLOSING:
            del levels[max(1, len(levels) - 1) :]
        elif is_word(token, "table") and (way := _behind_table(tokens, i, len(levels))):
            level.is_next = False
            yield i + 1, way
        elif _moves(tokens, i, level):
            yield i, "item"


def _opened(tokens: Sequence[Token], i: int, level: _Level) -> _Level:
    if tokens[i].token_type != TokenType.L_PAREN:
        return _Level()
    if level.is_next:
        return _Level(in_from=level.in_from, is_next=True)
    return _Level(takes_from=i > 0 and _word(tokens[i - 1]) in _TAKE_FROM)


def _moves(tokens: Sequence[Token], i: int, level: _Level) -> bool:
    """Go one token on in a level; whether a table begins with it."""
    token, before = tokens[i], tokens[i - 1] if i else None
    word = "" if before is not None and before.token_type == TokenType.DOT else _word(token)
    if word in _BEGINS:
        if word == "from" and (level.takes_from or (before is not None and is_word(before, *_NO_TABLE))):
            return False
        level.is_next = True
        level.in_from = word not in ("pivot", "unpivot")
    elif token.token_type == TokenType.COMMA:
        level.is_next = level.in_from
    elif word in _ENDS or word.split(" ")[0] in _ENDS or _two_words(tokens, i) in _ENDS:
        level.is_next = level.in_from = False
    elif level.is_next and word != "lateral":
        # DuckDB writes an alias before the table, too: `FROM a: t`.
        level.is_next = _is_colon(token) or (i + 1 < len(tokens) and _is_colon(tokens[i + 1]))
        return not level.is_next
    return False


def _first(tokens: Sequence[Token]) -> Iterator[tuple[int, Way]]:
    """The table right behind a statement's first word."""
    if is_word(tokens[0], "describe", "desc", "summarize"):
        yield 1, "query"
    if is_word(tokens[0], "copy") and _first_word(tokens, "from", "to") == "to":
        yield 1, "brackets"


def _first_word(tokens: Sequence[Token], *words: str) -> str:
    return next((_word(token) for token in tokens if is_word(token, *words)), "")


def _behind_table(tokens: Sequence[Token], i: int, depth: int) -> Way | None:
    """What the table behind a TABLE is; None where it is made, changed or dropped."""
    if i == 0:
        return "query"
    before = tokens[i - 1]
    if before.token_type == TokenType.COMMA:
        return "argument" if depth > 1 else None
    if before.token_type == TokenType.L_PAREN:
        is_function = i > 1 and tokens[i - 2].token_type in (TokenType.VAR, TokenType.IDENTIFIER)
        return "argument" if is_function and _word(tokens[i - 2]) not in _NO_FUNCTIONS else "query"
    if before.token_type == TokenType.R_PAREN or _word(before) in _BEFORE_QUERY:
        return "query"
    is_insert = is_word(tokens[0], "insert") and not is_word(before, "into", "overwrite")
    return "query" if is_insert else None


def _word(token: Token) -> str:
    """A token's text casefolded; nothing where it is in quotes."""
    return "" if token.token_type in IN_QUOTES else " ".join(token.text.casefold().split())


def _two_words(tokens: Sequence[Token], i: int) -> str:
    return f"{_word(tokens[i])} {_word(tokens[i + 1])}" if i + 1 < len(tokens) else ""


def _is_colon(token: Token) -> bool:
    return token.token_type == TokenType.COLON


def names_read(text: str, dialect: str) -> tuple[str, ...]:
    r"""The names of the tables that a query reads, as written and without quotes, once each; no CTEs, no functions.

    Example:
        >>> names_read("WITH c AS (SELECT * FROM a.b) SELECT * FROM c, range(3), \"D\" JOIN predictions.e", "duckdb")
        ('a.b', 'D', 'predictions.e')
    """
    tokens = tokenize(text, dialect) or []
    ctes = {
        name.text.casefold()
        for name, as_, bracket in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if is_word(as_, "as") and bracket.token_type == TokenType.L_PAREN
    }
    found: dict[str, None] = {}
    for i, _ in sources(tokens):
        parts, end = [tokens[i].text], i + 1
        while end + 1 < len(tokens) and tokens[end].token_type == TokenType.DOT:
            parts.append(tokens[end + 1].text)
            end += 2
        is_function = end < len(tokens) and tokens[end].token_type == TokenType.L_PAREN
        if tokens[i].token_type in OPENING or is_function or (len(parts) == 1 and parts[0].casefold() in ctes):
            continue
        found[".".join(parts)] = None
    return tuple(found)
