"""Places at which a process can be made to die, so that tests see what is left.

`SQLML_FAILPOINT="mid data"` dies there the first time that it comes by, `SQLML_FAILPOINT="mid data*3"` the third time.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "SQLML_FAILPOINT"

_passed: Counter[str] = Counter()


def point(name: str) -> None:
    """Dies here, as by `kill -9`, where the environment names this place."""
    wanted, _, times = os.environ.get(VARIABLE, "").partition("*")
    if wanted == name:
        _passed[name] += 1
        if _passed[name] == int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)
