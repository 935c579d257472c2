"""`sqlml schedule`: which tables are due, a process that refreshes them on time, and files that have others do it."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sqlml.catalog import Catalog
from sqlml.cli.failing import Terminated
from sqlml.cli.logs import in_json, log
from sqlml.cli.options import Debug, JsonLogs, Output, Project, moment
from sqlml.cli.page import as_written, plain
from sqlml.cli.printing import print_json, print_table, when
from sqlml.cli.schedule_export import export
from sqlml.config import Settings, load_settings
from sqlml.errors import NoProject
from sqlml.tables.agenda import due as due_at
from sqlml.tables.agenda import scheduled
from sqlml.tables.children import Orders
from sqlml.tables.scheduler import Scheduler

NONE = "No prediction table has a schedule."


def due(
    now: Annotated[str | None, typer.Option(metavar="ISO8601", help="As of another moment than this one.")] = None,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Print which tables are due, for which slot, and when they are next; refresh nothing.

    Example:
      sqlml schedule due
      sqlml schedule due --now 2024-03-31T03:00:00+02:00 --output json

    Tables come after those that they read. Slots that went by undone are missed:
    one refresh, for the newest, answers them all.
    """
    at = datetime.now(UTC) if now is None else moment(now, "'--now'").astimezone(UTC)
    with _opened(project) as (settings, _, catalog):
        tables = catalog.predictions
        held = scheduled(tables.all(), tables.answered(), settings.time_zone)
    found = {one.table.key: one for one in due_at(held, at)}
    lines: list[dict[str, Any]] = [
        {
            "table": table.name,
            "due": found[key].slot if key in found else None,
            "missed": found[key].missed if key in found else 0,
            "after": found[key].after if key in found else (),
            "answered": table.answered,
            "next": table.schedule.next(at),
            "cron": table.schedule.cron,
            "zone": table.schedule.zone,
        }
        for key, table in held.items()
    ]
    if output == "json":
        print_json(lines)
        return
    names = ("table", "due for", "missed", "after", "answered", "next", "schedule")
    rows = [
        (
            *(line["table"], when(line["due"]), line["missed"] or None, ", ".join(line["after"])),
            *(when(line["answered"]), when(line["next"]), f"{line['cron']} {line['zone']}"),
        )
        for line in lines
    ]
    print_table(names, rows, empty=NONE)
    if lines and not found:
        sys.stdout.write("\nNothing is due.\n")


def run(
    only_due: Annotated[bool, typer.Option("--due", help="Refresh what is due now, and end: for cron.")] = False,
    table: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --due: only this one, and before it what it reads.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many tables at a time.")] = 1,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long a refresh that is told to end may go on.")
    ] = 30.0,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Before the second try of one that failed; then doubled.")
    ] = 30.0,
    project: Project = None,
    json_logs: JsonLogs = False,
    debug: Debug = False,
) -> None:
    """Refresh the tables when they are due, until SIGTERM or Ctrl-C comes.

    Example:
      sqlml schedule run --jobs 2 --json-logs
      sqlml schedule run --due
      sqlml schedule run --due --table delay_risk_daily

    A table comes after those that it reads, in a process of its own, and is
    tried again as its OPTIONS say: timeout, retries. Tables that are computed
    from one DuckDB file take turns, for one process at a time can open it.
    Several schedulers may run, and each slot is done once. With --due the exit
    code is 1 where a table failed, and 0 where there was nothing to do.
    """
    if table and not only_due:
        raise typer.BadParameter("add --due: without it, all tables are kept", param_hint="'--table'")
    with _opened(project) as (settings, folder, catalog), _told():
        database = None if settings.database_path == ":memory:" else settings.database_path
        orders = Orders(folder, settings.time_zone, settings.engine, database, jobs, grace, wait, json_logs)
        scheduler = Scheduler(catalog.predictions, orders)
        ended_by = scheduler.run_due(table or ()) if only_due else scheduler.run()
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    # A service that is stopped has done what it should; work that was asked for was not done.
    if only_due and ended_by is not None:
        raise Terminated


@contextmanager
def _opened(project: Path | None) -> Iterator[tuple[Settings, Path, Catalog]]:
    """The catalog of a project; raises NoProject. No engine is opened: most of the time nothing is due."""
    settings = load_settings(project)
    if settings.project is None:
        raise NoProject(folder=Path.cwd())
    with Catalog.open(settings.catalog_url) as catalog:
        yield settings, settings.project, catalog


@contextmanager
def _told() -> Iterator[None]:
    """Have what happens written to standard error, a line each, where it isn't as JSON already."""
    if in_json():
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(min(log.level or logging.INFO, logging.INFO))
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


app = plain(typer.Typer, no_args_is_help=True)


def root() -> None:
    """Refresh tables on time: here, or by Airflow, systemd or cron.

    Example:
      sqlml schedule due
      sqlml schedule run
    """


app.callback(help=as_written(root))(root)
for command in (due, run, export):
    app.command(command.__name__, help=as_written(command))(command)
