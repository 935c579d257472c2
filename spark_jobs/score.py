"""Score a query into a folder: spark-submit spark_jobs/score.py --query sql/scores.sql --output scores --project ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import SparkSession

import sqlml


def score(
    query: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="A file with one SELECT.")],
    output: Annotated[Path, typer.Option(help="The folder for the Parquet files, which appears when it is whole.")],
    source: Annotated[list[str] | None, typer.Option(help="A table as name=path of its Parquet files.")] = None,
    project: Annotated[Path | None, typer.Option(help="The folder of sqlml.toml.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that is there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done; nothing is written.")] = False,
) -> None:
    """Write a query's rows as Parquet files. Exit codes: 0 done, 1 an error, 2 the command line is wrong."""
    spark = SparkSession.builder.appName(f"sqlml score {query.name}").getOrCreate()
    try:
        with sqlml.connect(spark, project=project, publish="needed") as db:
            for name, _, path in (given.partition("=") for given in source or []):
                spark.read.parquet(path).createOrReplaceTempView(name)
            text = query.read_text(encoding="utf-8").strip().rstrip(";")
            if plan:
                print("{}\nwritten by {}, for {}".format(*db.explain_write(text)))
                return
            written = db.write(text, output, mode="overwrite" if overwrite else "error")
            print(f"{written.rows:,} rows written to {output} by {written.way}, for {written.reason}")
    except sqlml.SqlmlError as error:
        sys.exit(f"error: {error}")
    finally:
        spark.stop()


if __name__ == "__main__":
    typer.run(score)
