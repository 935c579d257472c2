"""What is due and in which order, over simulated years; and the scheduler, with a stand-in for the refresh."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sqlml.catalog import Catalog, Refresh, Tables
from sqlml.errors import CatalogUnreachable, ScheduleFailed, TableCycle, UnknownTable
from sqlml.tables import scheduler as scheduling
from sqlml.tables.agenda import Due, Scheduled, due, scheduled, steps, with_what_they_read
from sqlml.tables.children import Orders
from sqlml.tables.schedule import Schedule
from sqlml.tables.scheduler import Scheduler

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def table(name: str, cron: str = "0 3 * * *", *reads: str, zone: str = "UTC", **other: Any) -> Scheduled:
    given = {"timeout": timedelta(hours=6), "retries": 2, "engine": None, "created": BEGIN, "answered": None, **other}
    return Scheduled(name, Schedule.parse(cron, zone), frozenset(reads), **given)


def agenda(*tables: Scheduled) -> dict[str, Scheduled]:
    return {one.key: one for one in tables}


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


# What is due


def test_a_table_is_due_for_its_newest_slot():
    [one] = due(agenda(table("daily")), utc(2024, 1, 5, 12))
    assert (one.slot, one.after, one.missed) == (utc(2024, 1, 5, 3), (), 4)
    assert due(agenda(table("daily", answered=utc(2024, 1, 5, 3))), utc(2024, 1, 6, 2, 59)) == []


def test_tables_are_due_after_those_that_they_read():
    held = agenda(table("daily"), table("report", "0 3 * * *", "daily"), table("last", "0 3 * * *", "report", "x"))
    found = due(held, utc(2024, 1, 2, 3))
    assert [(one.table.name, one.after) for one in found] == [
        ("daily", ()),
        ("report", ("daily",)),
        ("last", ("report",)),
    ]
    held["daily"] = replace(held["daily"], answered=utc(2024, 1, 2, 3))
    assert [one.after for one in due(held, utc(2024, 1, 2, 3))] == [(), ("report",)]


def test_a_table_waits_for_what_was_due_up_to_its_own_slot_and_no_later():
    held = agenda(table("often", "*/10 * * * *", answered=utc(2024, 1, 2, 3)), table("daily", "0 3 * * *", "often"))
    often, daily = due(held, utc(2024, 1, 2, 3, 15))
    assert often.slot == utc(2024, 1, 2, 3, 10)
    assert (daily.slot, daily.after) == (utc(2024, 1, 2, 3), ())


def test_a_table_takes_what_there_is_of_one_that_is_never_done():
    """The one takes longer than the minute after which it is due again: it would be waited for without an end."""
    now = utc(2024, 1, 2, 12, 6)
    busy = table("busy", "* * * * *", answered=now - 3 * MINUTE)
    last = table("last", "* * * * *", "busy", answered=now - 6 * MINUTE)
    assert [(one.table.name, one.slot, one.after) for one in due(agenda(busy, last), now)] == [
        ("busy", now, ()),
        ("last", now - 3 * MINUTE, ()),
    ]
    # It has had that already: there is no news until the other is done.
    held = agenda(busy, replace(last, answered=now - 3 * MINUTE))
    assert [one.after for one in due(held, now)] == [(), ("busy",)]


def test_some_tables_with_what_they_read():
    held = agenda(table("a"), table("b", "0 3 * * *", "a"), table("c"), table("D", "0 3 * * *", "b"))
    assert list(with_what_they_read(held, ["d"])) == ["a", "b", "d"]
    assert list(with_what_they_read(held, ["C"])) == ["c"]


def test_what_is_to_be_done():
    held = agenda(
        *(table("a"), table("b", "0 3 * * *", "a"), table("c", "0 3 * * *", "b"), table("d", "0 3 * * *", "a", "e")),
        table("e"),
    )
    found = due({key: held[key] for key in "aebcd"}, utc(2024, 1, 2, 3))

    def states(**marks: Any) -> dict[str, Any]:
        return {step.due.table.name: (step.state, *step.because) for step in steps(found, marks)}

    waiting = {"b": ("waiting", "a"), "c": ("waiting", "b"), "d": ("waiting", "a", "e")}
    assert states() == {"a": ("ready",), "e": ("ready",), **waiting}
    assert states(a="running")["a"] == ("running",)
    assert states(a="resting") == {"a": ("resting",), "e": ("ready",), **waiting}
    skipped = {"b": ("skipped", "a"), "c": ("skipped", "b"), "d": ("skipped", "a")}
    assert states(a="failed", e="running") == {"a": ("failed",), "e": ("running",), **skipped}


# Clocks that change

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
CHANGES = {
    "Europe/Berlin": [(2024, 3, 31), (2024, 10, 27)],
    "America/New_York": [(2024, 3, 10), (2024, 11, 3)],
    "Australia/Lord_Howe": [(2024, 4, 7), (2024, 10, 6)],
}


def refreshed(tables: Sequence[Scheduled], begin: datetime, end: datetime) -> dict[str, list[datetime]]:
    """The slots that tables are refreshed for by a scheduler that is always there, and takes no time."""
    held, now, done = agenda(*(replace(one, created=begin) for one in tables)), begin, defaultdict(list)
    while now <= end:
        while found := [one for one in due(held, now) if not one.after]:
            for one in found:
                assert one.missed == 0
                done[one.table.name].append(one.slot)
                held[one.table.key] = replace(held[one.table.key], answered=one.slot)
        now = min(one.schedule.next(now) for one in held.values())
    return done


def changes(zone: str) -> list[datetime]:
    """The days of ten years on which a zone's clock changes; one where it never does."""
    here = ZoneInfo(zone)
    days = [datetime(2024, 1, 1, tzinfo=here) + timedelta(days=number) for number in range(3653)]
    return [one for one, other in itertools.pairwise(days) if one.utcoffset() != other.utcoffset()] or days[59:60]


