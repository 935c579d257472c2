"""`sqlml demo`: a project with data, three models, a prediction table and questions, made in a minute and kept."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sqlml.catalog import Change
from sqlml.cli.demo_data import PREDICTED, is_another_project, is_loaded, load_tables, make_project
from sqlml.cli.needing import needing
from sqlml.cli.options import Debug
from sqlml.cli.outputs.table import write
from sqlml.cli.rows import Result
from sqlml.cli.running import interruptibly
from sqlml.session import Session, connect

FOLDER = Path("sqlml-demo")
MODELS = ("delay_risk", "arrival_delay", "species")


def demo(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="The folder; made if it is not there.")] = FOLDER,
    rows: Annotated[int, typer.Option(min=1000, help="How many flights the models are trained on.")] = 100_000,
    debug: Debug = False,
) -> None:
    """Train three small models and query them, in a folder of its own.

    Example:
      sqlml demo
      sqlml demo /tmp/flights --rows 20000

    It holds the 336,776 flights that left New York in 2013, with the weather and
    the planes, and 344 penguins. What is there already is used again; nothing
    outside the folder changes, and nothing is downloaded.
    """
    _refuse(folder)
    started = time.perf_counter()
    console = Console(highlight=False)
    made = make_project(folder)
    _say(console, "Project", f"{folder}{os.sep}", f"{len(made)} files" if made else "there already")
    with connect(project=folder) as session:
        _load(console, session, folder)
        _train(console, session, rows)
        declared = _apply(console, session)
        if any(change.name == PREDICTED for change in declared):
            _refresh(console, session)
        for path in sorted((folder / "sql").glob("[0-9]*.sql")):
            _ask(console, session, path)
    _say_what_next(console, folder, time.perf_counter() - started)


def _refuse(folder: Path) -> None:
    """Turn away where the demo would write into what is not its own."""
    if is_another_project(folder):
        raise typer.BadParameter(f"'{folder}' is another project: give a folder of its own.", param_hint="'FOLDER'")
    for name in ("SQLML_CATALOG", "SQLML_DATABASE", "SQLML_REGISTRY"):
        if os.environ.get(name):
            raise typer.BadParameter(f"{name} is set, and wins over the demo's own settings: unset it first.")


def _load(console: Console, session: Session, folder: Path) -> None:
    if is_loaded(session):
        said = "there already"
    else:
        with _working(console, "Loading the flights") as took, needing("'sqlml demo'", "demo"):
            load_tables(session, folder)
        said = took()
    counts = "SELECT format('{:,} flights, {:,} hours of weather, {:,} planes, {:,} penguins', a, b, c, d) FROM"
    tables = ("flights", "weather", "planes", "penguins")
    each = ", ".join(f"(SELECT count(*) FROM {table}) AS {name}" for name, table in zip("abcd", tables, strict=True))
    _say(console, "Data", session.sql(f"{counts} (SELECT {each})").fetchall()[0][0], said)


def _train(console: Console, session: Session, rows: int) -> None:
    there = {function.name: function for function in session.functions()}
    for name in MODELS:
        if name in there:
            _say(console, "Model", f"{name} {there[name].version}", "there already")
            continue
        with _working(console, f"Training {name}") as took:
            # Only now: scikit-learn and mlflow take seconds to import.
            with needing("'sqlml demo'", "demo"):
                from sqlml.cli.demo_models import train_and_log
            logged, measured = train_and_log(session, name, rows)
        _say(console, "Model", f"{name} {logged.version}: {measured}", took())


def _apply(console: Console, session: Session) -> list[Change]:
    with _working(console, "Applying udfs/ and sql/") as took:
        changes = session.apply()
    said = took() if any(change.action != "unchanged" for change in changes) else "there already"
    _say(console, "Functions", ", ".join(change.name for change in changes if change.kind == "function"), said)
    return changes


def _refresh(console: Console, session: Session) -> None:
    """Compute the prediction table; where that was done before, its last window alone would be computed again."""
    done = f"SELECT count(*) FROM sqlml.refreshes WHERE table_name = '{PREDICTED}' AND outcome = 'done'"
    if session.sql(done).fetchall()[0][0]:
        said = "there already"
    else:
        with _working(console, f"Refreshing {PREDICTED}") as took:
            interruptibly(session, lambda: session.refresh(PREDICTED))
        said = took()
    held = f"SELECT sum(rows)::BIGINT, count(*) FROM sqlml.windows WHERE table_name = '{PREDICTED}'"
    rows, windows = session.sql(held).fetchall()[0]
    _say(console, "Table", f"{PREDICTED}: {rows:,} predictions in {windows} windows", said)


def _ask(console: Console, session: Session, path: Path) -> None:
    """Print a question (the comment that its file begins with), its SQL and its answer."""
    title, _, text = path.read_text(encoding="utf-8").partition("\n")
    console.print(f"\n[bold]{path.stem[0]}. {title.removeprefix('--').strip()}[/]", soft_wrap=True)
    console.print(f"[dim]   sql/{path.name}[/]\n")
    sys.stdout.write(f"{text.strip()}\n\n")
    started = time.perf_counter()
    interruptibly(session, lambda: write(Result(session, session.sql(text)), sys.stdout))
    console.print(f"[dim]{time.perf_counter() - started:.2f} s[/]")


def _say_what_next(console: Console, folder: Path, seconds: float) -> None:
    console.print(f"\nDone in {seconds:.0f} s. Next:\n")
    for line in (
        f"cd {folder}",
        "sqlml shell                                   # ask for yourself; .help says how",
        "sqlml sql --explain --file sql/2_passengers_to_warn.sql",
        "sqlml functions show delay_risk               # its inputs, its version, its proof",
        "sqlml plan                                    # change a file in udfs/ or sql/, and see what it would do",
    ):
        sys.stdout.write(f"  {line}\n")


@contextmanager
def _working(console: Console, what: str) -> Iterator[Callable[[], str]]:
    """Show that something is being done; gives how long it has taken."""
    started = time.perf_counter()
    with console.status(f"{what} ..."):
        yield lambda: f"{time.perf_counter() - started:.1f} s"


def _say(console: Console, what: str, text: str, said: str) -> None:
    console.print(f"{what:<10} {text}  [dim]{said}[/]", soft_wrap=True)
