"""sqlml's own statements, read from tokens; any other is a query, which may hold calls."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType

from sqlml.query.reader import IN_QUOTES, Known, Reader, check_known
from sqlml.query.tables import TableStatement, read_table_statement
from sqlml.query.text import is_word, outermost, statements, tokenize
from sqlml.types import NULL_POLICIES, STRATEGIES, Output

GENERIC: Mapping[str, Output] = {
    "predict": "predict",
    "predict_score": "score",
    "predict_proba": "proba",
    "predict_probs": "probs",
}
"""The generic functions, and the output that each gives; `predict_probs` is what ML.PREDICT becomes."""


@dataclass(frozen=True)
class CreateFunction:
    """CREATE [OR REPLACE] FUNCTION name USING MODEL 'reference' [OPTIONS (...)]."""

    name: str
    reference: str
    replace: bool
    options: Mapping[str, str]


@dataclass(frozen=True)
class DropFunction:
    """DROP FUNCTION [IF EXISTS] name; `text` goes to the engine where the name is not a model's."""

    name: str
    if_exists: bool
    text: str


@dataclass(frozen=True)
class ShowFunctions:
    """SHOW FUNCTIONS [LIKE 'pattern']."""

    like: str | None


@dataclass(frozen=True)
class DescribeFunction:
    """DESCRIBE FUNCTION name."""

    name: str


@dataclass(frozen=True)
class ExplainPredict:
    """EXPLAIN PREDICT [ANALYZE] statement; with ANALYZE it is run."""

    text: str
    analyze: bool = False


@dataclass(frozen=True)
class Query:
    """Anything else: it goes to the engine, its calls of models replaced."""

    text: str


Statement = CreateFunction | DropFunction | ShowFunctions | DescribeFunction | TableStatement | ExplainPredict | Query


def mentions(text: str, functions: frozenset[str]) -> bool:
    """Whether a text may hold a form of sqlml's: if not, it is not even tokenized.

    Args:
        text: one or more statements.
        functions: the casefolded names of all functions and of their outputs.
    """
    words = set(re.findall(r"\w+", text.casefold()))
    return bool(
        words & functions
        or words & GENERIC.keys()
        or words & {"ml", "sqlml", "predictions"}
        or {"function", "model"} <= words
        or "functions" in words
        or ("prediction" in words and words & {"table", "tables"})
        or ("function" in words and words & {"describe", "desc", "drop"})
    )


def read(text: str, dialect: str) -> list[Statement]:
    """Cut a text into statements and read sqlml's own.

    Raises:
        SyntaxMistake: one of sqlml's statements is written wrongly.
        UnknownOption: OPTIONS holds one that there is not.
    """
    tokens = tokenize(text, dialect)
    if tokens is None:
        return [Query(text)]
    return [_read_one(one, tokenize(one, dialect) or []) for one in statements(text, tokens)]


def _read_one(text: str, tokens: Sequence[Token]) -> Statement:
    table_statement = read_table_statement(text, tokens)
    if table_statement is not None:
        return table_statement
    words = [token.text.casefold() if token.token_type not in IN_QUOTES else "" for token in tokens[:6]]
    match words:
        case ["create", "or", "replace", "function", *_] if _using_model(tokens):
            return _create(Reader("CREATE FUNCTION", text, tokens[4:]), replace=True)
        case ["create", "function", *_] if _using_model(tokens):
            return _create(Reader("CREATE FUNCTION", text, tokens[2:]), replace=False)
        case ["drop", "function", *_]:
            return _drop(text, tokens)
        case ["show", "functions", *_]:
            return _show(Reader("SHOW FUNCTIONS", text, tokens[2:]))
        case ["describe" | "desc", "function", *_]:
            reader = Reader("DESCRIBE FUNCTION", text, tokens[2:])
            statement = DescribeFunction(reader.name("a function's name"))
            reader.end()
            return statement
        case ["explain", "predict", "analyze", *_] if len(tokens) > 3 and tokens[3].token_type != TokenType.L_PAREN:
            return ExplainPredict(text[tokens[3].start :], analyze=True)
        case ["explain", "predict", *_] if len(tokens) > 2 and tokens[2].token_type != TokenType.L_PAREN:
            return ExplainPredict(text[tokens[2].start :])
    return Query(text)


def _using_model(tokens: Sequence[Token]) -> bool:
    return any(is_word(one, "using") and is_word(two, "model") for one, two in itertools.pairwise(tokens))


def _create(reader: Reader, *, replace: bool) -> CreateFunction:
    name = reader.name("a function's name")
    reader.word("using")
    reader.word("model")
    reference = reader.string("a model reference in quotes, such as 'models:/name@alias'")
    options = reader.options(_OPTIONS) if reader.maybe("options") else {}
    reader.end()
    return CreateFunction(name, reference, replace, options)


_OPTIONS: Known = {
    "on_null": NULL_POLICIES,
    "strategy": STRATEGIES,
    "comment": None,
}


def check_option(statement: str, key: str, value: str) -> None:
    """Raise UnknownOption unless a function has that option and it takes that value."""
    check_known(statement, _OPTIONS, key, value)


def _drop(text: str, tokens: Sequence[Token]) -> Statement:
    reader = Reader("DROP FUNCTION", text, tokens[2:])
    if_exists = reader.maybe("if")
    if if_exists:
        reader.word("exists")
    # More than a bare name is for the engine: a macro in a schema, CASCADE.
    if len(reader.tokens) != 1:
        return Query(text)
    return DropFunction(reader.name("a function's name"), if_exists, text)


def _show(reader: Reader) -> ShowFunctions:
    like = reader.string("a pattern in quotes") if reader.maybe("like") else None
    reader.end()
    return ShowFunctions(like)


_MODIFIERS = ("or", "replace", "temp", "temporary", "if", "not", "exists", "unique", "recursive")


def keeps_text(text: str, dialect: str) -> bool:
    """Whether a statement makes something that keeps its text: a view, a macro, a column's default, check or index."""
    tokens = tokenize(text, dialect) or []
    words = [token.text.casefold() for token in tokens[:8] if not is_word(token, *_MODIFIERS)]
    match words:
        case ["create", "view" | "macro" | "function" | "index", *_] | ["alter", *_]:
            return True
        case ["create", "table", *_]:
            return not any(is_word(token, "as") for token in outermost(tokens))
    return False
