"""A registry with one small model in two versions, a project over it, and rows that anybody can score."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

import sqlml
from sqlml.errors import SqlmlError
from sqlml.query.tables import Bound
from sqlml.tables import delta
from sqlml.tables.asked import Progress, Refreshed, Request

FIRST = datetime(2024, 3, 1)
DAYS, A_DAY = 5, 8
"""How many days `events` has, and how many rows on each."""


@dataclass(frozen=True)
class World:
    """A project with the function `risk`, which follows `models:/risk@champion`, and the models behind its versions."""

    folder: Path
    registry: str
    models: tuple[Any, ...]

    def copy(self, folder: Path, settings: str = "") -> Path:
        """A project of a test's own over the same registry."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.folder / ".sqlml", folder / ".sqlml")
        (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{self.registry}"\n{settings}', encoding="utf-8")
        return folder

    def score(self, rows: pd.DataFrame, version: int = 1) -> np.ndarray:
        """What a version says of rows that have `a` and `b`."""
        return np.asarray(self.models[version - 1].predict_proba(rows[["a", "b"]])[:, 1])

    def whole(self, folder: Path) -> World:
        """A copy with a registry of its own, for tests that change it."""
        shutil.copytree(self.folder.parent, folder, dirs_exist_ok=True)
        own = World(folder / self.folder.name, f"sqlite:///{folder / 'mlflow.db'}", self.models)
        (own.folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{own.registry}"\n', encoding="utf-8")
        return own


def build(folder: Path) -> World:
    """Fit, log and register: version 1 is the champion, version 2 the challenger."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"a": random.normal(size=200), "b": random.normal(size=200)})
    models = tuple(LogisticRegression().fit(rows, rows.a + sign * rows.b > 0) for sign in (1, -2))
    project, registry = folder / "project", f"sqlite:///{folder / 'mlflow.db'}"
    project.mkdir()
    (project / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n', encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log(models[0], rows, "champion", registry)
        db = sqlml.connect(project=project)
        # Its child process imports MLflow while the other version is logged here.
        started = threading.Thread(target=db.check_registry)
        started.start()
        log(models[1], rows, "challenger", registry)
        started.join()
    with db:
        db.register("risk", "models:/risk@champion")
    return World(project, registry, models)


def log(model: Any, rows: pd.DataFrame, alias: str, registry: str) -> None:
    sqlml.log_model(model, name="risk", signature_from=rows, label="late", alias=alias, registry=registry)


def events(days: int = DAYS, first: datetime = FIRST, start_id: int = 0) -> pd.DataFrame:
    """So many rows on each day, at odd hours; `n` counts the days from 0 in steps of 100."""
    random = np.random.default_rng(start_id + days)
    rows = days * A_DAY
    moments = [first + timedelta(days=i // A_DAY, hours=(i % A_DAY) * 3 - (i % 2) / 60) for i in range(rows)]
    moments = [max(moment, first) for moment in moments]
    return pd.DataFrame(
        {
            "id": np.arange(start_id, start_id + rows),
            "ts": pd.Series(moments, dtype="datetime64[us]"),
            "n": [i // A_DAY * 100 + i % A_DAY for i in range(rows)],
            "a": random.normal(size=rows),
            "b": random.normal(size=rows),
            "place": [("north", "south")[i % 2] for i in range(rows)],
        }
    )


def fill(db: sqlml.Session, rows: pd.DataFrame, name: str = "events") -> None:
    """Make a table of a data frame, or put its rows into the table that there is."""
    held = pa.Table.from_pandas(rows, preserve_index=False)
    there = name in db.tables()
    db.sql(f"INSERT INTO {name} FROM held" if there else f"CREATE TABLE {name} AS FROM held")
    assert held.num_rows == len(rows)


QUERY = "SELECT id, ts, a, b, risk_score(e) AS risk FROM events AS e"
DAILY = "INCREMENTAL ON ts EVERY INTERVAL '1' DAY"


def declare(
    db: sqlml.Session, clauses: str = DAILY, query: str = QUERY, name: str = "daily", *, new: bool = True
) -> None:
    """CREATE [OR REPLACE] PREDICTION TABLE."""
    db.sql(f"CREATE {'' if new else 'OR REPLACE '}PREDICTION TABLE {name} {clauses} AS {query}")


def ask(db: sqlml.Session, name: str = "daily", progress: Callable[..., None] | None = None, **words: Any) -> Refreshed:
    """A refresh; `start` and `end` are texts, and `progress` is called after each run."""
    bounds = {one: Bound("text", str(words.pop(one))) for one in ("start", "end") if one in words}
    told = Progress(ended=progress) if progress else None
    return db.predictions.refresh(name, Request(**bounds, **words), told)


def windows(done: Refreshed) -> list[str]:
    """The windows that a refresh published, by where they begin."""
    return [run.window_key.split("/")[0] for run in done.runs if run.outcome == "published"]


def frame(db: sqlml.Session, query: str = "FROM predictions.daily ORDER BY id") -> pd.DataFrame:
    """A query's rows."""
    return db.sql(query).to_arrow_table().to_pandas()


def same_scores(world: World, held: pd.DataFrame, source: pd.DataFrame, version: int = 1) -> None:
    """The table has a row for each of the source's, with what the model says of it."""
    assert held.id.tolist() == source.id.tolist()
    if len(source):
        np.testing.assert_allclose(held.risk, world.score(source, version), rtol=1e-12)


def root_of(db: sqlml.Session, name: str = "daily") -> Path:
    """The folder of a table."""
    return Path(db.predictions.desk.tables.get(name).path)


def commits(root: Path) -> list[dict[str, Any]]:
    """What each publishing commit of a log says, the oldest first; read from the log alone."""
    found = []
    for entry in sorted((root / delta.LOG).glob("*.json")):
        for action in map(json.loads, entry.read_text(encoding="utf-8").splitlines()):
            if "sqlml" in action.get("commitInfo", {}):
                found.append(json.loads(action["commitInfo"]["sqlml"]))
    return found


def whole(db: sqlml.Session, name: str = "daily", column: str | None = None) -> None:
    """The invariants: a window's rows are of one run, as many as its commit says, published once a generation.

    Args:
        db: that reads the table.
        name: the table.
        column: the window of a row, as SQL of its start's text; None: the table is one window.
    """
    made = [(one["app_id"], one["number"]) for one in commits(root_of(db, name))]
    assert len(set(made)) == len(made), "a generation of a window was published twice"
    latest: dict[str, tuple[str, int]] = {}
    for commit in commits(root_of(db, name)):
        latest = {} if commit["full"] else latest
        latest |= {one["key"].split("/")[0]: (commit["run_id"], one["rows"]) for one in commit["windows"]}
    rows = db.sql(
        f"SELECT {column or quoted('all')}, _run_id, count(*) FROM predictions.{name} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert rows == sorted((key, run, count) for key, (run, count) in latest.items() if count)


def quoted(text: str) -> str:
    """A text as a literal."""
    return f"'{text}'"


DAY_OF = "strftime(date_trunc('day', ts), '%Y-%m-%dT%H:%M:%S')"
"""The start of a row's window by day, as its key has it."""


def fails(error: type[SqlmlError], said: str, run: Callable[[], object]) -> SqlmlError:
    """Run what must fail so; gives the error."""
    import pytest

    with pytest.raises(error, match=said) as caught:
        run()
    return caught.value


def utc(*numbers: int) -> datetime:
    """A moment in UTC."""
    return datetime(*numbers, tzinfo=UTC)


def texts(rows: Sequence[Sequence[object]]) -> list[str]:
    """The first column of rows, as texts."""
    return [str(row[0]) for row in rows]
