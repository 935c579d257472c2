"""`sqlml explain`: the dry twin of `sqlml sql`."""

from __future__ import annotations

from typing import Annotated

import typer

from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project
from sqlml.cli.plans import print_plan


def explain(
    statement: Annotated[str, typer.Argument(help="SQL.")],
    analyze: Annotated[bool, typer.Option(help="Run the query with and without its rewrites, and count.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Print what a statement would do, and change nothing.

    Example:
      sqlml explain "SELECT 42 AS answer"
    """
    with opened(project, database) as session:
        print_plan(session, statement, output, analyze=analyze)
