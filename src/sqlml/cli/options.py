"""The options that several commands share, each written once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer


def _remember(debug: bool) -> bool:
    # In the environment, for the child process that reads models to see it too.
    if debug:
        os.environ["SQLML_DEBUG"] = "1"
    return debug


Debug = Annotated[
    bool, typer.Option("--debug", callback=_remember, help="Show where an error comes from (sets SQLML_DEBUG).")
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
