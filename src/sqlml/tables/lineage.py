"""Who is told of a run: nobody, a file of JSON lines, or an HTTP address, in OpenLineage's words.

An event is news, and no part of a run: one that can't be delivered is a warning, and costs seconds at most.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from sqlml.errors import DataError, EngineError, MissingPackage, SqlmlError
from sqlml.tables.told import Told

__all__ = ["Lineage", "Told", "append", "lineage", "reason"]

log = logging.getLogger("sqlml")

ENDPOINT = "/api/v1/lineage"
PATIENCE = 5.0
"""Seconds that one event may take by HTTP."""
PAUSE = 60.0
"""Seconds for which an address that took all of them is left alone: a backfill has hundreds of events."""

_LONGEST = 1000


class Lineage(Protocol):
    """Told what becomes of a run; never raises."""

    def started(self, told: Told) -> None:
        """The run begins."""

    def completed(
        self, told: Told, *, rows: int, bytes: int, files: int, commit: int, audits: Sequence[Mapping[str, Any]]
    ) -> None:
        """The run has published as `commit`; an audit has its `rule`, whether it `passed`, and its `column` if any."""

    def failed(self, told: Told, error: Exception | str, *, audits: Sequence[Mapping[str, Any]] = ()) -> None:
        """The run has published nothing. Of an exception no row's value is told; a text is passed on, on one line."""


def lineage(setting: str | None, project: Path | None = None) -> Lineage:
    """What tells of runs as the setting says; a relative path is taken from the project folder.

    Raises:
        MissingPackage: events are asked for, and the library is not installed.
    """
    # OpenLineage's own switch, which whoever runs many programs with events turns off for all of them.
    if not setting or os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return _Silent()
    try:
        events = importlib.import_module("sqlml.tables.lineage_events")
    except ModuleNotFoundError as error:
        what = "The setting 'lineage'"
        raise MissingPackage(what=what, package="openlineage-python", extra="lineage") from error
    if setting.startswith(("http://", "https://")):
        return _Telling(events, _Posted(events.post, setting), shown=_masked(setting))
    path = (project or Path.cwd()) / setting.removeprefix("file:")
    return _Telling(events, lambda event: append(path, events.as_json(event)), shown=str(path))


class _Silent:
    def started(self, told: Told) -> None:
        pass

    def completed(
        self, told: Told, *, rows: int, bytes: int, files: int, commit: int, audits: Sequence[Mapping[str, Any]]
    ) -> None:
        pass

    def failed(self, told: Told, error: Exception | str, *, audits: Sequence[Mapping[str, Any]] = ()) -> None:
        pass


class _Telling:
    def __init__(self, events: Any, send: Callable[[Any], None], *, shown: str) -> None:
        self._events, self._send, self._shown = events, send, shown

    def started(self, told: Told) -> None:
        self._tell("START", told, lambda: self._events.started(told))

    def completed(
        self, told: Told, *, rows: int, bytes: int, files: int, commit: int, audits: Sequence[Mapping[str, Any]]
    ) -> None:
        counts = {"rows": rows, "bytes": bytes, "files": files, "commit": commit}
        self._tell("COMPLETE", told, lambda: self._events.completed(told, **counts, audits=audits))

    def failed(self, told: Told, error: Exception | str, *, audits: Sequence[Mapping[str, Any]] = ()) -> None:
        self._tell("FAIL", told, lambda: self._events.failed(told, reason(error), audits=audits))

    def _tell(self, kind: str, told: Told, make: Callable[[], Any]) -> None:
        try:
            self._send(make())
        except Exception as error:  # noqa: BLE001 - a run that has published must not fail for its news
            log.warning(
                "The %s event of '%s' was not delivered to '%s': %s.",
                kind,
                told.table,
                self._shown,
                _why(error),
                extra={"sqlml": {"event": "lineage_lost", "table": told.table, "run_id": told.run_id}},
            )


class _Posted:
    """An HTTP address, given up on for a while where it doesn't answer in time."""

    def __init__(self, post: Callable[[Any, str, float], None], address: str) -> None:
        parts = urlsplit(address)
        self._url = address if parts.path.strip("/") else urlunsplit(parts._replace(path=ENDPOINT))
        self._post, self._silent_until = post, 0.0

    def __call__(self, event: Any) -> None:
        if time.monotonic() < self._silent_until:
            raise TimeoutError(f"it was silent less than {PAUSE:.0f} s ago, and is left alone")
        begun = time.monotonic()
        try:
            # The library's own limit only ends the thread that nobody waits for any more.
            _within(PATIENCE, lambda: self._post(event, self._url, 2 * PATIENCE))
        finally:
            if time.monotonic() - begun >= PATIENCE:
                self._silent_until = time.monotonic() + PAUSE


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Calls, and waits no longer than so: a library's timeouts are each name's, connection's and byte's own."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is raised again below, in the caller's thread
            raised.append(error)

    # A daemon, for an executor's threads are waited for when the process ends.
    thread = threading.Thread(target=run, name="sqlml-lineage", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if raised:
        raise raised[0]


def append(path: Path, line: str) -> None:
    """Add a line to a file that others add lines to as well, whole or with an error.

    Raises:
        OSError: the file can't be written, or not all of the line.
    """
    # One write at the end of the file, which no other comes between. The library's FileTransport writes by Python's
    # buffers, which promise less: the rest of a line that a full disk cut short comes later, behind others' lines.
    data = line.encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if os.write(file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(file)


def reason(error: Exception | str) -> str:
    """What went wrong, on one line. Of an exception no value of a row: what may hold one is left to the run's record.

    Example:
        >>> reason(EngineError(message="Conversion Error: Could not convert string 'Ann' to INT32"))
        'Conversion Error: the record of the run says more'
        >>> reason(ValueError("Ann"))
        'ValueError: the record of the run says more'
    """
    if isinstance(error, str):
        return next((line.strip() for line in error.splitlines() if line.strip()), "no reason was given")[:_LONGEST]
    if isinstance(error, SqlmlError) and not isinstance(error, EngineError | DataError):
        return reason(str(error))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kind = re.match(r"[A-Z][A-Za-z ]* Error(?=:)|\[[A-Z_.]+\]", str(error)) if isinstance(error, EngineError) else None
    return f"{kind[0] if kind else type(error).__name__}: the record of the run says more"


def _why(error: Exception) -> str:
    """Why an event was not taken, without the address, which the libraries' own words repeat with its secrets."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"it answered {status}"
    if isinstance(error, TimeoutError):
        return str(error)
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _masked(address: str) -> str:
    """An address without what may be a secret in it.

    Example:
        >>> _masked("https://ann:secret@host:8080/lineage?key=abc")
        'https://***@host:8080/lineage?***'
    """
    return re.sub(r"(?s)\?.*", "?***", re.sub(r"(?s)(?<=://).*@", "***@", address))
