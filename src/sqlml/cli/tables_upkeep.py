"""`sqlml tables optimize`, `vacuum` and `export`: a table's files, put together, taken away, written elsewhere."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from sqlml.cli.opening import opened_beside
from sqlml.cli.options import Debug, Output, Project
from sqlml.cli.printing import print_json, print_table
from sqlml.errors import BadSetting, did_you_mean
from sqlml.query.tables import SCHEMA
from sqlml.query.text import identifier
from sqlml.tables.compaction import Optimized
from sqlml.tables.housekeeping import Vacuumed
from sqlml.tables.layout import WINDOW

Name = Annotated[str, typer.Argument(help="The table's name.")]


def optimize(
    name: Name,
    plan: Annotated[bool, typer.Option("--plan", help="Print which files, and change nothing.")] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Put the small files of each window together; the rows stay as they are.

    Example:
      sqlml tables optimize delay_risk_daily --plan
      sqlml tables optimize delay_risk_daily

    Others may read and refresh the table meanwhile. The old files stay, for the
    versions that have them, until 'sqlml tables vacuum' takes them away.
    """
    with opened_beside(project) as session:
        done = session.predictions.optimize(name, plan_only=plan)
    if output == "json":
        print_json(_optimized(done, plan))
        return
    if plan:
        rows = [
            (
                group.window_folder.partition(f"{WINDOW}=")[2],
                group.below,
                len(group.files),
                f"{group.rows:,}",
                size(group.bytes),
            )
            for group in done.groups
        ]
        print_table(("window", "partition", "files", "rows", "size"), rows, empty=_NOTHING.format(done.table))
    elif done.version is None or done.bytes_after is None:
        sys.stdout.write(f"{_NOTHING.format(done.table)}\n")
    else:
        sizes = f"{size(done.bytes_before)} are {size(done.bytes_after)} now"
        about = f"{done.files_before} files became {len(done.groups)}, {sizes}, at version {done.version}"
        sys.stdout.write(f"{done.table}: {about}.\n")


_NOTHING = "{}: there are no small files to put together."


def vacuum(
    name: Name,
    retention: Annotated[
        str | None, typer.Option(help="Keep what was there within this: '30 days'; else as the table is declared.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Take the files away; else they are only listed.")] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """List the files that no version of a table needs, or take them away.

    Example:
      sqlml tables vacuum delay_risk_daily
      sqlml tables vacuum delay_risk_daily --apply

    These are of versions older than the table's retention, of runs that failed,
    and rows that failed an audit. What a running refresh may read or has written
    stays. A version whose files are gone can't be read any more.
    """
    with opened_beside(project) as session:
        done = session.predictions.vacuum(name, retention, apply=apply)
    if output == "json":
        print_json(_vacuumed(done))
        return
    if done.files and not apply:
        print_table(("path", "size"), [(path, size(bytes_)) for path, bytes_ in done.files], empty="")
        sys.stdout.write("\n")
    verb = "were taken away" if apply else "would be taken away: --apply does it"
    kept = f"what was there in the last {done.hours} hours stays"
    because = f", for refresh {done.held_by} is running" if done.held_by else ""
    sys.stdout.write(f"{done.table}: {len(done.files)} files, {size(done.bytes)}, {verb}; {kept}{because}.\n")


def export(
    name: Name,
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the files go; the folder appears when it is whole.")
    ],
    version: Annotated[int | None, typer.Option(min=0, help="An older version of the table.")] = None,
    partition_by: Annotated[
        str | None, typer.Option(help="Columns that become folders, as 'year,month'; '' for none; else the table's.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder, once the new one is whole.")
    ] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Write a table as plain Parquet files, for readers that know no Delta.

    Example:
      sqlml tables export delay_risk_daily --to out/delay_risk
      sqlml tables export delay_risk_daily --to out/old --version 12

    The folders are named as Hive does, 'column=value', which Athena, Trino, Spark
    and DuckDB read.
    """
    with opened_beside(project) as session:
        held = session.predictions.table(name, version=version)
        columns = held.partitions if partition_by is None else _columns(partition_by, held.schema.names)
        query = f"SELECT * FROM {SCHEMA}.{identifier(held.name)} VERSION AS OF {held.version}"
        mode = "overwrite" if overwrite else "error"
        written = session.write(query, to, mode=mode, partition_by=columns)  # type: ignore[arg-type]
    found = sorted(to.rglob("*.parquet"))
    bytes_ = sum(path.stat().st_size for path in found)
    about = {
        "table": held.name,
        "version": held.version,
        "to": str(to),
        "rows": written.rows,
        "files": len(found),
        "bytes": bytes_,
        "partitioned_by": list(columns),
    }
    if output == "json":
        print_json(about)
    else:
        made = f"{written.rows:,} rows in {len(found)} files, {size(bytes_)}"
        sys.stdout.write(f"{held.name} at version {held.version} is in {to}: {made}.\n")


def size(bytes_: float) -> str:
    """A number of bytes for people.

    Example:
        >>> size(0), size(1536), size(5 * 2**30)
        ('0 B', '1.5 KiB', '5.0 GiB')
    """
    if bytes_ < 1024:
        return f"{bytes_:.0f} B"
    power = min(int(math.log(bytes_, 1024)), len(_UNITS))
    return f"{bytes_ / 1024**power:.1f} {_UNITS[power - 1]}"


_UNITS = ("KiB", "MiB", "GiB", "TiB")


def _columns(given: str, names: list[str]) -> tuple[str, ...]:
    """Columns as they are spelt in the table; raises BadSetting."""
    by_name = {name.casefold(): name for name in names}
    found = [one.strip() for one in given.split(",") if one.strip()]
    for one in found:
        if one.casefold() not in by_name:
            reason = f"the table has no such column.{did_you_mean(one, names)}".rstrip(".")
            raise BadSetting(key="partition-by", value=one, reason=reason)
    return tuple(by_name[one.casefold()] for one in found)


def _optimized(done: Optimized, plan: bool) -> dict[str, object]:
    return {
        "table": done.table,
        "applied": not plan and done.version is not None,
        "version": done.version,
        "files_before": done.files_before,
        "files_after": len(done.groups),
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "files": [[one.path for one in group.files] for group in done.groups],
    }


def _vacuumed(done: Vacuumed) -> dict[str, object]:
    return {
        "table": done.table,
        "applied": done.applied,
        "hours": done.hours,
        "held_by": done.held_by,
        "bytes": done.bytes,
        "quarantined": done.quarantined,
        "files": [{"path": path, "bytes": size} for path, size in done.files],
    }
