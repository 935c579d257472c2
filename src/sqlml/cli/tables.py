"""`sqlml tables`: the prediction tables of the project, looked at, refreshed and looked after."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from sqlml.catalog.table_records import Run
from sqlml.cli.opening import opened, opened_beside, opened_for_table, tables_by_engine
from sqlml.cli.options import Database, Debug, Output, Project
from sqlml.cli.page import as_written, plain
from sqlml.cli.printing import print_json, print_table, when
from sqlml.cli.tables_refresh import ByEngine, as_object, refresh
from sqlml.cli.tables_upkeep import Name, export, optimize, size, vacuum
from sqlml.query.text import is_like
from sqlml.tables.status import Status

NONE = "There are no prediction tables: CREATE PREDICTION TABLE makes one."


def list_tables(
    like: Annotated[str | None, typer.Option(help="Only names that match a LIKE pattern: 'delay%'.")] = None,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """List the prediction tables, and change nothing.

    Example:
      sqlml tables list
    """
    with opened_beside(project) as session:
        held = session.predictions.desk.tables
        found = [(table, held.windows(table.name)) for table in held.all() if is_like(table.name, like)]
    rows: list[dict[str, Any]] = [
        {
            "name": table.name,
            "windows": len(windows),
            "rows": sum(window.rows for window in windows.values()),
            "published_at": max((window.published_at for window in windows.values()), default=None),
            "schedule": table.schedule and f"{table.schedule} {table.zone}",
            "engine": table.engine,
            "needs_full": table.needs_full,
            "path": table.path,
        }
        for table, windows in found
    ]
    if output == "json":
        print_json(rows)
        return
    names = ("table", "windows", "rows", "published", "schedule", "engine", "note")
    cells = [
        (
            *(row["name"], row["windows"], f"{row['rows']:,}", when(row["published_at"]), row["schedule"]),
            *(row["engine"], "to be rebuilt: refresh --full" if row["needs_full"] else None),
        )
        for row in rows
    ]
    print_table(names, cells, empty=NONE)


def show(name: Name, output: Output = "text", project: Project = None, debug: Debug = False) -> None:
    """Print what a table is and holds, and change nothing.

    Example:
      sqlml tables show delay_risk_daily
    """
    with opened_beside(project) as session:
        about = session.predictions.about(name)
    if output == "json":
        print_json(about)
        return
    columns = about.pop("columns")
    query = about.pop("query")
    held = [(key, _text(value)) for key, value in about.items() if value not in (None, [], {}, False)]
    print_table(("", ""), held, empty="")
    sys.stdout.write("\n")
    print_table(("column", "type"), [(one["name"], one["type"]) for one in columns], empty="")
    sys.stdout.write(f"\n{query}\n")


def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, and refreshes, at most.")] = 20,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Print a table's runs and refreshes, the newest first.

    Example:
      sqlml tables history delay_risk_daily --limit 5

    A refresh computes windows, and each by a run. What was done to a table that
    was dropped is remembered, too.
    """
    with opened_beside(project) as session:
        held = session.predictions.desk.tables
        runs, refreshes = held.runs(name, limit=limit), held.refreshes(name, limit)
        if not runs and not refreshes:
            # It says that there is no such table, and which one is meant.
            held.get(name)
    if output == "json":
        print_json(
            {"runs": [as_object(run) for run in runs], "refreshes": [dict(vars(refresh)) for refresh in refreshes]}
        )
        return
    names = ("window", "outcome", "rows", "seconds", "engine", "versions", "commit", "started", "run", "error")
    print_table(names, [_run_line(run) for run in runs], empty="It was never computed.")
    if not refreshes:
        return
    sys.stdout.write("\n")
    names = ("refresh", "kind", "from", "to", "scheduled for", "attempt", "outcome", "started", "ended", "error")
    lines = [
        (
            *(one.refresh_id, one.kind, one.range_from, one.range_to, when(one.scheduled_for), one.attempt),
            *(one.outcome, when(one.started_at), when(one.finished_at), one.error),
        )
        for one in refreshes
    ]
    print_table(names, lines, empty="")


