"""A process of its own that runs one statement, and can be stopped at a place until it is told to go on.

    python -m tables.working FOLDER STATEMENT [PLACE WAITING GO]

It makes the file WAITING when it comes to the place, and goes on once there is the file GO.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
BUSY = "SQLML_TEST_BUSY_SECONDS"
LIMIT = "SQLML_TEST_FILE_BYTES"
"""How large a file may become once the process has waited at its place; larger ones fail as on a full disk."""


def begin(
    folder: Path, statement: str, place: str | None = None, name: str = "it", **variables: str
) -> subprocess.Popen[str]:
    """Start it; `variables` are of its environment."""
    stops = [place, str(folder / f"{name}.waits"), str(folder / f"{name}.goes")] if place else []
    for file in stops[1:]:
        Path(file).unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(TESTS), BUSY: "1", **variables}
    command = [sys.executable, "-m", "tables.working", str(folder), statement, *stops]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def waits(folder: Path, process: subprocess.Popen[str], name: str = "it") -> None:
    """Come back once it waits at its place."""
    until = time.monotonic() + 60
    while not (folder / f"{name}.waits").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def goes(folder: Path, process: subprocess.Popen[str], name: str = "it") -> tuple[int, str, str]:
    """Let it go on; gives what it ended with, and what it said."""
    (folder / f"{name}.goes").touch()
    return ends(process)


def ends(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """What it ended with, and what it said."""
    said, complained = process.communicate(timeout=120)
    return process.returncode, said, complained


def _stop_at(place: str, waiting: str, go: str) -> None:
    from sqlml.tables import delta, failpoints, running

    def point(name: str) -> None:
        failpoints.point(name)
        if name == place and not os.path.exists(waiting):
            Path(waiting).touch()
            while not os.path.exists(go):
                time.sleep(0.005)
            if limit := os.environ.get(LIMIT):
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))

    running.point = delta.point = point


def main(folder: str, statement: str, *stops: str) -> int:
    import sqlml
    from sqlml.catalog import database

    database.BUSY_SECONDS = float(os.environ.get(BUSY, "30"))
    if stops:
        _stop_at(*stops)
    try:
        with sqlml.connect(project=folder) as db:
            done = db.sql(statement)
            for row in done.fetchall() if done is not None else []:
                print(*row, sep="\t", flush=True)
    except sqlml.SqlmlError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
