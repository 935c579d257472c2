"""`sqlml sync` and `sqlml apply`: the catalog follows the registry, and the project's files."""

from __future__ import annotations

from typing import Annotated

import typer

from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project, TrustPickle
from sqlml.cli.printing import print_json, print_table


def sync(
    name: Annotated[str | None, typer.Argument(help="One function; else all.")] = None,
    output: Output = "text",
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Move functions to the version that their alias now points at.

    Example:
      sqlml sync

    A new version is loaded, tried and proved first; until it has taken over, and
    where it can't, the old one answers. The old versions are kept.
    """
    with opened(project, trust_pickle=trust_pickle) as session:
        moves = session.sync(name)
    if output == "json":
        print_json(moves)
        return
    rows = [(move.function, f"{move.model}@{move.alias}", move.previous, move.version) for move in moves]
    print_table(("function", "follows", "from", "to"), rows, empty="Every function is at its alias's version.")


def apply(
    plan: Annotated[bool, typer.Option("--plan", help="Print what would change, and change nothing.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Make the catalog hold what the files in udfs/ declare.

    Example:
      sqlml apply --plan
      sqlml apply

    Functions that no file declares stay as they are.
    """
    with opened(project, database, trust_pickle=trust_pickle) as session:
        changes = session.apply(plan_only=plan)
    if output == "json":
        print_json(changes)
        return
    rows = [(change.action, change.name, change.detail, change.file) for change in changes]
    print_table(("action", "function", "detail", "file"), rows, empty="The files in udfs/ declare no function.")
