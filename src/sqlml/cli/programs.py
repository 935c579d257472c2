"""`sqlml verify` and `sqlml publish`: a compiled function beside its model, and in a database of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sqlml.cli.opening import opened
from sqlml.cli.options import Database, Debug, Output, Project, TrustPickle
from sqlml.cli.printing import print_json, print_table
from sqlml.errors import AnswersDiffer

Name = Annotated[str, typer.Argument(help="The function's SQL name.")]


def verify(
    name: Name,
    table: Annotated[str | None, typer.Option(help="Compare on each row of a table or file of your own.")] = None,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Compare a function's answers with its model's own.

    Example:
      sqlml verify delay_risk
      sqlml verify delay_risk --table flights
      sqlml verify delay_risk --table "'flights.parquet'"

    Your data stay as they are. Without a table the version is fetched and proved
    anew. With one, the first rows that differ are shown, and the exit code is 1.
    """
    with opened(project, database, trust_pickle=trust_pickle) as session:
        if table is None:
            proofs = session.prove(name)
            if output == "json":
                print_json(proofs)
                return
            names = ("strategy", "rows", "labels that differ", "largest relative difference", "accepted", "why not")
            rows = [
                (p.strategy, p.rows, p.label_mismatches, f"{p.max_relative:.3g}", ("no", "yes")[p.accepted], p.reason)
                for p in proofs
            ]
            print_table(names, rows, empty="")
            return
        columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows compared"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("", total=None)
            found = session.verify(name, table, lambda rows: progress.update(task, completed=rows))
    if output == "json":
        print_json(found)
    else:
        about = f"{found.rows:,} rows compared by the strategy {found.strategy} in {found.seconds:.1f} s: "
        about += f"{found.label_mismatches} labels differ, largest relative difference {found.max_relative:.3g}."
        sys.stdout.write(about + "\n")
        if found.differing:
            print_table(tuple(found.differing[0]), [tuple(row.values()) for row in found.differing], empty="")
    if found.differing:
        differ = max(found.label_mismatches, len(found.differing))
        raise AnswersDiffer(function=name, rows=differ, total=found.rows, relative=f"{found.max_relative:.3g}")


def publish(
    name: Name,
    to: Annotated[str, typer.Option(help="A DuckDB file, a .jar; or 'spark': the metastore of its session.")],
    plan: Annotated[bool, typer.Option("--plan", help="Print the statements, and change nothing.")] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Put a function where any client runs it, without Python.

    Example:
      sqlml publish delay_risk --to scores.duckdb
      sqlml publish delay_risk --to spark
      sqlml publish delay_risk --to delay_risk.jar

    Macros of a DuckDB file, functions of Spark's metastore, or classes of a .jar
    for Spark. It stays at the version that answers now: publish it again when
    that changes.
    """
    if plan and to.endswith(".jar"):
        raise typer.BadParameter("a .jar is compiled, and has no statements: write it, and it prints those that use it")
    by_spark = to == "spark" or to.endswith(".jar")
    with opened(project, engine="spark" if by_spark and not plan else None) as session:
        made = session.statements(name, to) if plan else session.publish(name, to)
    if output == "json":
        print_json({"function": name, "to": to, "statements": made, "written": not plan})
    elif plan or to.endswith(".jar"):
        sys.stdout.write("".join(f"{statement};\n" for statement in made))
    elif by_spark:
        sys.stdout.write(f"{name} is in Spark's metastore as {len(made)} function(s).\n")
    else:
        sys.stdout.write(f"{name} is in {to} as {len(made)} macro(s).\n")
