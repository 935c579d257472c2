"""sqlml's own statements, read from tokens; any other is a query, which may hold calls."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType

from sqlml.errors import SyntaxMistake, UnknownOption, did_you_mean, quoted
from sqlml.query.text import is_word, outermost, parts, statements, tokenize
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
    """EXPLAIN PREDICT statement."""

    text: str


@dataclass(frozen=True)
class Query:
    """Anything else: it goes to the engine, its calls of models replaced."""

    text: str


Statement = CreateFunction | DropFunction | ShowFunctions | DescribeFunction | ExplainPredict | Query


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
        or words & {"ml", "sqlml"}
        or {"function", "model"} <= words
        or "functions" in words
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
    words = [token.text.casefold() if token.token_type != TokenType.STRING else "" for token in tokens[:6]]
    match words:
        case ["create", "or", "replace", "function", *_] if _using_model(tokens):
            return _create(_Reader("CREATE FUNCTION", text, tokens[4:]), replace=True)
        case ["create", "function", *_] if _using_model(tokens):
            return _create(_Reader("CREATE FUNCTION", text, tokens[2:]), replace=False)
        case ["drop", "function", *_]:
            return _drop(text, tokens)
        case ["show", "functions", *_]:
            return _show(_Reader("SHOW FUNCTIONS", text, tokens[2:]))
        case ["describe" | "desc", "function", *_]:
            reader = _Reader("DESCRIBE FUNCTION", text, tokens[2:])
            statement = DescribeFunction(reader.name("a function's name"))
            reader.end()
            return statement
        case ["explain", "predict", *_] if len(tokens) > 2 and tokens[2].token_type != TokenType.L_PAREN:
            return ExplainPredict(text[tokens[2].start :])
    return Query(text)


def _using_model(tokens: Sequence[Token]) -> bool:
    return any(is_word(one, "using") and is_word(two, "model") for one, two in itertools.pairwise(tokens))


def _create(reader: _Reader, *, replace: bool) -> CreateFunction:
    name = reader.name("a function's name")
    reader.word("using")
    reader.word("model")
    reference = reader.string("a model reference in quotes, such as 'models:/name@alias'")
    options: dict[str, str] = {}
    if reader.maybe("options"):
        options = _options(reader)
    reader.end()
    return CreateFunction(name, reference, replace, options)


_OPTIONS: Mapping[str, Sequence[str] | None] = {
    "on_null": NULL_POLICIES,
    "strategy": STRATEGIES,
    "comment": None,
}


def check_option(statement: str, key: str, value: str) -> None:
    """Raise UnknownOption unless a function has that option and it takes that value."""
    if key not in _OPTIONS:
        suggestion = did_you_mean(key, _OPTIONS)
        raise UnknownOption(
            statement=statement, what="option", value=key, valid=quoted(_OPTIONS), suggestion=suggestion
        )
    valid = _OPTIONS[key]
    if valid is not None and value not in valid:
        raise UnknownOption(
            statement=statement, what=key, value=value, valid=quoted(valid), suggestion=did_you_mean(value, valid)
        )


def _options(reader: _Reader) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts(reader.brackets()):
        shape = "an option as name = 'value'"
        if len(part) != 3 or part[1].token_type != TokenType.EQ or part[2].token_type != TokenType.STRING:
            raise SyntaxMistake(statement=reader.statement, expected=shape, found=reader.shown(part))
        key, value = part[0].text.casefold(), part[2].text
        value = value if key == "comment" else value.casefold()
        check_option(reader.statement, key, value)
        options[key] = value
    return options


def _drop(text: str, tokens: Sequence[Token]) -> Statement:
    reader = _Reader("DROP FUNCTION", text, tokens[2:])
    if_exists = reader.maybe("if")
    if if_exists:
        reader.word("exists")
    # More than a bare name is for the engine: a macro in a schema, CASCADE.
    if len(reader.tokens) != 1:
        return Query(text)
    return DropFunction(reader.name("a function's name"), if_exists, text)


def _show(reader: _Reader) -> ShowFunctions:
    like = reader.string("a pattern in quotes") if reader.maybe("like") else None
    reader.end()
    return ShowFunctions(like)


class _Reader:
    """The rest of a statement, taken off from the front."""

    def __init__(self, statement: str, text: str, tokens: Sequence[Token]) -> None:
        self.statement = statement
        self.text = text
        self.tokens = list(tokens)

    def shown(self, tokens: Sequence[Token]) -> str:
        return f"'{self.text[tokens[0].start : tokens[-1].end + 1]}'" if tokens else "the end of the statement"

    def fail(self, expected: str) -> SyntaxMistake:
        return SyntaxMistake(statement=self.statement, expected=expected, found=self.shown(self.tokens[:1]))

    def name(self, expected: str) -> str:
        if not self.tokens or self.tokens[0].token_type in (TokenType.STRING, TokenType.NUMBER, TokenType.L_PAREN):
            raise self.fail(expected)
        return str(self.tokens.pop(0).text)

    def word(self, word: str) -> None:
        if not self.maybe(word):
            raise self.fail(word.upper())

    def maybe(self, word: str) -> bool:
        if self.tokens and is_word(self.tokens[0], word):
            self.tokens.pop(0)
            return True
        return False

    def string(self, expected: str) -> str:
        if not self.tokens or self.tokens[0].token_type != TokenType.STRING:
            raise self.fail(expected)
        return str(self.tokens.pop(0).text)

    def brackets(self) -> list[Token]:
        if not self.tokens or self.tokens[0].token_type != TokenType.L_PAREN:
            raise self.fail("'('")
        for i, token in enumerate(self.tokens):
            if token.token_type == TokenType.R_PAREN:
                inside = self.tokens[1:i]
                del self.tokens[: i + 1]
                return inside
        raise SyntaxMistake(statement=self.statement, expected="')'", found="the end of the statement")

    def end(self) -> None:
        if self.tokens:
            raise self.fail("the end of the statement")


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
