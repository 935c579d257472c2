"""What of a statement Spark writes otherwise: its parameters, and tables that lie in no schema there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlglot import TokenType

from sqlml.query.text import is_word, tokenize


def with_markers(text: str, parameters: Sequence[Any] | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A statement whose parameters are `:name`, and their values by name.

    Example:
        >>> with_markers("SELECT $2, '?', $1", [1, 2])
        ("SELECT :p2, '?', :p1", {'p1': 1, 'p2': 2})
        >>> with_markers("SELECT $least", {"least": 3})
        ('SELECT :least', {'least': 3})
    """
    by_name = isinstance(parameters, Mapping)
    held = dict(parameters) if isinstance(parameters, Mapping) else {f"p{i}": v for i, v in enumerate(parameters, 1)}
    tokens, shift, counted = tokenize(text, "spark") or [], 0, 0
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type == TokenType.PLACEHOLDER and token.text == "?":
            counted += 1
            new, end = f":p{counted}", token.end
        elif token.text == "$" and after is not None and after.start == token.end + 1:
            new, end = f":{after.text}" if by_name else f":p{after.text}", after.end
        else:
            continue
        text = f"{text[: token.start + shift]}{new}{text[end + 1 + shift :]}"
        shift += len(new) - (end + 1 - token.start)
    return text, held


def with_views(text: str, schema: str, tables: Collection[str], view_of: Callable[[str], str]) -> str:
    """A statement with each `schema.table` as the name that `view_of` gives for the table.

    Example:
        >>> with_views("SELECT * FROM sqlml.runs, x.sqlml.runs", "sqlml", ["runs"], lambda table: f"v_{table}")
        'SELECT * FROM v_runs, x.sqlml.runs'
    """
    if re.search(rf"\b{re.escape(schema)}`?\s*\.", text, re.IGNORECASE) is None:
        return text
    tokens = tokenize(text, "spark") or []
    for i in reversed(range(len(tokens) - 2)):
        one, dot, name = tokens[i : i + 3]
        is_inside = i > 0 and tokens[i - 1].token_type == TokenType.DOT
        if (
            is_word(one, schema)
            and dot.token_type == TokenType.DOT
            and name.text.casefold() in tables
            and not is_inside
        ):
            text = f"{text[: one.start]}{view_of(name.text.casefold())}{text[name.end + 1 :]}"
    return text
