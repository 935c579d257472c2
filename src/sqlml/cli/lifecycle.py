"""`sqlml sync`, `sqlml plan` and `sqlml apply`: the catalog follows the registry, and the project's files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from sqlml.catalog import Change
from sqlml.catalog.change import Action
from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project, TrustPickle
from sqlml.cli.printing import print_json, print_table

DIFFERENT = 2
"""The exit code of `plan --check` where there is something to apply."""

Prune = Annotated[
    bool, typer.Option("--prune", help="Drop what a file has declared and none declares now, tables with their data.")
]


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


def plan(
    prune: Prune = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 2 if there is something to apply, for CI.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Print what 'apply' would change, and change nothing.

    Example:
      sqlml plan
      sqlml plan --check --output json

    What the files in udfs/ and sql/ declare is held against the catalog. New
    models are loaded, tried and proved, and queries planned, as 'apply' does:
    what it would stop at is an error here.
    """
    changes = _planned(project, database, prune=prune, trust_pickle=trust_pickle)
    _print(changes, output)
    if check and any(change.action != "unchanged" for change in changes):
        raise typer.Exit(DIFFERENT)


def apply(
    plan: Annotated[bool, typer.Option("--plan", help="Print what would change, and change nothing.")] = False,
    prune: Prune = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Prune without asking first.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Make the catalog hold what the files in udfs/ and sql/ declare.

    Example:
      sqlml plan
      sqlml apply

    First all files are read, new models tried and all queries planned: after an
    error nothing is changed. Then come functions, then prediction tables, in the
    order in which they read each other; 'sqlml tables refresh' fills these.

    What was made by hand stays, and so does what a file has declared and none
    declares now, unless --prune drops it.
    """
    if prune and not (plan or yes) and sys.stdin.isatty():
        _ask(_planned(project, database, prune=True, trust_pickle=trust_pickle))
    with opened(project, database, trust_pickle=trust_pickle) as session:
        changes = session.apply(plan_only=plan, prune=prune)
    _print(changes, output)


def _planned(project: Path | None, database: Path | None, *, prune: bool, trust_pickle: bool) -> list[Change]:
    with opened(project, database, trust_pickle=trust_pickle) as session:
        return session.plan_project(prune=prune)


def _ask(changes: Sequence[Change]) -> None:
    """Have it confirmed that things go; leaves where it isn't."""
    gone = [change for change in changes if change.action == "removed"]
    if gone:
        what = ", ".join(f"the {change.kind} {change.name}" for change in gone)
        typer.confirm(f"Drop {what}? The data of tables goes too.", abort=True, err=True)


def _print(changes: Sequence[Change], output: Literal["text", "json"]) -> None:
    if output == "json":
        print_json([change.to_json() for change in changes])
        return
    rows = [(one.action, one.kind, one.name, one.file, "\n".join(one.lines)) for one in changes]
    print_table(("action", "what", "name", "file", "detail"), rows, empty="No file in udfs/ or sql/ declares anything.")
    for one in changes:
        if one.diff:
            sys.stdout.write(f"\nThe query of {one.name}:\n{one.diff}\n")
    if changes:
        counts = Counter(one.action for one in changes)
        said = ", ".join(f"{counts[action]} {action}" for action in get_args(Action) if counts[action])
        sys.stdout.write(f"\n{said}\n")
