"""`sqlml sql`: one text in, one result out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Project, TrustPickle
from sqlml.cli.outputs import write
from sqlml.cli.plans import print_plan
from sqlml.cli.rows import Result
from sqlml.cli.running import interruptibly

NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.DOTALL)


def sql(
    statement: Annotated[str | None, typer.Argument(help="SQL; '-' or nothing reads standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Read the SQL from a file.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="A value for the next '?', or name=value for '$name'; quoted JSON is text: '\"007\"'."),
    ] = None,
    output: Annotated[Literal["text", "json", "csv", "parquet"], typer.Option(help="The form of the rows.")] = "text",
    to: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the rows to this file, which takes its name when whole.")
    ] = None,
    max_rows: Annotated[int, typer.Option(min=0, help="How many rows a text shows; 0 shows all.")] = 40,
    explain: Annotated[bool, typer.Option("--explain", help="Print the plan instead; nothing runs.")] = False,
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Run SQL and print its rows; a write changes your data.

    Example:
      sqlml sql "SELECT 42 AS answer"
      sqlml sql 'SELECT * FROM range(9) t(n) WHERE n > $least' --param least=6
      sqlml sql --file query.sql --output parquet --to rows.parquet
    """
    text = _text(statement, file)
    params = parameters(param or [])
    if output == "parquet" and to is None and not explain:
        raise typer.BadParameter("Parquet goes to a file: add --to FILE.", param_hint="'--output'")
    with opened(project, database, trust_pickle=trust_pickle) as session:
        if explain:
            print_plan(session, text, "text" if output == "text" else "json")
            return

        def run() -> None:
            relation = session.sql(text, params)
            if relation is not None:
                options = {"max_rows": max_rows} if output == "text" else {}
                write(Result(session, relation), output, to, **options)
            elif output == "json" and to is None:
                sys.stdout.write("[]\n")

        interruptibly(session, run)


def _text(statement: str | None, file: Path | None) -> str:
    if file is not None and statement is not None:
        raise typer.BadParameter("Give a statement or --file, not both.", param_hint="'STATEMENT'")
    if file is not None:
        text = file.read_text(encoding="utf-8")
    elif statement not in (None, "-"):
        text = str(statement)
    elif statement == "-" or not sys.stdin.isatty():
        text = sys.stdin.read()
    else:
        raise typer.BadParameter("Give a statement, --file, or SQL on standard input.", param_hint="'STATEMENT'")
    if not text.strip():
        raise typer.BadParameter("The SQL is empty.", param_hint="'STATEMENT'")
    return text


def parameters(given: list[str]) -> list[Any] | dict[str, Any] | None:
    """The values of a statement's parameters: by name if they all have one, in order if none has.

    Example:
        >>> parameters(["least=3", "plan=a"])
        {'least': 3, 'plan': 'a'}
        >>> parameters(["1.5", "true", '"007"', "2024-01-01"])
        [1.5, True, '007', '2024-01-01']
    """
    named = [NAMED.fullmatch(text) for text in given]
    if given and all(named):
        return {match["name"]: _value(match["value"]) for match in named if match}
    if any(named):
        raise typer.BadParameter("Name all of them, or none.", param_hint="'--param'")
    return [_value(text) for text in given] or None


def _value(text: str) -> Any:
    """JSON where it is JSON, so that numbers are numbers; else the text."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
