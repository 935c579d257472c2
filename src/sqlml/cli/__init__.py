"""The command line. Each command lies in a file of its own, which is imported when the command is called."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from sqlml.cli.failing import exit_codes
from sqlml.cli.needing import needing
from sqlml.cli.options import Debug
from sqlml.cli.page import as_written, plain


class Command(NamedTuple):
    """Where a command is, and what the list of commands says of it: the first line of its own help."""

    module: str
    name: str
    summary: str
    extra: str = "models"


# A list, not a search: importing a command to read its first line would cost seconds, for `log` and `demo` need mlflow.
COMMANDS: Mapping[str, Command] = {
    "sql": Command("sqlml.cli.sql", "sql", "Run SQL and print its rows; a write changes your data."),
    "explain": Command("sqlml.cli.explain", "explain", "Print what a statement would do, and change nothing."),
    "shell": Command("sqlml.cli.shell", "shell", "Run SQL as you type it; a write changes your data."),
    "init": Command("sqlml.cli.init", "init", "Make a project folder; a file that is there stays as it is."),
    "functions": Command("sqlml.cli.functions", "app", "List, show, register and drop the functions of the project."),
    "tables": Command("sqlml.cli.tables", "app", "Refresh, check and tidy the project's prediction tables.", "tables"),
    "schedule": Command(
        "sqlml.cli.schedule", "app", "Refresh tables on time: here, or by Airflow, systemd or cron.", "tables"
    ),
    "sync": Command("sqlml.cli.lifecycle", "sync", "Move functions to the version that their alias now points at."),
    "plan": Command("sqlml.cli.lifecycle", "plan", "Print what 'apply' would change, and change nothing."),
    "apply": Command("sqlml.cli.lifecycle", "apply", "Make the catalog hold what the files in udfs/ and sql/ declare."),
    "verify": Command("sqlml.cli.programs", "verify", "Compare a function's answers with its model's own."),
    "publish": Command("sqlml.cli.programs", "publish", "Put a function where any client runs it, without Python."),
    "log": Command("sqlml.cli.log", "log", "Put a fitted model from a file into the registry."),
    "spark-env": Command(
        "sqlml.cli.spark_env",
        "spark_env",
        "Pack this Python environment for a Spark cluster.",
        "pack",
    ),
    "doctor": Command("sqlml.cli.doctor", "doctor", "Check what sqlml needs, and change nothing."),
    "demo": Command(
        "sqlml.cli.demo", "demo", "Train three small models and query them, in a folder of its own.", "demo"
    ),
}

EXIT_CODES = """\
\b
Exit codes:
  0    done
  1    an error of sqlml, the engine or a file; 'doctor' found something broken
  2    the command line is wrong; 'plan --check' found a difference
  70   a bug in sqlml
  130  interrupted with Ctrl-C
  143  ended by SIGTERM
"""


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`: a name and a line each, until one is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: TyperCommand(name, help=command.summary) for name, command in COMMANDS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, where the list holds a stand-in."""
        # SQL may begin with a comment, which is no option: no option has a blank behind its dashes.
        args = [f"\n{text}" if text.startswith("-- ") else text for text in args]
        name, found, rest = super().resolve_command(ctx, args)
        return name, None if found is None or name is None else load(name), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error becomes a line and an exit code."""
        with exit_codes():
            return super().invoke(ctx)


def load(name: str) -> Any:
    """Import a command.

    Raises:
        MissingPackage: it needs a library that is not installed.
    """
    command = COMMANDS[name]
    with needing(f"'sqlml {name}'", command.extra):
        module = importlib.import_module(command.module)
    found = getattr(module, command.name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = plain(typer.Typer)
    app.command(name, help=as_written(found))(found)
    return typer.main.get_command(app)


app = plain(typer.Typer, cls=LazyGroup, no_args_is_help=True, epilog=EXIT_CODES)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"sqlml {version('sqlml')}")
    except PackageNotFoundError:
        typer.echo("sqlml, not installed: run from its source")
    raise typer.Exit


def root(
    debug: Debug = False,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Call the models of an MLflow registry as SQL functions, inside the engine that holds the data.

    Example:
      sqlml demo
      sqlml sql "SELECT 42 AS answer"
    """


app.callback(help=as_written(root))(root)


def main() -> None:
    """The entry point of the command `sqlml`."""
    # A command imports much and keeps it: looking for garbage meanwhile is a tenth of its time, and finds none.
    gc.set_threshold(50_000)
    app(prog_name="sqlml")
