"""Where a table's files lie: `data/sqlml_window=<window>/sqlml_run=<run>/`, so that a path says whose it is.

The folders are named as partitions are, so that Spark reads the files of many runs as one table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from sqlml.tables.delta import DataFile
from sqlml.tables.windows import Window

DATA = "data"
WINDOW, RUN = "sqlml_window", "sqlml_run"
RESERVED = (WINDOW, RUN)
QUARANTINE = "_quarantine"
WHOLE = "all"
"""The key of what is no window: the whole of a table."""
_NOTHING = "__HIVE_DEFAULT_PARTITION__"
_PLACE = re.compile(rf"(?P<window>{DATA}/{WINDOW}=[^/]+)/{RUN}=(?P<run>[^/]+)(/(?P<below>.+))?/[^/]+", re.DOTALL)


def key_of(window: Window | None) -> str:
    """What tells a window's rows from any other's in its table."""
    return WHOLE if window is None else window.key


def window_folder(key: str) -> str:
    """The folder of a window's runs. No reader takes its name for anything but a name.

    Example:
        >>> window_folder("2013-01-01T05:00:00Z/2013-01-02T05:00:00Z")
        'data/sqlml_window=20130101T050000Z_20130102T050000Z'
        >>> window_folder("-1000/0")
        'data/sqlml_window=n1000_0'
    """
    start, _, end = key.partition("/")
    return f"{DATA}/{WINDOW}={_slug(start)}" + (f"_{_slug(end)}" if end else "")


def _slug(bound: str) -> str:
    negative = re.fullmatch(r"-(\d+)", bound)
    return f"n{negative[1]}" if negative else re.sub(r"[^0-9A-Za-z.]", "", bound)


def run_folder(key: str, run_id: str) -> str:
    """The folder of one run's files."""
    return f"{window_folder(key)}/{RUN}={run_id}"


class Place(NamedTuple):
    """What a data file's path says: the folder of its window, its run, and the folders of partitions below these."""

    window_folder: str
    run_id: str
    below: str


def place_of(path: str) -> Place | None:
    """Whose a data file is; None where it lies elsewhere.

    Example:
        >>> place_of("data/sqlml_window=0_10/sqlml_run=a1b2.0/plan=x/data_0.parquet")
        Place(window_folder='data/sqlml_window=0_10', run_id='a1b2', below='plan=x')
    """
    found = _PLACE.fullmatch(path)
    # A run that merges rows by their key has numbered folders besides its own.
    return None if found is None else Place(found["window"], found["run"].partition(".")[0], found["below"] or "")


def data_files(root: Path, folder: str, partitions: Sequence[str]) -> list[DataFile]:
    """The files that an engine wrote into a run's folder, with the values that their paths hold."""
    found = []
    for path in sorted((root / folder).rglob("*.parquet")):
        below = path.relative_to(root)
        # What writers hide from readers, which the folder of a column's value isn't, whatever the column's name.
        if any(part.startswith((".", "_")) and "=" not in part for part in below.parts):
            continue
        values = dict(part.split("=", 1) for part in path.relative_to(root / folder).parts[:-1])
        # An engine may spell a column's name in its own way.
        by_name = {unquote(name).casefold(): unquote(value) for name, value in values.items()}
        held: dict[str, str | None] = {}
        for name in partitions:
            value = by_name[name.casefold()]
            held[name] = None if value == _NOTHING else value
        found.append(DataFile(below.as_posix(), held))
    return found
