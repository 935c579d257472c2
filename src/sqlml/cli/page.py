"""How help is laid out: docstrings are printed as they are written, so that an example can be copied."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer


def plain(make: type[typer.Typer], **options: Any) -> typer.Typer:
    """An app without rich's frames around its help, which would break examples, and without its tracebacks."""
    return make(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def as_written(command: Callable[..., Any]) -> str:
    r"""A command's docstring, with the mark before each paragraph that keeps its lines as they are.

    Example:
        >>> as_written(lambda: None)
        ''
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(paragraphs[:1] + [f"\b\n{paragraph}" for paragraph in paragraphs[1:]])