@pytest.mark.parametrize("zone", ZONES)
def test_no_slot_is_skipped_or_doubled_in_ten_years(zone):
    nightly = table("nightly", "30 2 * * *", zone=zone)
    tables = [nightly, table("report", "15 2 * * *", "nightly", zone=zone), table("hours", "0 1-3 * * *", zone="UTC")]
    assert len(changes(zone)) == (20 if zone in CHANGES else 1)
    for day in changes(zone):
        begin, end = (day - timedelta(hours=8)).astimezone(UTC), (day + timedelta(hours=32)).astimezone(UTC)
        done = refreshed(tables, begin, end)
        for one in tables:
            assert done[one.name] == list(one.schedule.slots(begin, end))


@pytest.mark.parametrize(("zone", "day"), [(zone, day) for zone, days in CHANGES.items() for day in days])
def test_no_slot_is_skipped_or_doubled_where_clocks_change(zone, day):
    begin, end = utc(*day) - timedelta(hours=12), utc(*day) + timedelta(hours=30)
    tables = [table("often", "*/30 * * * *", zone=zone), table("hourly", "30 * * * *", "often", zone=zone)]
    tables += [table("nights", "*/20 1-3 * * *", "hourly", zone=zone), table("other", "0 * * * *", zone="UTC")]
    done = refreshed(tables, begin, end)
    for one in tables:
        assert done[one.name] == list(one.schedule.slots(begin, end))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))])
