"""Writes docs/errors.md from the error tree: `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from sqlml.errors import SqlmlError, error_classes

PAGE = Path(__file__).with_name("errors.md")

HEAD = """\
# Errors

Everything that sqlml raises on purpose is a `sqlml.errors.SqlmlError`: catch a class of this table to catch every class
that names it as its parent too. Names in braces stand for what the error is about; the same values are the error's
`values`. `{suggestion}` is the nearest valid name, or nothing.

This page is generated from `src/sqlml/errors.py` by `make docs`.

| class | parent | sentence | raised when |
|---|---|---|---|
"""


def page() -> str:
    """The whole page: a row for each class, each branch followed by what stands beneath it."""
    return HEAD + "".join(f"{row(cls)}\n" for cls in depth_first(SqlmlError))


def depth_first(cls: type[SqlmlError]) -> Iterator[type[SqlmlError]]:
    """A class, then everything beneath it, in the order in which errors.py defines them."""
    yield cls
    for child in error_classes().values():
        if child.__bases__[0] is cls:
            yield from depth_first(child)


def row(cls: type[SqlmlError]) -> str:
    """One line of the table. A class without a sentence of its own has a dash."""
    parent = "" if cls is SqlmlError else f"`{cls.__bases__[0].__name__}`"
    sentence = f"`{cls.template}`" if "template" in vars(cls) and cls is not SqlmlError else "-"
    docstring = " ".join((cls.__doc__ or "").split())
    return (
        "| "
        + " | ".join(cell.replace("|", "\\|") for cell in (f"`{cls.__name__}`", parent, sentence, docstring))
        + " |"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
