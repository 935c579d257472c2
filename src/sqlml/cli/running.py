"""Work that a signal can stop: it runs in a thread of its own, for the main one to be there when the signal comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlml.cli.failing import Terminated
from sqlml.engines.engine import Engine
from sqlml.session import Session

Result = TypeVar("Result")


def interruptibly(session: Session, work: Callable[[], Result]) -> Result:
    """Do `work`; Ctrl-C interrupts the session's statement, and is raised once the work has ended.

    An engine's own code doesn't return to Python until it has a result, and a signal is heard in Python only.
    """

    def stop(ended: threading.Event) -> None:
        session.interrupt()
        ended.wait()

    return _aside(work, stop)


class Stopping:
    """Whether somebody wants a session's work of several statements to stop, and the engines that are at it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asked = threading.Event()
        self._engines: set[Engine] = set()

    def begins(self, engine: Engine) -> None:
        """To be called before each piece of the work; raises KeyboardInterrupt where it is to stop."""
        if self._asked.is_set():
            raise KeyboardInterrupt
        self._engines.add(engine)

    def stop(self, ended: threading.Event) -> None:
        """Let no piece begin any more, and interrupt the engines until the work has ended.

        Again and again, for what comes between two statements of an engine is lost.
        """
        self._asked.set()
        while not ended.is_set():
            self._session.interrupt()
            for engine in list(self._engines):
                engine.interrupt()
            ended.wait(_AGAIN_SECONDS)


_AGAIN_SECONDS = 0.1


def stoppably(stopping: Stopping, work: Callable[[], Result]) -> Result:
    """Do `work`, which asks `stopping` before each of its pieces; Ctrl-C and SIGTERM stop it in good order."""
    with _sigterm_raises():
        return _aside(work, stopping.stop)


def _aside(work: Callable[[], Result], stop: Callable[[threading.Event], Any]) -> Result:
    """Do `work` in a thread; what interrupts the main one is raised once `stop` has ended it."""
    results: list[Result] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the main thread
            failures.append(error)
        finally:
            ended.set()

    # Until Python 3.13, a thread whose join() was interrupted is taken to have ended.
    ended = threading.Event()
    # Not to be waited for at exit: a second Ctrl-C leaves, whatever a model is doing.
    threading.Thread(target=run, name="sqlml-statement", daemon=True).start()
    try:
        ended.wait()
    except KeyboardInterrupt:
        stop(ended)
        raise
    if failures:
        raise failures[0]
    return results[0]


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def terminate(_number: int, _frame: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