def test_refreshes_that_take_their_time_leave_nothing_undone(seed):
    """Each begins with what it reads as fresh as its slot, none is done twice, and at the end nothing is left."""
    random = Random(seed)
    zone = random.choice(ZONES)
    begin = utc(*random.choice(CHANGES.get(zone, [(2024, 5, 1)]))) - timedelta(hours=12)
    held = agenda(
        *(
            table("a", "*/10 * * * *", zone=zone, created=begin),
            table("b", random.choice(["*/10 * * * *", "0 * * * *"]), "a", zone=zone, created=begin),
            table("c", "*/30 * * * *", "a", "b", zone="UTC", created=begin),
            table("d", "0 2 * * *", "c", zone=zone, created=begin),
        )
    )
    now, end, at_work = begin, begin + timedelta(days=1, hours=6), dict[str, tuple[datetime, Due]]()
    done: dict[str, list[datetime]] = defaultdict(list)
    while now < end or at_work:
        for key, (until, one) in list(at_work.items()):
            if until <= now:
                del at_work[key]
                done[key].append(one.slot)
                held[key] = replace(held[key], answered=one.slot)
        for step in steps(due(held, now), dict.fromkeys(at_work, "running")) if now < end else ():
            if step.state == "ready":
                for name in step.due.table.reads & held.keys():
                    read = held[name]
                    assert read.schedule.previous(step.due.slot) <= max(read.since, begin)
                takes = timedelta(minutes=random.choice([5, 10, 15, 25]))
                at_work[step.due.table.key] = (now + takes, step.due)
        now += 5 * MINUTE
        if random.random() < 0.005:
            # The scheduler was away, and what it had begun came to its end.
            now += timedelta(hours=random.randint(1, 12))
    for key, slots in done.items():
        assert all(one < other for one, other in itertools.pairwise(slots))
        assert set(slots) <= set(held[key].schedule.slots(begin, end))
        assert len(slots) > (0 if key == "d" else 5), "it was waiting for ever"


# A scheduler and a stand-in for the refresh: it writes down when it began and ended, and answers its slot by itself

STAND_IN = """
import datetime, json, os, signal, sqlite3, sys, time
catalog, calls, name, slot, how = sys.argv[1:]
def write(event):
    with open(calls, "a") as stream:
        stream.write(json.dumps([event, name, slot, time.time()]) + "\\n")
write("begun")
if how == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    how = "hangs"
if how == "hangs":
    time.sleep(60)
if how == "slow":
    time.sleep(0.5)
if how == "once":
    how = "well" if os.path.exists(calls + name) else "fails"
    open(calls + name, "w").close()
outcome, error = ("failed", "no luck") if how == "fails" else ("done", None)
if how != "elsewhere":
    with sqlite3.connect(catalog, timeout=30) as connection:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        values = (os.urandom(8).hex(), name, name, "due", slot, os.getpid(), 0, now, outcome, error, "h", 1, now)
        connection.execute(
            "INSERT INTO refreshes (refresh_id, table_key, table_name, kind, scheduled_for, attempt, windows,"
            " started_at, outcome, error, host, pid, heartbeat_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
write("ended")
sys.exit(outcome == "failed")
"""


@dataclass(frozen=True)
class StandIn(Orders):
    """Orders for a process that takes a twentieth of a second."""

    hows: tuple[tuple[str, str], ...] = ()

    def command(self, due: Due) -> list[str]:
        how = dict(self.hows).get(due.table.name, "well")
        slot = due.slot.strftime("%Y-%m-%d %H:%M:%S.%f")
        folder = self.project
        given = (folder / "catalog.db", folder / "calls", due.table.name, slot, how)
        return [sys.executable, "-I", "-S", "-c", STAND_IN, *map(str, given)]


