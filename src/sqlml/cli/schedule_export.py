"""`sqlml schedule export`: files for Airflow, systemd and cron, and what to do with them."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from sqlml.catalog import Catalog
from sqlml.cli.options import Debug, Project
from sqlml.config import load_settings
from sqlml.errors import NoProject
from sqlml.tables.exports import Exported, Places, airflow, cron, systemd
from sqlml.tables.exports.project import exported

STDOUT = "-"


def export(
    to: Annotated[str, typer.Option(metavar="FILE|FOLDER", help="Where to; '-' prints the one file.")],
    to_airflow: Annotated[bool, typer.Option("--airflow", help="A file of Airflow 3 DAGs.")] = False,
    to_systemd: Annotated[bool, typer.Option("--systemd", help="A folder of systemd's units.")] = False,
    to_cron: Annotated[bool, typer.Option("--cron", help="A crontab.")] = False,
    train: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="With --airflow: a task that trains, before the tables'.")
    ] = None,
    project: Project = None,
    debug: Debug = False,
) -> None:
    """Write files that have Airflow, systemd or cron refresh the tables on time.

    Example:
      sqlml schedule export --airflow --to ~/airflow/dags --train "make model"
      sqlml schedule export --systemd --to ~/.config/systemd/user
      sqlml schedule export --cron --to -

    All files are written, or none. They name this project's folder and this
    Python; write them again when tables, schedules or options have changed.
    """
    if to_airflow + to_systemd + to_cron != 1:
        raise typer.BadParameter("choose one of --airflow, --systemd and --cron")
    if train is not None and not to_airflow:
        raise typer.BadParameter("only --airflow has tasks that train", param_hint="'--train'")
    if to_systemd and to == STDOUT:
        raise typer.BadParameter("units are several files: name a folder", param_hint="'--to'")
    tables, places = _exported(project)
    if to_systemd:
        folder, texts = Path(to), systemd(tables, places)
    else:
        text = airflow(tables, places, train) if to_airflow else cron(tables, places)
        if to == STDOUT:
            sys.stdout.write(text)
            return
        name = f"sqlml_{places.label}.py" if to_airflow else f"sqlml-{places.label}.crontab"
        path = Path(to) / name if Path(to).is_dir() else Path(to)
        folder, texts = path.parent, {path.name: text}
    write_all(folder, texts)
    sys.stdout.write("".join(f"Wrote {folder / name}\n" for name in texts))
    next_steps = _after_systemd(folder, texts, places) if to_systemd else _after(folder / next(iter(texts)), to_airflow)
    sys.stdout.write("".join(f"{line}\n" for line in next_steps))


def _exported(project: Path | None) -> tuple[list[Exported], Places]:
    settings = load_settings(project)
    if settings.project is None:
        raise NoProject(folder=Path.cwd())
    with Catalog.open(settings.catalog_url) as catalog:
        functions = catalog.snapshot().functions.values()
        tables = exported(catalog.predictions.all(), functions, settings.engine, settings.time_zone)
    return tables, Places(settings.project, _command())


def _command() -> tuple[str, ...]:
    """The words that call sqlml from anywhere: the script beside this Python, or this Python."""
    # A link stays one: what it leads to is a Python without this environment.
    python = Path(os.path.abspath(sys.executable))
    script = python.with_name("sqlml")
    return (str(script),) if script.is_file() else (str(python), "-m", "sqlml")


def write_all(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files into a folder, which is made if it is not there: all of them, or none."""
    folder.mkdir(parents=True, exist_ok=True)
    if taken := [folder / name for name in texts if (folder / name).is_dir()]:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(taken[0]))
    # Hidden, and with an ending that neither Airflow nor systemd reads.
    aside = {name: folder / f".{name}.{uuid.uuid4().hex}.new" for name in texts}
    try:
        for name, text in texts.items():
            aside[name].write_text(text, encoding="utf-8")
        for name, path in aside.items():
            path.replace(folder / name)
    finally:
        for path in aside.values():
            path.unlink(missing_ok=True)


def _after(path: Path, to_airflow: bool) -> list[str]:
    if to_airflow:
        return ["Next: in Airflow's folder of DAGs it is found by itself, and 'airflow dags list' shows it."]
    lines = ["Next, which replaces the crontab that you have:", f"  crontab {shlex.quote(str(path))}"]
    return [*lines, "or add its lines with 'crontab -e'."]


def _after_systemd(folder: Path, texts: Mapping[str, str], places: Places) -> list[str]:
    timers = sorted(name for name in texts if name.endswith(".timer"))
    here = folder.absolute() == Path("~/.config/systemd/user").expanduser()
    link = [] if here else [f"  systemctl --user link {_words(folder.absolute() / name for name in sorted(texts))}"]
    lines = ["Next:", *link, "  systemctl --user daemon-reload"]
    lines += [f"  systemctl --user enable --now {_words(timers)}"] if timers else []
    lines += ["and 'loginctl enable-linger' lets them run while nobody is logged in."]
    if texts and (gone := _gone(folder, texts, places)):
        lines += ["These are of tables that have no schedule now, or are gone:"]
        lines += [f"  systemctl --user disable --now {_words(gone)}; rm {_words(folder / name for name in gone)}"]
    return lines


def _gone(folder: Path, texts: Mapping[str, str], places: Places) -> list[str]:
    """The units of this project in a folder that were not written now."""
    [place] = {line for text in texts.values() for line in text.splitlines() if line.startswith("WorkingDirectory=")}
    gone = []
    for service in sorted(folder.glob(f"sqlml-{places.label}-*.service")):
        # Another project's name may begin with this one's.
        if place in service.read_text(encoding="utf-8").splitlines():
            units = (service.with_suffix(".timer"), service)
            gone += [unit.name for unit in units if unit.is_file() and unit.name not in texts]
    return gone


def _words(words: Iterable[object]) -> str:
    return shlex.join(map(str, words))
