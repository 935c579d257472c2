"""Where a typed statement ends: at a semicolon outside strings and comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlml.query.text import is_word, statements, tokenize

DIALECT = "duckdb"


def is_complete(text: str) -> bool:
    """Whether Enter ends what was typed: a dot command, nothing at all, or SQL up to its semicolon.

    Example:
        >>> [is_complete(text) for text in ("SELECT 1", "SELECT 1;", "SELECT ';", ".help", "", "SELECT 1; -- one")]
        [False, True, False, True, True, True]
    """
    if not text.strip() or text.lstrip().startswith("."):
        return True
    tokens = tokenize(text, DIALECT)
    return tokens is not None and (not tokens or is_word(tokens[-1], ";"))


def split(text: str) -> list[str]:
    """The statements of a text, without their semicolons; a dot command as it is.

    Example:
        >>> split("SELECT 1; SELECT ';';")
        ['SELECT 1', "SELECT ';'"]
    """
    if text.lstrip().startswith("."):
        return [text.strip()]
    tokens = tokenize(text, DIALECT)
    return [text.strip()] if tokens is None else statements(text, tokens)


def typed(lines: Iterable[str]) -> Iterator[str]:
    r"""The statements of a script, each as soon as it is complete; what is left at the end is one too.

    Example:
        >>> list(typed(["SELECT 1\n", ";\n", ".tables\n", "SELECT 2"]))
        ['SELECT 1', '.tables', 'SELECT 2']
    """
    text = ""
    for line in lines:
        text += line
        # Reading the whole text again at every line would take long where a statement has thousands.
        if (";" in line or not text.strip() or text.lstrip().startswith(".")) and is_complete(text):
            yield from split(text)
            text = ""
    yield from split(text)
