"""Whether the native door fits this build of DuckDB and Python: tried once in a child process, and remembered."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

import duckdb

from sqlml.engines.duckdb_capi import library
from sqlml.programs.objects import cache_folder

SECONDS = 20
"""How long the trial may take."""


class Outcome(NamedTuple):
    """Whether the door may be opened, and why not."""

    ok: bool
    reason: str | None = None


@functools.cache
def outcome(offset: int) -> Outcome:
    """What the trial gave, from the cache, else after trying.

    Args:
        offset: where, in a connection, the pointer to its database is sought.
    """
    path = cache_folder() / f"door-{_key(offset)}.json"
    try:
        held = json.loads(path.read_text())
        return Outcome(bool(held["ok"]), held["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        found = _try(offset)
        _keep(path, found)
        return found


def _key(offset: int) -> str:
    """Everything that the private layout of a connection may depend on."""
    file = Path(library()).stat()
    build = (sys.version, sysconfig.get_config_var("SOABI"), platform.platform())
    held = (duckdb.__version__, file.st_size, file.st_mtime_ns, *build, offset)
    return hashlib.sha256("\n".join(map(str, held)).encode()).hexdigest()[:32]


def _try(offset: int) -> Outcome:
    """Go through the door in a process whose death costs nothing."""
    if not sys.executable:
        return Outcome(False, "there is no Python to try it with")
    command = [sys.executable, "-m", "sqlml.engines.duckdb_trial", str(offset)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, env=environment
        )
    except subprocess.TimeoutExpired:
        return Outcome(False, f"trying it took more than {SECONDS} seconds")
    except OSError as error:
        return Outcome(False, f"it can't be tried: {error}")
    if done.returncode == 0:
        return Outcome(True)
    if done.returncode < 0:
        return Outcome(False, f"trying it ended the process with signal {-done.returncode}")
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Outcome(False, f"trying it failed: {last}")


def _keep(path: Path, found: Outcome) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(found._asdict(), file)
        Path(scratch).replace(path)
    except OSError:
        # Whoever can't write tries again in the next process.
        return
