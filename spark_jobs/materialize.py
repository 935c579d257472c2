"""Refresh prediction tables: spark-submit spark_jobs/materialize.py --table delay_risk_daily --project ."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import SparkSession

import sqlml


def materialize(
    table: Annotated[list[str], typer.Option(help="A prediction table; several are refreshed in this order.")],
    source: Annotated[list[str] | None, typer.Option(help="A table as name=path of its Parquet files.")] = None,
    project: Annotated[Path | None, typer.Option(help="The folder of sqlml.toml.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Compute the windows from here on anew.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Where they end.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compute everything aside, and replace the table by it.")
    ] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Compute what older queries and versions made anew.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Of the same range, what is missing since a failure.")
    ] = False,
    keep_failed: Annotated[bool, typer.Option("--keep-failed", help="Keep rows that fail an audit, aside.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="How many windows at a time.")] = 1,
    scheduled_for: Annotated[
        str | None, typer.Option(help="The moment of the schedule that this answers, in ISO 8601; it is done once.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done; nothing is written.")] = False,
) -> None:
    """Refresh prediction tables. Exit codes: 0 done, also by another; 1 an error; 2 the command line is wrong."""
    slot = None if scheduled_for is None else moment(scheduled_for)
    spark = SparkSession.builder.appName(f"sqlml materialize {', '.join(table)}").getOrCreate()
    try:
        with sqlml.connect(spark, project=project, publish="needed") as db:
            for name, _, path in (given.partition("=") for given in source or []):
                spark.read.parquet(path).createOrReplaceTempView(name)
            for name in table:
                options = {"start": start, "end": end, "full": full, "stale": stale, "resume": resume}
                if plan:
                    print(db.plan_refresh(name, **options))
                    continue
                done = db.refresh(name, **options, keep_failed=keep_failed, jobs=jobs, scheduled_for=slot, told=_tell)
                print(done)
    except sqlml.SqlmlError as error:
        sys.exit(f"error: {error}")
    finally:
        spark.stop()


def moment(text: str) -> datetime:
    """A moment in ISO 8601; one without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no moment in ISO 8601.", param_hint="'--scheduled-for'") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _tell(run: sqlml.Run) -> None:
    print(run, flush=True)


if __name__ == "__main__":
    typer.run(materialize)
