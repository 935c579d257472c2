"""Work that Ctrl-C can stop: it runs in a thread of its own, for the main one to be there when the signal comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sqlml.session import Session

Result = TypeVar("Result")


def interruptibly(session: Session, work: Callable[[], Result]) -> Result:
    """Do `work`; Ctrl-C interrupts the session's statement, and is raised once the work has ended.

    An engine's own code doesn't return to Python until it has a result, and a signal is heard in Python only.
    """
    results: list[Result] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the main thread
            failures.append(error)

    # Not to be waited for at exit: a second Ctrl-C leaves, whatever a model is doing.
    thread = threading.Thread(target=run, name="sqlml-statement", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        session.interrupt()
        thread.join()
        raise
    if failures:
        raise failures[0]
    return results[0]
