"""A refresh of a table in a process of its own: how it is begun, how long it may take, and how it is made to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlml.tables.agenda import Due


@dataclass(frozen=True)
class Orders:
    """How a scheduler refreshes tables.

    Attributes:
        project: the folder of `sqlml.toml`.
        time_zone: of schedules that name none.
        engine: of tables that name none.
        database: the file of DuckDB's that its tables are computed from, if any: one process at a time can open it.
        jobs: how many tables at a time.
        grace: for how many seconds a process that was told to end may go on.
        wait: seconds to wait after a first try that failed.
        json_logs: whether the processes write what they log as JSON.
    """

    project: Path
    time_zone: str = "UTC"
    engine: str = "duckdb"
    database: str | None = None
    jobs: int = 1
    grace: float = 30.0
    wait: float = 30.0
    json_logs: bool = False

    def file_of(self, due: Due) -> str | None:
        """The file that no other process may have open while a table is refreshed."""
        return self.database if (due.table.engine or self.engine) == "duckdb" else None

    def command(self, due: Due) -> list[str]:
        """What refreshes a table for a slot."""
        moment = due.slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        command = [sys.executable, "-m", "sqlml", "tables", "refresh", due.table.name, "--scheduled-for", moment]
        return [*command, "--project", str(self.project), *(["--json-logs"] if self.json_logs else [])]


@dataclass
class Child:
    """A process that refreshes a table; times are those of the monotonic clock, but for `began`.

    Attributes:
        attempt: which try it is, the first being 1.
        stop_at: when its time is up.
        kill_at: when it is killed; None: it was not told to end.
        is_late: whether it was told to end because its time was up.
    """

    due: Due
    attempt: int
    process: subprocess.Popen[bytes]
    stop_at: float
    kill_at: float | None = None
    is_late: bool = False
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, due: Due, attempt: int, orders: Orders, ended: Callable[[], None]) -> Child:
        """Begin a refresh.

        Args:
            due: of what, and for which slot.
            attempt: which try it is.
            orders: how.
            ended: is called, in a thread of its own, once the process has ended.

        Raises:
            OSError: the machine has no process left.
        """
        process = subprocess.Popen(
            orders.command(due),
            stdin=subprocess.DEVNULL,
            # What it prints is for whoever reads along; as JSON the log says the same.
            stdout=subprocess.DEVNULL if orders.json_logs else sys.stderr.fileno(),
            # Ctrl-C is the parent's to answer, and whatever the child starts can be killed with it.
            start_new_session=True,
        )

        def watch() -> None:
            process.wait()
            ended()

        threading.Thread(target=watch, name=f"sqlml-{due.table.name}", daemon=True).start()
        return cls(due, attempt, process, time.monotonic() + due.table.timeout.total_seconds())

    @property
    def seconds(self) -> float:
        """For how long it has been there."""
        return time.monotonic() - self.begun

    @property
    def next_at(self) -> float:
        """When `limit` next has something to do."""
        return self.stop_at if self.kill_at is None else self.kill_at

    def limit(self, grace: float) -> bool:
        """Make it end where its time is up, or where it was told to and does not; whether its time has just run out."""
        now = time.monotonic()
        if self.kill_at is None and now >= self.stop_at:
            self.is_late = True
            self.stop(grace)
            return True
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + max(1.0, grace)
            self._kill()
        return False

    def stop(self, grace: float) -> None:
        """Tell it to end, and have it killed after so many seconds."""
        self.kill_at = min(self.kill_at or float("inf"), time.monotonic() + grace)
        self.process.terminate()

    def _kill(self) -> None:
        if self.process.poll() is None:
            # It leads a session of its own, whose group has its number.
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def how(self) -> str:
        """How it ended."""
        code = self.process.returncode
        return f"it ended with exit code {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"
