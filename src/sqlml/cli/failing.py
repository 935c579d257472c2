"""What a shell user sees of an error: one line and an exit code, and no traceback unless it was asked for."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from typer.exceptions import Abort, Exit, TyperException

from sqlml.cli.logs import in_json, log
from sqlml.errors import SqlmlError

ERROR, BUG, INTERRUPTED, TERMINATED = 1, 70, 130, 143

_POINTER = re.compile(r"^LINE \d+: ", re.MULTILINE)


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which a scheduler sends where Ctrl-C is pressed by hand."""


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what the body raises into a line on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except (Exit, Abort, TyperException):
        raise
    except KeyboardInterrupt as error:
        said, code = ("Terminated.", TERMINATED) if isinstance(error, Terminated) else ("Interrupted.", INTERRUPTED)
        if in_json():
            log.error(said)
        else:
            typer.echo(said, err=True)
        raise Exit(code) from error
    except BrokenPipeError as error:
        # Whoever read has read enough (`| head`). Python would complain when it flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(0) from error
    except Exception as error:
        show(error)
        raise Exit(ERROR if isinstance(error, SqlmlError | OSError) else BUG) from error


def show(error: Exception, *, one_line: bool = False) -> None:
    """Print an error: its sentence and, with `--debug`, where it comes from; as JSON where `--json-logs` asked for it.

    On one line, the piece of SQL that an engine points at below its sentence is left out.
    """
    said = sentence(error)
    said = " ".join(_POINTER.split(said)[0].split()) if one_line else said
    if in_json():
        log.error("%s", said, extra={"sqlml": {"error": type(error).__name__}}, exc_info=error if debugging() else None)
        return
    if debugging():
        traceback.print_exception(error)
    typer.echo(f"Error: {said}", err=True)


def sentence(error: Exception) -> str:
    """What happened, as one paragraph.

    Example:
        >>> sentence(FileNotFoundError(2, "No such file or directory", "a.csv"))
        "'a.csv': No such file or directory."
    """
    if isinstance(error, SqlmlError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"'{error.filename}': {error.strerror}." if error.filename else f"{error.strerror}."
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]} This is a bug in sqlml: --debug shows where."


def debugging() -> bool:
    """Whether a traceback was asked for."""
    return os.environ.get("SQLML_DEBUG", "").casefold() in ("1", "true", "yes", "on")
