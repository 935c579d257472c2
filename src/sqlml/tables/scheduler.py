"""The tables are refreshed when they are due, each in a process of its own, until somebody says stop.

Several schedulers may be at it: whoever has a table's lock begins, and the catalog has one refresh a slot. So each slot
is done once, whatever a scheduler that was killed has left running.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

from sqlml.catalog.tables import Tables
from sqlml.errors import CatalogUnreachable, ScheduleFailed, quoted
from sqlml.tables.agenda import Due, Scheduled, State, Step, due, scheduled, steps, with_what_they_read
from sqlml.tables.children import Child, Orders
from sqlml.tables.schedule import backoff

log = logging.getLogger("sqlml.schedule")

WAKE_SECONDS = 30.0
"""How long a new table may go unseen."""
_POLL_SECONDS = 1.0
# A lock is renewed in time though a writer may wait for another one for half a minute.
_LOCK_SECONDS = 90.0
_RENEW_SECONDS = 20.0
_RECENT = 50
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FOREVER = float("inf")


@dataclass(frozen=True)
class _Mark:
    """What has become of a table for a slot: its state until a moment of the monotonic clock, and its tries so far."""

    slot: datetime
    state: State
    until: float
    tries: int


class Scheduler:
    """Refreshes tables when they are due.

    Args:
        tables: the catalog's.
        orders: how.
    """

    def __init__(self, tables: Tables, orders: Orders) -> None:
        self._tables = tables
        self._orders = orders
        self._holder = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
        self._since = datetime.now(UTC)
        self._children: dict[str, Child] = {}
        self._marks: dict[str, _Mark] = {}
        self._locked: dict[str, str] = {}
        self._renewed = 0.0
        self._told: dict[str, tuple[str, str]] = {}
        # A signal's handler may interrupt a put anywhere and puts something itself: this queue alone allows that.
        self._news: queue.SimpleQueue[str | signal.Signals] = queue.SimpleQueue()
        self._stopped_by: signal.Signals | None = None
        self._random = Random()
        self._patience = WAKE_SECONDS
        self._is_file_taken = False

    def run(self) -> signal.Signals:
        """Refresh what is due, and wait for what will be, until a signal comes; gives the signal."""
        with self._listening():
            _say("started", f"Keeping the schedule of '{self._orders.project}' as {self._holder}.")
            while self._stopped_by is None:
                self._wait(self._pass_and_sleep())
        _say("stopped", f"Stopped by {self._stopped_by.name}.")
        return self._stopped_by

    def run_due(self, names: Collection[str] = ()) -> signal.Signals | None:
        """Refresh what is due at this moment, and no more.

        Args:
            names: only these tables, and before them those that they read. Where another scheduler is at work on one
                of those, it is waited for.

        Returns:
            The signal that ended it before its time, if one did.

        Raises:
            UnknownTable: there is none of a name.
            ScheduleFailed: some tables were not refreshed.
            CatalogUnreachable: the catalog doesn't answer.
        """
        wanted = {self._tables.get(name).name.casefold() for name in names}
        made: list[Step] = []
        self._patience = _POLL_SECONDS
        with self._listening():
            while self._stopped_by is None:
                made = self._pass(self._since, wanted)
                if not self._goes_on(made, wanted):
                    break
                self._wait(WAKE_SECONDS if self._children else _POLL_SECONDS)
        failed = [step.due.table.name for step in made if step.state in ("failed", "skipped")]
        if self._stopped_by is None and failed:
            raise ScheduleFailed(tables=quoted(failed))
        return self._stopped_by

    def _goes_on(self, made: Sequence[Step], wanted: Collection[str]) -> bool:
        return (
            bool(self._children)
            or self._is_file_taken
            or any(
                step.state == "resting" or (step.state == "waiting" and step.due.table.key in wanted) for step in made
            )
        )

    def _pass_and_sleep(self) -> float:
        """Begin what is due; for how many seconds nothing else will be."""
        try:
            self._pass(datetime.now(UTC))
            tables = self._scheduled().values()
        except CatalogUnreachable as error:
            self._say_once("unreachable", str(error), None, logging.WARNING)
            return WAKE_SECONDS
        self._told.pop("", None)
        if self._is_file_taken:
            return _POLL_SECONDS
        now = datetime.now(UTC)
        return min([WAKE_SECONDS, *((one.schedule.next(now) - now).total_seconds() for one in tables)])

    def _scheduled(self) -> dict[str, Scheduled]:
        return scheduled(self._tables.all(), self._tables.answered(), self._orders.time_zone)

    def _pass(self, now: datetime, wanted: Collection[str] = ()) -> list[Step]:
        """Begin what can be begun; gives what is due and has not been done."""
        while True:
            tables = self._scheduled()
            found = due(with_what_they_read(tables, wanted) if wanted else tables, now)
            self._unlock_all_but({one.table.key for one in found})
            ready = [step.due for step in self._steps(found) if step.state == "ready"]
            changed = self._is_file_taken = False
            # What has been due for longest comes first, so that a table which always is leaves room for the others.
            for one in sorted(ready, key=lambda one: one.slot):
                if len(self._children) < self._orders.jobs:
                    changed |= self._begin(one)
            if not changed:
                made = self._steps(found)
                for step in made:
                    self._tell_of(step)
                return made

    def _steps(self, found: Sequence[Due]) -> list[Step]:
        states: dict[str, State] = {}
        for one in found:
            mark = self._mark(one)
            if one.table.key in self._children:
                states[one.table.key] = "running"
            elif mark is not None and time.monotonic() < mark.until:
                states[one.table.key] = mark.state
        return steps(found, states)

    def _mark(self, one: Due) -> _Mark | None:
        mark = self._marks.get(one.table.key)
        return mark if mark is not None and mark.slot == one.slot else None

    def _begin(self, one: Due) -> bool:
        """Refresh a table in a process of its own; whether anything has changed."""
        table, file = one.table, self._orders.file_of(one)
        if file is not None and not self._takes_file(one, file):
            return False
        other = self._tables.lock(table.name, self._holder, _LOCK_SECONDS)
        if other is not None:
            self._leave(one, f"{other} is at work on it")
            if file is not None:
                self._unlock(file)
            return False
        self._locked[table.key] = table.name
        # Whoever had the lock until now may have done it, or tried in vain as often as it may be.
        if self._is_done(one):
            return True
        attempt = self._tries(one) + 1
        if attempt > table.retries + 1:
            self._give_up(one, attempt - 1, "another scheduler has tried")
            return True
        try:
            child = Child.begin(one, attempt, self._orders, lambda: self._news.put(table.key))
        except OSError as error:
            self._failed(one, attempt, str(error))
            return True
        self._children[table.key] = child
        missed, again = one.missed, f" again, try {attempt}" if attempt > 1 else ""
        said = f"begun{again} for {_shown(one)}{f', and for {missed} slots before' if missed else ''}"
        _say_of(one, "begun", said, missed=missed, attempt=attempt, process=child.process.pid)
        return True

    def _takes_file(self, one: Due, file: str) -> bool:
        """Whether no other table is computed from a file that one process at a time can open."""
        if any(self._orders.file_of(child.due) == file for child in self._children.values()):
            return False
        # No table has such a name.
        other = self._tables.lock(file, self._holder, _LOCK_SECONDS)
        if other is None:
            self._locked[file] = file
            return True
        self._is_file_taken = True
        self._say_once("waiting", f"waits for '{file}', which {other} has open", one)
        return False

    def _wait(self, seconds: float) -> None:
        """Sleep until there is news, for so many seconds at most; and see to what has its time meanwhile."""
        now = time.monotonic()
        moments = [now + seconds, *(child.next_at for child in self._children.values())]
        moments += [mark.until for mark in self._marks.values() if mark.until > now]
        if self._locked:
            moments.append(self._renewed + _RENEW_SECONDS)
        with suppress(queue.Empty):
            self._heard(self._news.get(timeout=max(0.0, min(moments) - now)))
        self._renew()
        for child in self._children.values():
            if child.limit(self._orders.grace):
                said = f"told to end after its timeout of {child.due.table.timeout}"
                _say_of(child.due, "timed_out", said, logging.WARNING, attempt=child.attempt)

    def _heard(self, news: str | signal.Signals) -> None:
        if not isinstance(news, signal.Signals):
            self._ended(self._children.pop(news))
            return
        again = self._stopped_by is not None
        self._stopped_by = self._stopped_by or news
        if not again:
            running = quoted(child.due.table.name for child in self._children.values())
            _say(
                "stopping", f"{news.name}: nothing is begun any more{f', and told to end: {running}' * bool(running)}."
            )
        for child in self._children.values():
            # Who asks twice doesn't want to wait.
            child.stop(0.0 if again else self._orders.grace)

    def _ended(self, child: Child) -> None:
        one, code = child.due, child.process.returncode
        told: dict[str, Any] = {"attempt": child.attempt, "seconds": round(child.seconds, 3)}
        if code == 0 and self._is_done(one):
            self._marks.pop(one.table.key, None)
            _say_of(one, "done", f"done for {_shown(one)} in {child.seconds:.1f} s", **told)
        elif code == 0:
            self._leave(one, "another refresh is at work on it")
        elif self._stopped_by is not None:
            _say_of(one, "interrupted", f"ended before it was done for {_shown(one)}", logging.WARNING, **told)
        elif child.is_late:
            self._failed(one, child.attempt, f"it took longer than {one.table.timeout}")
        else:
            errors = self._errors(one, child.began)
            self._failed(one, child.attempt, (errors[0] if errors else None) or child.how)

    def _failed(self, one: Due, attempt: int, why: str) -> None:
        if attempt > one.table.retries:
            self._give_up(one, attempt, why)
            return
        wait = backoff(attempt, base=self._orders.wait, random=self._random)
        # The lock is kept, so that no other scheduler comes before the time.
        self._marks[one.table.key] = _Mark(one.slot, "resting", time.monotonic() + wait, attempt)
        said = f"failed for {_shown(one)}, and is tried again in {wait:.0f} s: {why}"
        _say_of(one, "resting", said, logging.WARNING, attempt=attempt, wait=round(wait, 3), error=why)

    def _give_up(self, one: Due, attempt: int, why: str) -> None:
        self._marks[one.table.key] = _Mark(one.slot, "failed", _FOREVER, attempt)
        self._unlock(one.table.key)
        said = f"failed for {_shown(one)} at try {attempt}, its last: {why}"
        _say_of(one, "failed", said, logging.ERROR, attempt=attempt, error=why)

    def _leave(self, one: Due, why: str) -> None:
        """Leave a table to whoever is at work on it, and see after a while."""
        mark = self._mark(one)
        until = time.monotonic() + self._patience
        self._marks[one.table.key] = _Mark(one.slot, "elsewhere", until, 0 if mark is None else mark.tries)
        self._unlock(one.table.key)
        self._say_once("left", f"left alone for {_shown(one)}: {why}", one)

    def _is_done(self, one: Due) -> bool:
        answered: dict[str, datetime] = {}
        with self._unless_unreachable():
            answered = self._tables.answered()
        return one.table.key in answered and answered[one.table.key] >= one.slot

    def _tries(self, one: Due) -> int:
        """How often a slot was tried in vain: by this scheduler, or by others in its time."""
        mark = self._mark(one)
        return max(0 if mark is None else mark.tries, len(self._errors(one, self._since)))

    def _errors(self, one: Due, since: datetime) -> list[str | None]:
        """What the refreshes for a slot have said that failed, the newest first."""
        found: list[str | None] = []
        with self._unless_unreachable():
            for held in self._tables.refreshes(one.table.name, limit=_RECENT):
                if (held.scheduled_for, held.outcome) == (one.slot, "failed") and held.started_at >= since:
                    found.append(held.error)
        return found

    def _renew(self) -> None:
        if time.monotonic() >= self._renewed + _RENEW_SECONDS:
            self._renewed = time.monotonic()
            for name in self._locked.values():
                with self._unless_unreachable():
                    self._tables.lock(name, self._holder, _LOCK_SECONDS)

    def _unlock(self, key: str) -> None:
        if (name := self._locked.pop(key, None)) is not None:
            with self._unless_unreachable():
                self._tables.unlock(name, self._holder)

    def _unlock_all_but(self, keys: Collection[str]) -> None:
        files = {self._orders.file_of(child.due) for child in self._children.values()}
        for key in self._locked.keys() - self._children.keys() - files - set(keys):
            self._unlock(key)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Have signals heard, and leave neither a process nor a lock behind."""

        def heard(number: int, _frame: FrameType | None) -> None:
            self._news.put(signal.Signals(number))

        # Who was started with a signal ignored, as by nohup, goes on ignoring it.
        before = {one: signal.getsignal(one) for one in _SIGNALS}
        taken = {one: handler for one, handler in before.items() if handler is not signal.SIG_IGN}
        for one in taken:
            signal.signal(one, heard)
        try:
            yield
        finally:
            for child in self._children.values():
                if child.kill_at is None:
                    child.stop(self._orders.grace)
            while self._children:
                self._wait(WAKE_SECONDS)
            for key in list(self._locked):
                self._unlock(key)
            for one, handler in taken.items():
                signal.signal(one, handler)

    @contextmanager
    def _unless_unreachable(self) -> Iterator[None]:
        """What the catalog can't be asked or told now is asked again, or ends by itself."""
        try:
            yield
        except CatalogUnreachable as error:
            self._say_once("unreachable", str(error), None, logging.WARNING)

    def _tell_of(self, step: Step) -> None:
        one, names = step.due, quoted(step.because)
        if step.state == "skipped":
            said = f"skipped for {_shown(one)}: it reads {names}, which failed"
            self._say_once("skipped", said, one, logging.WARNING, reads=step.because)
        elif step.state == "waiting":
            self._say_once("waiting", f"waits for {names}", one, reads=step.because)

    def _say_once(self, event: str, said: str, one: Due | None, level: int = logging.INFO, **more: Any) -> None:
        """Say something, but not again as long as nothing else was found out about it."""
        key = "" if one is None else one.table.key
        if self._told.get(key) != (event, said):
            self._told[key] = (event, said)
            _say(event, said, level, **more) if one is None else _say_of(one, event, said, level, **more)


def _say(event: str, said: str, level: int = logging.INFO, **more: Any) -> None:
    log.log(level, "%s", said, extra={"sqlml": {"event": event, **more}})


def _say_of(one: Due, event: str, said: str, level: int = logging.INFO, **more: Any) -> None:
    _say(event, f"{one.table.name}: {said}", level, table=one.table.name, slot=one.slot, **more)


def _shown(one: Due) -> str:
    """The slot as a clock of the table's zone has it."""
    return f"{one.slot.astimezone(ZoneInfo(one.table.schedule.zone)):%Y-%m-%d %H:%M %Z}"
