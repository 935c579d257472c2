"""Places at which a process can be made to die, so that tests see what is left: `SQLML_FAILPOINT=<name>`."""

from __future__ import annotations

import os
import signal

VARIABLE = "SQLML_FAILPOINT"


def point(name: str) -> None:
    """Dies here, as by `kill -9`, where the environment names this place."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