def status(
    name: Annotated[str | None, typer.Argument(help="One table; else all.")] = None,
    engine: ByEngine = None,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Print what is missing, stale or failed of tables, and when they are next due.

    Example:
      sqlml tables status
      sqlml tables status delay_risk_daily --output json

    A window is missing where there are rows for it and it was never published,
    and stale where an older query or another version of a model has made it.
    """
    if name is not None:
        with opened_for_table(name, engine, project, database) as session:
            found = [session.predictions.status(name)]
    else:
        found = []
        for declared, tables in tables_by_engine(project).items():
            with opened(project, database, engine=engine or declared) as session:
                found += [session.predictions.status(table) for table in tables]
        found.sort(key=lambda one: one.name.casefold())
    if output == "json":
        print_json(found)
        return
    names = ("table", "windows", "rows", "published", "missing", "stale", "failed", "next due", "note")
    print_table(names, [_status_line(one) for one in found], empty=NONE)
    details = [line for one in found for line in _details(one)]
    if details:
        sys.stdout.write("\n")
        print_table(("table", "window", "is", "why"), details, empty="")


def files(name: Name, output: Output = "text", project: Project = None, debug: Debug = False) -> None:
    """List the files of a table's newest version, and change nothing.

    Example:
      sqlml tables files delay_risk_daily
    """
    with opened_beside(project) as session:
        found = session.predictions.files(name)
    if output == "json":
        print_json(found)
        return
    names = ("path", "rows", "size", "window", "run")
    rows = [(one.path, f"{one.rows:,}", size(one.bytes), one.window, one.run_id) for one in found]
    print_table(names, rows, empty="The table is empty.")


def drop(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would go, and change nothing.")] = False,
    output: Output = "text",
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Forget a table, and take its files away; its runs are remembered.

    Example:
      sqlml tables drop delay_risk_daily --plan
      sqlml tables drop delay_risk_daily --yes
    """
    with opened_beside(project) as session:
        held = session.predictions.desk.tables
        table, windows = held.get(name), held.windows(name)
        rows = sum(window.rows for window in windows.values())
        what = f"{table.name}, {len(windows)} windows of {rows:,} rows in {table.path}"
        if not plan and not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter("nobody is there to be asked: add --yes", param_hint="'--yes'")
            typer.confirm(f"Drop {what}?", abort=True, err=True)
        if not plan:
            session.predictions.drop(name)
    if output == "json":
        print_json({"name": table.name, "path": table.path, "rows": rows, "dropped": not plan})
    else:
        sys.stdout.write(f"{'Would drop' if plan else 'Dropped'} {what}.\n")


def _run_line(run: Run) -> tuple[Any, ...]:
    versions = ", ".join(f"{name} {one['version']}" for name, one in run.versions.items())
    note = f"published by run {run.published_by}" if run.published_by else run.error
    seconds = None if run.seconds is None else f"{run.seconds:.2f}"
    rows = None if run.rows_out is None else f"{run.rows_out:,}"
    made = (run.window_key, run.outcome, rows, seconds, run.engine, versions, run.commit_version)
    return (*made, when(run.started_at), run.run_id, note)


def _status_line(one: Status) -> tuple[Any, ...]:
    notes = [
        "to be rebuilt: refresh --full" if one.needs_full else None,
        f"refresh {', '.join(one.running)} is running" if one.running else None,
        one.problem,
    ]
    counts = [len(what) or None for what in (one.missing, one.stale, one.failed)]
    held = (one.name, one.published, f"{one.rows:,}", when(one.published_at))
    return (*held, *counts, when(one.next_slot), "; ".join(note for note in notes if note))


def _details(one: Status) -> list[tuple[str, ...]]:
    """A line for what is wrong with a window; of many that are missing the first and the last."""
    shown = [*one.missing[:3], *one.missing[3:][-1:]]
    more = len(one.missing) - len(shown)
    lines: list[tuple[str, ...]] = [(one.name, window, "missing", "") for window in shown]
    if more:
        lines.insert(3, (one.name, "...", "missing", f"{more} more"))
    lines += [(one.name, window, "stale", why) for window, why in one.stale.items()]
    return lines + [(one.name, failed.window, "failed", failed.error or "") for failed in one.failed]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {held}" for key, held in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(when(value)) if isinstance(value, datetime) else str(value)


app = plain(typer.Typer, no_args_is_help=True)


def root() -> None:
    """Refresh, check and tidy the project's prediction tables.

    Example:
      sqlml tables list
      sqlml tables refresh delay_risk_daily
    """


app.callback(help=as_written(root))(root)
app.command("list", help=as_written(list_tables))(list_tables)
for command in (show, history, status, files, refresh, optimize, vacuum, export, drop):
    app.command(command.__name__, help=as_written(command))(command)
