"""A refresh: which windows of a table are to be computed, and one run for each, the versions pinned for all of them."""

from __future__ import annotations

import os
import queue
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from sqlml.catalog.table_records import PredictionTable, Refresh, Run
from sqlml.errors import BadRefresh, CatalogUnreachable, RefreshFailed, SqlmlError
from sqlml.planner import Plan
from sqlml.query.sources import names_read
from sqlml.tables import delta
from sqlml.tables.asked import Progress, Refreshed, RefreshPlan, Request
from sqlml.tables.choosing import over_until, windows_to_do
from sqlml.tables.columns import casts
from sqlml.tables.declaration import ADDED
from sqlml.tables.desk import Desk
from sqlml.tables.job import Job
from sqlml.tables.layout import key_of
from sqlml.tables.preparing import Prepared, prepare
from sqlml.tables.running import FULL, Work, app_id, run, take_in
from sqlml.tables.schedule import Schedule

_BEAT_SECONDS = 20.0
_SILENT = timedelta(minutes=5)


def refresh(desk: Desk, name: str, request: Request, progress: Progress | None = None) -> Refreshed:
    """Bring a table up to date.

    Args:
        desk: with whom.
        name: the table.
        request: which windows.
        progress: told of each run.

    Raises:
        UnknownTable: there is none of that name.
        BadRefresh: the table has no such windows, or must be rebuilt.
        SchemaDrift: its query gives other columns than the table has.
        RefreshFailed: some windows were not published; the first error is its cause.
        SqlmlError: what else stood against it. What was published before stays.
    """
    progress = progress or Progress()
    table = desk.tables.get(name)
    root = Path(table.path)
    reconcile(desk, table)
    request = replace(request, scheduled_for=_slot(table, request.scheduled_for))
    begun, is_fresh = desk.tables.begin_refresh(_record(table, request))
    if not is_fresh:
        return Refreshed(begun.refresh_id, table.name, begun.kind, (), done_by=begun.refresh_id)
    runs: list[Run] = []
    try:
        with _beating(desk, begun.refresh_id):
            prepared = prepare(desk, table)
            is_full = request.full or (table.needs_full and not desk.tables.windows(table.name))
            opened = _check(table, prepared, root, is_full)
            work = _work(desk, prepared, request, opened, is_full=is_full)
            desk.tables.plan_refresh(begun.refresh_id, sum(len(one.windows) for one in work))
            progress.planned(len(work))
            job = Job(
                prepared.declared,
                root,
                begun.refresh_id,
                prepared.schema if is_full else pa.schema(opened.schema()),
                prepared.found,
                prepared.versions,
                _inputs(desk, prepared),
                request.keep_failed,
            )
            _run_all(desk, job, prepared, work, request, opened, progress, runs)
    except BaseException as error:
        said = str(error) if isinstance(error, SqlmlError | OSError) else "it was interrupted"
        # What the catalog can't be told now, it finds out by itself later.
        with suppress(CatalogUnreachable):
            desk.tables.finish_refresh(begun.refresh_id, "failed", said)
        raise
    if is_full and table.needs_full:
        desk.tables.set_full(table.name, False)
    desk.tables.finish_refresh(begun.refresh_id, "done")
    return Refreshed(begun.refresh_id, table.name, begun.kind, tuple(runs))


def _inputs(desk: Desk, prepared: Prepared) -> tuple[str, ...]:
    """What the query reads: a prediction table by its folder, so that the lineage of both connects."""
    folders = {f"predictions.{one.name}".casefold(): one.path for one in desk.tables.all()}
    names = names_read(prepared.declared.statement.query, prepared.table.dialect)
    return tuple(folders.get(name.casefold(), name) for name in names)


def plan_refresh(desk: Desk, name: str, request: Request) -> RefreshPlan:
    """What `refresh` would do, without doing it; raises what it does."""
    table = desk.tables.get(name)
    root = Path(table.path)
    reconcile(desk, table)
    prepared = prepare(desk, table)
    is_full = request.full or (table.needs_full and not desk.tables.windows(table.name))
    if (root / delta.LOG).is_dir():
        _check(table, prepared, root, is_full)
    windows = windows_to_do(desk, prepared, request, is_full=is_full)
    job = Job(prepared.declared, root, "", prepared.schema, prepared.found, prepared.versions)
    first = windows[0] if windows else None
    sql = job.select(prepared.plan, first, "the run's id", datetime.now(UTC), desk.engine.dialect)
    return RefreshPlan(
        table=table.name,
        kind=request.kind,
        engine=desk.engine.name,
        path=table.path,
        windows=tuple(key_of(one) for one in windows),
        is_full=is_full,
        versions=prepared.versions,
        plan=prepared.plan,
        sql=sql,
    )


def reconcile(desk: Desk, table: PredictionTable) -> None:
    """Have the catalog know what happened where nobody could say so: runs that were killed, commits they had made."""
    root = Path(table.path)
    if (root / delta.LOG).is_dir():
        take_in(desk, table.name, root)
    elif table.synced_version < 0:
        return
    desk.tables.close_lost(table.name, is_dead)


