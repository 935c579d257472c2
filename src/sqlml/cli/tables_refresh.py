"""`sqlml tables refresh`: windows are computed, and a bar, lines or JSON tell of it, until a signal stops them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from sqlml.catalog.table_records import Run
from sqlml.cli.logs import in_json
from sqlml.cli.opening import opened_for_table
from sqlml.cli.options import Database, Debug, JsonLogs, Output, Project, TrustPickle, moment
from sqlml.cli.printing import print_json
from sqlml.cli.running import Stopping, stoppably
from sqlml.query.tables import Bound
from sqlml.session import Session
from sqlml.tables.asked import Progress, Refreshed, Request

ByEngine = Annotated[
    Literal["duckdb", "spark"] | None,
    typer.Option("--engine", help="Who computes; else as the table is declared, else as the settings say."),
]


def refresh(
    name: Annotated[str, typer.Argument(help="The table's name.")],
    start: Annotated[
        str | None, typer.Option("--from", help="With --to: compute the windows from here on anew.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Where that range ends; it is not in it.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compute everything aside, then replace the table by it.")
    ] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Compute what an older query or version has made anew.")
    ] = False,
    restate: Annotated[Literal["stale"] | None, typer.Option(help="The same as --stale.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Of the range, only what a refresh of it that failed has not published.")
    ] = False,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep rows that fail an audit, for a look.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="How many windows at a time.")] = 1,
    scheduled_for: Annotated[
        str | None, typer.Option(metavar="ISO8601", help="The moment of the schedule that this answers; done once.")
    ] = None,
    engine: ByEngine = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the windows and the SQL; nothing is computed.")] = False,
    output: Output = "text",
    database: Database = None,
    project: Project = None,
    trust_pickle: TrustPickle = False,
    json_logs: JsonLogs = False,
    debug: Debug = False,
) -> None:
    """Bring a table up to date: what is missing is computed, checked and published.

    Example:
      sqlml tables refresh delay_risk_daily
      sqlml tables refresh delay_risk_daily --from 2013-01-01 --to 2013-02-01
      sqlml tables refresh delay_risk_daily --plan

    Each window is published in one step, once it has passed its audits, and
    readers see the old one until then. What was published already, by this
    or another run, is no error. The exit code is 143 after SIGTERM.
    """
    _check(start, end, full=full, stale=stale or restate is not None, resume=resume)
    request = Request(
        start=None if start is None else Bound("text", start),
        end=None if end is None else Bound("text", end),
        full=full,
        stale=stale or restate is not None,
        resume=resume,
        keep_failed=keep_failed,
        jobs=jobs,
        scheduled_for=None if scheduled_for is None else moment(scheduled_for),
    )
    with opened_for_table(name, engine, project, database, trust_pickle=trust_pickle) as session:
        if plan:
            planned = session.predictions.plan_refresh(name, start, end, full=full, stale=request.stale, resume=resume)
            print_json(planned.to_json()) if output == "json" else sys.stdout.write(f"{planned}\n")
            return
        begun = time.perf_counter()
        done = _followed(session, name, request)
        seconds = time.perf_counter() - begun
    if output == "json":
        print_json(_object(done, seconds))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in summary(done, seconds)))


def _check(start: str | None, end: str | None, *, full: bool, stale: bool, resume: bool) -> None:
    if (start is None) != (end is None):
        raise typer.BadParameter("a range has a start and an end", param_hint="'--from' / '--to'")
    if sum((start is not None, full, stale)) > 1:
        raise typer.BadParameter("a range, --full and --stale are three ways to say which windows: choose one")
    if resume and start is None:
        raise typer.BadParameter("say which range is resumed: --from ... --to ...", param_hint="'--resume'")


def _followed(session: Session, name: str, request: Request) -> Refreshed:
    stopping = Stopping(session)
    with _told(stopping) as progress:
        return stoppably(stopping, lambda: session.predictions.refresh(name, request, progress))


@contextmanager
def _told(stopping: Stopping) -> Iterator[Progress]:
    """Who is told of each run: a bar on a terminal, else a line a window; nobody where the log tells."""
    console = Console(stderr=True)
    if in_json():
        yield Progress(begins=stopping.begins)
    elif console.is_terminal:
        yield from _bar(console, stopping)
    else:
        count, done = [0], [0]

        def ended(run: Run) -> None:
            done[0] += 1
            sys.stderr.write(f"[{done[0]}/{count[0]}] {line(run)}\n")

        yield Progress(planned=lambda runs: count.__setitem__(0, runs), begins=stopping.begins, ended=ended)


def _bar(console: Console, stopping: Stopping) -> Iterator[Progress]:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("windows"),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, rows=0)
        rows = [0]

        def ended(run: Run) -> None:
            rows[0] += run.rows_out or 0
            bar.update(task, advance=1, rows=rows[0])

        yield Progress(planned=lambda runs: bar.update(task, total=runs), begins=stopping.begins, ended=ended)


def line(run: Run) -> str:
    """What became of a run."""
    if run.published_by:
        return f"{run.window_key}: published already, by run {run.published_by}"
    return f"{run.window_key}: {run.rows_out or 0:,} rows in {run.seconds or 0.0:.2f} s"


def summary(done: Refreshed, seconds: float) -> list[str]:
    """What became of a refresh, in lines."""
    if done.done_by:
        return [f"{done.table}: refresh {done.done_by} does the same, or has done it. Nothing was left to do."]
    if not done.runs:
        return [f"{done.table} is as it should be: there is no window to compute."]
    already = [run for run in done.runs if run.outcome == "already"]
    count = len(done.runs) - len(already)
    windows = "the whole table" if done.kind == "full" else f"{count} window{'' if count == 1 else 's'}"
    lines = [f"{done.table}: {windows} published, {done.rows:,} rows in {seconds:.1f} s."]
    return lines + [f"  {line(run)}" for run in already]


def _object(done: Refreshed, seconds: float) -> dict[str, Any]:
    already = sum(run.outcome == "already" for run in done.runs)
    return {
        "refresh_id": done.refresh_id,
        "table": done.table,
        "kind": done.kind,
        "done_by": done.done_by,
        "published": len(done.runs) - already,
        "already": already,
        "rows": done.rows,
        "seconds": seconds,
        "runs": [as_object(run) for run in done.runs],
    }


def as_object(run: Run) -> dict[str, Any]:
    """A run for JSON."""
    return {**vars(run), "versions": dict(run.versions), "audits": [dict(one) for one in run.audits]}
