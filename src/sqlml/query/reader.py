"""The rest of one of sqlml's own statements, taken off token by token from the front."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlglot import Token, TokenType

from sqlml.errors import SyntaxMistake, UnknownOption, did_you_mean, quoted
from sqlml.query.text import closing, parts

TEXTS = frozenset(kind for kind in TokenType if kind.name.endswith("STRING"))
"""Tokens of texts, however they are quoted; the plain one alone is a text to sqlml's own statements."""

IN_QUOTES = TEXTS | {TokenType.IDENTIFIER}
"""Tokens that are no keyword, whatever they say."""

Known = Mapping[str, Sequence[str] | None]
"""The options that there are, and the values that each takes; None: any text."""


class Reader:
    """What is left of a statement.

    Args:
        statement: what errors call it.
        text: the whole text that the tokens are of.
        tokens: what is left.
        last: the comma or bracket that ends it, where it is a piece of a list.
    """

    def __init__(self, statement: str, text: str, tokens: Sequence[Token], last: Token | None = None) -> None:
        self.statement = statement
        self.text = text
        self.tokens = list(tokens)
        self.last = last

    def shown(self, tokens: Sequence[Token]) -> str:
        """Tokens as an error quotes them; none are the end."""
        if tokens:
            return f"'{self.text[tokens[0].start : tokens[-1].end + 1]}'"
        return f"'{self.last.text}'" if self.last else "the end of the statement"

    def fail(self, expected: str) -> SyntaxMistake:
        """The error that something else stands here."""
        return self.mistake(expected, self.shown(self.tokens[:1]))

    def mistake(self, expected: str, found: str) -> SyntaxMistake:
        """The error that something was found, in the error's own words."""
        return SyntaxMistake(statement=self.statement, expected=expected, found=found)

    def name(self, expected: str) -> str:
        """Take a name, in quotes or not."""
        if not self.tokens or not _is_name(self.tokens[0]):
            raise self.fail(expected)
        return str(self.tokens.pop(0).text)

    def word(self, words: str) -> None:
        """Take a word, or several, that must stand here."""
        if not self.maybe(words):
            raise self.fail(words.upper())

    def maybe(self, words: str) -> bool:
        """Take a word, or several, if they stand here."""
        taken = starts(self.tokens, words)
        del self.tokens[:taken]
        return taken > 0

    def has_string(self) -> bool:
        """Whether a text in quotes stands here."""
        return bool(self.tokens) and self.tokens[0].token_type == TokenType.STRING

    def string(self, expected: str) -> str:
        """Take a text in quotes."""
        if not self.has_string():
            raise self.fail(expected)
        token = self.tokens.pop(0)
        text = str(token.text)
        # What is one text with a quote in it to SQL, 'it''s', is two to Spark's tokenizer.
        quote = self.text[token.start]
        while self.has_string() and self.text[token.end + 1 : token.end + 2] == quote:
            token = self.tokens.pop(0)
            text = f"{text}{quote}{token.text}"
        return text

    def number(self, expected: str) -> str:
        """Take a number, as written, its sign with it."""
        taken = 0
        # `.5` is two tokens to one dialect.
        for kind in (TokenType.DASH, TokenType.DOT):
            taken += taken < len(self.tokens) and self.tokens[taken].token_type == kind
        if taken >= len(self.tokens) or self.tokens[taken].token_type != TokenType.NUMBER:
            raise self.fail(expected)
        number = "".join(token.text for token in self.tokens[: taken + 1])
        del self.tokens[: taken + 1]
        return number

    def brackets(self) -> list[Token]:
        """Take brackets; gives what is in them."""
        return self._brackets()[0]

    def items(self) -> list[Reader]:
        """Take brackets; gives what is between their commas, at least one piece, which may be empty."""
        inside, end = self._brackets()
        found: list[Reader] = []
        place = 0
        for piece in parts(inside) if inside else [inside]:
            place += len(piece) + 1
            last = inside[place - 1] if place <= len(inside) else end
            found.append(Reader(self.statement, self.text, piece, last))
        return found

    def end(self) -> None:
        """Raise unless nothing is left."""
        if self.tokens:
            raise self.fail("',' or ')'" if self.last else "the end of the statement")

    def options(self, known: Known) -> dict[str, str]:
        """Take `(name = 'value', ...)`; a value that is one of a few comes casefolded.

        Raises:
            UnknownOption: an option or value that there is not.
        """
        options: dict[str, str] = {}
        for part in parts(self.brackets()):
            shape = "an option as name = 'value'"
            if len(part) < 3 or part[1].token_type != TokenType.EQ or part[2].token_type != TokenType.STRING:
                raise self.mistake(shape, self.shown(part))
            value = Reader(self.statement, self.text, part[2:])
            key, text = part[0].text.casefold(), value.string(shape)
            if value.tokens:
                raise self.mistake(shape, self.shown(part))
            text = text if known.get(key) is None else text.casefold()
            check_known(self.statement, known, key, text)
            if key in options:
                raise self.mistake("each option once", f"'{key}' again")
            options[key] = text
        return options

    def _brackets(self) -> tuple[list[Token], Token]:
        if not self.tokens or self.tokens[0].token_type != TokenType.L_PAREN:
            raise self.fail("'('")
        end = closing(self.tokens, 0)
        if end is None:
            raise self.mistake("')'", "the end of the statement")
        inside, last = self.tokens[1:end], self.tokens[end]
        del self.tokens[: end + 1]
        return inside, last


def check_known(statement: str, known: Known, key: str, value: str) -> None:
    """Raise UnknownOption unless there is that option and it takes that value."""
    if key not in known:
        suggestion = did_you_mean(key, known)
        raise UnknownOption(statement=statement, what="option", value=key, valid=quoted(known), suggestion=suggestion)
    valid = known[key]
    if valid is not None and value not in valid:
        raise UnknownOption(
            statement=statement, what=key, value=value, valid=quoted(valid), suggestion=did_you_mean(value, valid)
        )


def starts(tokens: Sequence[Token], words: str) -> int:
    """How many tokens these words are that the tokens begin with, in any case and not in quotes; else 0.

    `GROUP BY` is one token, unless a comment stands in it.
    """
    missing, taken = words.casefold().split(), 0
    while missing and taken < len(tokens) and tokens[taken].token_type not in IN_QUOTES:
        found = tokens[taken].text.casefold().split()
        if not found or found != missing[: len(found)]:
            return 0
        missing, taken = missing[len(found) :], taken + 1
    return 0 if missing else taken


def _is_name(token: Token) -> bool:
    if token.token_type == TokenType.IDENTIFIER:
        return token.text != ""
    return token.token_type not in (*TEXTS, TokenType.NUMBER) and bool(re.fullmatch(r"\w+", token.text))