class Field:
    """A catalog in a file, with tables that were declared long ago."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog.open(f"sqlite:///{folder / 'catalog.db'}")
        self.tables: Tables = self.catalog.predictions

    def declare(self, name: str, *reads: str, cron: str | None = "0 0 1 1 *", options: str = "") -> None:
        query = "SELECT 1 AS one" + "".join(f", (SELECT count(*) FROM predictions.{read}) AS n{read}" for read in reads)
        given = f"OPTIONS ({options})" if options else ""
        self.tables.put(
            name,
            text=f"CREATE PREDICTION TABLE {name} {given} AS {query}",
            query=query,
            dialect="duckdb",
            engine=None,
            schedule=cron,
            zone="UTC",
            file=None,
            path=str(self.folder / name),
            fingerprint="",
            needs_full=False,
            replace=False,
        )
        self.change("UPDATE prediction_tables SET created_at = '2020-01-01 00:00:00.000000'")

    def change(self, statement: str) -> None:
        import sqlite3

        with sqlite3.connect(self.folder / "catalog.db") as connection:
            connection.execute(statement)
        connection.close()

    def scheduler(
        self, jobs: int = 1, grace: float = 5.0, wait: float = 0.01, database: str | None = None, **hows: str
    ) -> Scheduler:
        given = (self.folder, "UTC", "duckdb", database, jobs, grace, wait, True, tuple(hows.items()))
        return Scheduler(self.tables, StandIn(*given))

    def calls(self) -> list[str]:
        """What the stand-ins wrote, in order."""
        if not (self.folder / "calls").exists():
            return []
        lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [f"{name} {event}" for event, name, *_ in map(json.loads, lines)]

    def begun(self) -> list[str]:
        return [call.removesuffix(" begun") for call in self.calls() if call.endswith("begun")]


@pytest.fixture
def field(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Field]:
    caplog.set_level(logging.INFO, "sqlml")
    held = Field(tmp_path)
    with held.catalog:
        yield held


def said(caplog: pytest.LogCaptureFixture, event: str | None = None) -> list[str]:
    """What was logged, of an event."""
    records = [one for one in caplog.records if one.name == "sqlml.schedule"]
    return [one.getMessage() for one in records if event in (None, one.sqlml["event"])]


def after(seconds: float, do: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
    return timer


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_due_is_refreshed_in_order(field, caplog):
    field.declare("a", "c")
    field.declare("b", "a")
    field.declare("c")
    field.declare("by_hand", "a", cron=None)
    assert field.scheduler(jobs=3).run_due() is None
    assert field.calls() == ["c begun", "c ended", "a begun", "a ended", "b begun", "b ended"]
    assert said(caplog, "begun")[0].startswith("c: begun for ")
    assert said(caplog, "begun")[0].endswith("and for 5 slots before") or datetime.now(UTC).year != 2026
    assert len(said(caplog, "done")) == 3
    caplog.clear()
    assert field.scheduler().run_due() is None
    assert (len(field.begun()), said(caplog)) == (3, [])
    assert not field.catalog.predictions.lock("a", "somebody", 1), "its lock was given back"


def test_tables_are_refreshed_side_by_side(field):
    for name in "abc":
        field.declare(name)
    field.scheduler(jobs=2, a="slow", b="slow", c="slow").run_due()
    calls = field.calls()
    assert calls[:2] in (["a begun", "b begun"], ["b begun", "a begun"])
    assert calls[2].endswith("ended")
    most = max(sum(1 if one.endswith("begun") else -1 for one in calls[: n + 1]) for n in range(len(calls)))
    assert most == 2


def test_tables_of_one_file_take_turns(field, caplog):
    for name in "abs":
        field.declare(name)
    field.change("UPDATE prediction_tables SET engine = 'spark' WHERE name = 's'")
    field.tables.lock("/d.duckdb", "another", 60)
    timer = after(1.5, lambda: field.tables.unlock("/d.duckdb", "another"))
    field.scheduler(jobs=3, database="/d.duckdb", a="slow", b="slow").run_due()
    timer.join()
    calls = field.calls()
    assert calls[:2] == ["s begun", "s ended"]
    assert [call.split()[1] for call in calls] == ["begun", "ended"] * 3
    assert said(caplog, "waiting")[0].endswith(": waits for '/d.duckdb', which another has open")
    assert field.tables.lock("/d.duckdb", "another", 1) is None, "it was given back"


def test_a_failure_is_tried_again_after_a_wait(field, caplog):
    field.declare("a", options="retries = '2'")
    field.scheduler(a="once").run_due()
    assert field.begun() == ["a", "a"]
    assert "is tried again in 0 s: no luck" in said(caplog, "resting")[0]
    assert "begun again, try 2" in said(caplog, "begun")[1]


def test_a_table_that_fails_holds_up_those_that_read_it_and_no_others(field, caplog):
    field.declare("a", options="retries = '1'")
    field.declare("b", "a")
    field.declare("c", "b")
    field.declare("z")
    with pytest.raises(ScheduleFailed, match="'a', 'b', 'c'"):
        field.scheduler(a="fails").run_due()
    assert sorted(field.begun()) == ["a", "a", "z"]
    [failed] = said(caplog, "failed")
    assert failed.endswith("at try 2, its last: no luck")
    assert [one.split(": ", 1)[1].split(": ")[1] for one in said(caplog, "skipped")] == [
        "it reads 'a', which failed",
        "it reads 'b', which failed",
    ]
    field.scheduler().run_due()
    assert field.begun()[3:] == ["a", "b", "c"], "the same command heals it"


def test_one_table_and_what_it_reads(field):
    field.declare("a")
    field.declare("b", "a")
    field.declare("c")
    field.scheduler().run_due(["B"])
    assert field.begun() == ["a", "b"]
    with pytest.raises(UnknownTable, match="Did you mean 'b'"):
        field.scheduler().run_due(["bb"])


@pytest.mark.parametrize("how", ["hangs", "deaf"])
def test_a_process_ends_with_its_time(field, caplog, how):
    field.declare("a", options="retries = '0', timeout = '1 second'")
    begun = time.monotonic()
    with pytest.raises(ScheduleFailed):
        field.scheduler(a=how, grace=0.5).run_due()
    assert time.monotonic() - begun < 10
    assert said(caplog, "timed_out") == ["a: told to end after its timeout of 0:00:01"]
    assert said(caplog, "failed")[0].endswith("it took longer than 0:00:01")
    assert field.calls() == ["a begun"]


def test_what_another_scheduler_is_at_is_left_to_it(field, caplog):
    field.declare("a")
    field.declare("b", "a")
    field.declare("c")
    field.tables.lock("a", "process 7 on elsewhere", 60)
    assert field.scheduler().run_due() is None
    assert field.begun() == ["c"]
    assert said(caplog, "left")[0].endswith(": process 7 on elsewhere is at work on it")
    assert said(caplog, "waiting") == ["b: waits for 'a'"]
    assert field.tables.lock("a", "process 7 on elsewhere", 60) is None


def test_one_table_waits_for_who_is_at_what_it_reads(field):
    field.declare("a")
    field.declare("b", "a")
    field.tables.lock("a", "another", 60)
    timer = after(1.5, lambda: field.tables.unlock("a", "another"))
    field.scheduler().run_due(["b"])
    timer.join()
    assert field.begun() == ["a", "b"], "the other has not done it, so that this one does"


def test_a_refresh_that_others_are_at_is_no_failure(field, caplog):
    """Its process ends well, for another one answers the slot, and has not done so yet."""
    field.declare("a")
    assert field.scheduler(a="elsewhere").run_due() is None
    assert said(caplog, "left")[0].endswith("another refresh is at work on it")
    assert field.begun() == ["a"]


def test_tries_of_another_scheduler_count(field, caplog):
    field.declare("a", options="retries = '1'")
    held = field.scheduler(a="fails")
    other = field.scheduler(a="fails")
    for one in (held, other):
        with pytest.raises(ScheduleFailed):
            one.run_due()
    assert field.begun() == ["a", "a"]
    assert said(caplog, "failed")[1].endswith("its last: another scheduler has tried")


def test_two_schedulers_do_each_slot_once(field):
    for name in "abcdef":
        field.declare(name, *("a" if name > "c" else ""))
    others = [field.scheduler(jobs=2, **dict.fromkeys("abc", "slow")) for _ in range(3)]
    # Signals are the main thread's: the others hear none.
    threads = [threading.Thread(target=one._pass, args=(datetime.now(UTC),)) for one in others[1:]]
    for thread in threads:
        thread.start()
    others[0].run_due(["d", "e", "f"])
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 10
    while len(field.calls()) < 2 * len(field.begun()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(field.begun()) == len(set(field.begun()))


def test_it_waits_for_the_next_slot_until_it_is_stopped(field, caplog, monkeypatch):
    field.declare("a")
    monkeypatch.setattr(scheduling, "WAKE_SECONDS", 0.3)
    # A table that is declared while it waits is seen, too.
    timers = [after(0.6, lambda: field.declare("b", "a")), after(2.0, terminate)]
    assert field.scheduler().run() == signal.SIGTERM
    for timer in timers:
        timer.join()
    assert field.begun() == ["a", "b"]
    assert said(caplog, "stopping") == ["SIGTERM: nothing is begun any more."]
    assert said(caplog)[-1] == "Stopped by SIGTERM."


def test_a_signal_ends_what_runs_and_begins_nothing(field, caplog):
    field.declare("a")
    field.declare("b")
    after(0.7, terminate)
    begun = time.monotonic()
    assert field.scheduler(a="hangs", b="hangs").run() == signal.SIGTERM
    assert time.monotonic() - begun < 5
    assert field.begun() == ["a"]
    assert said(caplog, "stopping") == ["SIGTERM: nothing is begun any more, and told to end: 'a'."]
    assert "ended before it was done" in said(caplog, "interrupted")[0]
    assert field.tables.lock("a", "another", 1) is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_second_signal_does_not_wait(field):
    field.declare("a")
    for moment in (0.7, 1.0):
        after(moment, terminate)
    begun = time.monotonic()
    assert field.scheduler(a="deaf", grace=30).run_due() == signal.SIGTERM
    assert time.monotonic() - begun < 5


def test_a_table_that_failed_rests_until_its_next_slot_or_until_somebody_heals_it(field, caplog, monkeypatch, refresh):
    field.declare("a", options="retries = '0'")
    field.declare("b", "a")
    monkeypatch.setattr(scheduling, "WAKE_SECONDS", 0.2)

    def heal() -> None:
        field.tables.begin_refresh(refresh("by hand"))
        field.tables.finish_refresh("by hand", "done")

    timers = [after(1.0, heal), after(2.0, terminate)]
    field.scheduler(a="fails").run()
    for timer in timers:
        timer.join()
    assert field.begun() == ["a", "b"]
    assert len(said(caplog, "failed")) == len(said(caplog, "skipped")) == 1


@pytest.fixture
def refresh() -> Callable[[str], Refresh]:
    now = datetime.now(UTC)
    begun = Refresh("", "a", "due", None, None, None, 1, 0, now, None, "running", None, "h", 1, now)
    return lambda refresh_id: replace(begun, refresh_id=refresh_id)


def test_a_catalog_that_is_away_for_a_while_is_waited_for(field, caplog, monkeypatch):
    field.declare("a")
    monkeypatch.setattr(scheduling, "WAKE_SECONDS", 0.2)
    answers, real = [0], Tables.answered

    def answered(tables: Tables) -> dict[str, datetime]:
        answers[0] += 1
        if answers[0] in (1, 2, 4):
            raise CatalogUnreachable(url="x", reason="gone")
        return real(tables)

    monkeypatch.setattr(Tables, "answered", answered)
    after(1.5, terminate)
    field.scheduler().run()
    assert field.begun() == ["a"]
    assert len(said(caplog, "unreachable")) == 1, "it is said once as long as it lasts"


def test_a_lock_is_kept_while_its_refresh_runs(field, monkeypatch):
    monkeypatch.setattr(scheduling, "_LOCK_SECONDS", 0.6)
    monkeypatch.setattr(scheduling, "_RENEW_SECONDS", 0.2)
    field.declare("a", options="timeout = '2 seconds', retries = '0'")
    holders: list[str | None] = []
    timer = after(1.4, lambda: holders.append(field.tables.lock("a", "another", 1)))
    with pytest.raises(ScheduleFailed):
        field.scheduler(a="hangs").run_due()
    timer.join()
    assert holders[0] is not None
    assert holders[0].startswith(f"process {os.getpid()} on ")


def test_a_process_that_cannot_be_begun_is_a_failure(field, caplog, monkeypatch):
    field.declare("a", options="retries = '0'")
    monkeypatch.setattr(StandIn, "command", lambda *_: ["/nowhere/python"])
    with pytest.raises(ScheduleFailed):
        field.scheduler().run_due()
    assert "No such file" in said(caplog, "failed")[0]


def test_tables_that_read_each_other_are_an_error(field):
    field.declare("a", "b")
    field.declare("b", "a")
    with pytest.raises(TableCycle, match="a -> b -> a"):
        scheduled(field.tables.all(), {}, "UTC")


def test_the_command_of_a_refresh(tmp_path):
    one = Due(table("daily"), utc(2024, 3, 31, 1))
    words = ["tables", "refresh", "daily", "--scheduled-for", "2024-03-31T01:00:00Z", "--project", str(tmp_path)]
    assert Orders(tmp_path).command(one) == [sys.executable, "-m", "sqlml", *words]
    assert Orders(tmp_path, json_logs=True).command(one)[-1] == "--json-logs"
