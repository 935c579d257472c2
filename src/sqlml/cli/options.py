"""The options that several commands share, each written once."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from sqlml.cli.logs import configure


def _remember(debug: bool) -> bool:
    # In the environment, for the child process that reads models to see it too.
    if debug:
        os.environ["SQLML_DEBUG"] = "1"
    return debug


def _log_in_json(json_logs: bool) -> bool:
    configure(json_logs)
    return json_logs


Debug = Annotated[
    bool, typer.Option("--debug", callback=_remember, help="Show where an error comes from (sets SQLML_DEBUG).")
]
JsonLogs = Annotated[
    bool,
    typer.Option(
        "--json-logs",
        callback=_log_in_json,
        help="Write what happens, and errors, to standard error as JSON, one object a line.",
    ),
]
Output = Annotated[Literal["text", "json"], typer.Option("--output", help="How the result is printed.")]
Project = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="The project folder; else the nearest one with a sqlml.toml.",
    ),
]
Database = Annotated[
    Path | None,
    typer.Option("--database", metavar="FILE", dir_okay=False, help="A DuckDB file; else as the settings say."),
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Load models that run code when they are loaded. Only if you trust them.")
]


def moment(given: str, option: str | None = None) -> datetime:
    """A moment in ISO 8601, as an option has it; one without a zone is in UTC.

    Example:
        >>> moment("2024-01-31T03:00").isoformat()
        '2024-01-31T03:00:00+00:00'
    """
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(f"'{given}' is no moment: write 2024-01-31T03:00:00Z", param_hint=option) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
