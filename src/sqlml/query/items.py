"""Items of SELECT lists that hold calls and have no name, which the engine would make of what replaces the call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType

from sqlml.query.text import CLOSING, OPENING, Span, closing, is_word, parts

_ENDS = {
    *("from", "where", "group", "having", "qualify", "window", "order", "limit", "offset", "fetch", "union"),
    *("intersect", "except", "into", "sample", "using", "cluster", "distribute", "sort"),
}
"""Words behind a SELECT list."""

_VALUES = (TokenType.NUMBER, TokenType.STRING, TokenType.IDENTIFIER, TokenType.VAR, TokenType.END, *CLOSING)
_NO_NAMES = ("end", "null", "true", "false")


def unnamed(tokens: Sequence[Token], calls: Sequence[int]) -> list[Span]:
    """Where such items stand in the text.

    Args:
        tokens: the statement's.
        calls: where the names of its calls start.
    """
    found = []
    for i, token in enumerate(tokens):
        if token.token_type == TokenType.SELECT:
            for item in _items(tokens, i + 1):
                span = Span(item[0].start, item[-1].end + 1)
                if not _has_name(item) and any(span.start <= start < span.end for start in calls):
                    found.append(span)
    return found


def _items(tokens: Sequence[Token], start: int) -> Iterator[Sequence[Token]]:
    """The items of the SELECT list that starts there."""
    if start < len(tokens) and is_word(tokens[start], "distinct", "all"):
        start += 1
        if start + 1 < len(tokens) and is_word(tokens[start], "on"):
            start = (closing(tokens, start + 1) or start) + 1
    depth, end = 0, len(tokens)
    for i, token in enumerate(tokens[start:], start):
        if depth == 0 and (
            token.token_type in (TokenType.SEMICOLON, *CLOSING) or is_word(token, *_ENDS) or _ends(token)
        ):
            end = i
            break
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
    yield from (part for part in parts(tokens[start:end]) if part)


def _ends(token: Token) -> bool:
    """GROUP BY and ORDER BY are one token."""
    words = token.text.casefold().split()
    return len(words) == 2 and words[0] in _ENDS and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)


def _has_name(item: Sequence[Token]) -> bool:
    """`... AS name`, `... name` or `name: ...`; also a star, which has the names of its columns."""
    if [token.token_type for token in item[1:3]] == [TokenType.DOT, TokenType.STAR] or (
        item[0].token_type == TokenType.STAR
    ):
        return True
    depth = 0
    for token in item:
        if depth == 0 and (is_word(token, "as") or token.token_type == TokenType.COLON):
            return True
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
    if len(item) < 2:
        return False
    last, before_last = item[-1], item[-2]
    is_name = last.token_type == TokenType.IDENTIFIER or (
        last.text.isidentifier() and last.token_type != TokenType.STRING and not is_word(last, *_NO_NAMES)
    )
    return is_name and before_last.token_type in _VALUES