def is_dead(held: Refresh) -> bool:
    """Whether the process of a refresh is gone; one on another machine is, if it was not heard of for minutes."""
    if held.host == socket.gethostname():
        try:
            os.kill(held.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    return datetime.now(UTC) - held.heartbeat_at > _SILENT


def _slot(table: PredictionTable, moment: datetime | None) -> datetime | None:
    """The moment of the table's own schedule that another program's clock means: they differ where clocks change."""
    if moment is None or table.schedule is None:
        return moment
    return Schedule.parse(table.schedule, table.zone or "UTC").previous(moment.astimezone(UTC))


def _record(table: PredictionTable, request: Request) -> Refresh:
    now = datetime.now(UTC)
    return Refresh(
        refresh_id=str(uuid.uuid4()),
        table_name=table.name,
        kind=request.kind,
        range_from=request.start.text if request.start else None,
        range_to=request.end.text if request.end else None,
        scheduled_for=request.scheduled_for,
        attempt=1,
        windows=0,
        started_at=now,
        finished_at=None,
        outcome="running",
        error=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        heartbeat_at=now,
    )


@contextmanager
def _beating(desk: Desk, refresh_id: str) -> Iterator[None]:
    """Say now and then that this is still at work, for whoever can't see the process."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_BEAT_SECONDS):
            with suppress(CatalogUnreachable):
                desk.tables.beat(refresh_id)

    thread = threading.Thread(target=beat, name="sqlml-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _check(table: PredictionTable, prepared: Prepared, root: Path, is_full: bool) -> DeltaTable:
    """Have the table there, with the columns that the query gives; gives it opened."""
    if table.synced_version < 0:
        held = prepared.declared
        delta.create(root, prepared.schema, held.partitions, held.statement.options.get("comment"))
    opened = delta.open_table(root)
    if is_full:
        return opened
    if table.needs_full:
        reason = f"it was declared anew, with other columns or windows: REFRESH PREDICTION TABLE {table.name} FULL"
        raise BadRefresh(table=table.name, reason=f"{reason} rebuilds it")
    own = pa.schema([one for one in pa.schema(opened.schema()) if one.name not in ADDED])
    casts(prepared.found, own, prepared.declared.dialect, table.name)
    return opened


def _work(desk: Desk, prepared: Prepared, request: Request, table: DeltaTable, *, is_full: bool) -> list[Work]:
    held = prepared.declared
    windows = windows_to_do(desk, prepared, request, is_full=is_full)
    rebuilt = table.transaction_version(app_id(held.name, FULL)) or 0
    until = over_until(desk, prepared, request.now or datetime.now(UTC)) if windows else None
    if is_full:
        return [Work(tuple(windows), rebuilt + 1, is_full=True, at=table.version(), until=until)]
    known = desk.tables.windows(held.name, [key_of(one) for one in windows])
    numbers = {key: window.number + 1 for key, window in known.items()}
    return [Work((one,), numbers.get(key_of(one), 1), rebuilt, until=until) for one in windows]


def _run_all(
    desk: Desk,
    job: Job,
    prepared: Prepared,
    work: list[Work],
    request: Request,
    table: DeltaTable,
    progress: Progress,
    runs: list[Run],
) -> None:
    """Each piece of work on a desk of its own, so many at a time; after the first failure none is begun."""
    if not work:
        return
    desk.planning.open(prepared.plan)
    if request.jobs <= 1 or len(work) == 1:
        for place, one in enumerate(work):
            progress.begins(desk.engine)
            try:
                runs.append(run(desk, job, prepared.plan, one, table, request.scheduled_for))
            except SqlmlError as error:
                raise _failed(job, work, place, error) from error
            progress.ended(runs[-1])
        return
    _run_side_by_side(desk, job, prepared, work, request, progress, runs)


def _run_side_by_side(
    desk: Desk, job: Job, prepared: Prepared, work: list[Work], request: Request, progress: Progress, runs: list[Run]
) -> None:
    desks: queue.SimpleQueue[tuple[Desk, Plan, DeltaTable]] = queue.SimpleQueue()
    others = [desk.another() for _ in range(min(request.jobs, len(work)))]
    for other in others:
        desks.put((other, other.planning.plan(prepared.text, pinned=prepared.pinned), delta.open_table(job.root)))

    def one(piece: Work) -> Run:
        mine, plan, table = desks.get()
        try:
            progress.begins(mine.engine)
            return run(mine, job, plan, piece, table, request.scheduled_for)
        finally:
            desks.put((mine, plan, table))

    try:
        with ThreadPoolExecutor(len(others)) as pool:
            futures: list[Future[Run]] = [pool.submit(one, piece) for piece in work]
            for future in futures:
                future.add_done_callback(lambda done: _tell(done, progress))
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                future.cancel()
        runs += [future.result() for future in futures if not future.cancelled() and future.exception() is None]
        for place, future in enumerate(futures):
            if not future.cancelled() and (error := future.exception()) is not None:
                if isinstance(error, SqlmlError):
                    raise _failed(job, work, place, error, len(work) - len(runs)) from error
                raise error
    finally:
        for other in others:
            other.engine.close()


def _tell(done: Future[Run], progress: Progress) -> None:
    if not done.cancelled() and done.exception() is None:
        progress.ended(done.result())


def _failed(job: Job, work: list[Work], place: int, error: SqlmlError, failed: int | None = None) -> SqlmlError:
    """Of several windows, how many are missing now; of one, its own error."""
    if len(work) == 1:
        return error
    window = work[place].windows[0]
    count = len(work) - place if failed is None else failed
    said = str(error).splitlines()[0].rstrip(".")
    return RefreshFailed(failed=count, count=len(work), table=job.name, window=window, reason=f"{said}.")
