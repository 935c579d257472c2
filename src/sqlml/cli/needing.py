"""A library that is not installed, said as what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlml.errors import MissingPackage


@contextmanager
def needing(what: str, extra: str) -> Iterator[None]:
    """Import something in the body.

    Raises:
        MissingPackage: it needs a library that is not installed; the extra brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "sqlml"):
            raise
        raise MissingPackage(what=what, package=package, extra=extra) from error
