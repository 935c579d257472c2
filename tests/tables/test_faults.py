"""Processes that die, and others at the same time: old rows stay readable, and the same command heals it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import sqlml
from sqlml.catalog.refreshes import LOST
from sqlml.errors import EngineError, RefreshFailed, TableUnreadable
from sqlml.tables import delta
from tables import small
from tables.small import DAY_OF, ask, commits, declare, fails, frame, root_of, same_scores, whole
from tables.working import begin, ends, goes, waits

REFRESH = "REFRESH PREDICTION TABLE daily"
FULL = f"{REFRESH} FULL"
THIRD = f"{REFRESH} FROM '2024-03-03' TO '2024-03-04'"


@pytest.fixture
def folder(world: small.World, tmp_path: Path, source: pd.DataFrame) -> Path:
    """A project whose rows are a file, and whose table `daily` has the first two of five days."""
    return prepared(world, tmp_path / "project", source)


def prepared(
    world: small.World, folder: Path, source: pd.DataFrame, clauses: str = small.DAILY, settings: str = ""
) -> Path:
    world.copy(folder, settings)
    source.to_parquet(folder / "events.parquet")
    with sqlml.connect(project=folder) as db:
        declare(db, clauses, query(folder))
        if "INCREMENTAL" in clauses:
            ask(db, start="2024-03-01", end="2024-03-03")
    return folder


def query(folder: Path) -> str:
    return f"SELECT id, ts, a, b, risk_score(e) AS risk FROM read_parquet('{folder}/events.parquet') AS e"


def changed(folder: Path, source: pd.DataFrame) -> pd.DataFrame:
    """The source's rows, after they have all changed."""
    rows = source.assign(a=source.a + 1)
    rows.to_parquet(folder / "events.parquet")
    return rows


@pytest.fixture
def reader(folder: Path) -> Iterator[sqlml.Session]:
    """Somebody else, who reads all the time."""
    with sqlml.connect(project=folder) as session:
        yield session


def outcomes(db: sqlml.Session) -> list[str]:
    """How the refreshes ended, the oldest first."""
    return [one for (one,) in db.sql("SELECT outcome FROM sqlml.refreshes ORDER BY started_at").fetchall()]


def acknowledged(db: sqlml.Session, name: str = "daily") -> None:
    """What the catalog calls published is in the log; what the log holds was published, by one run a generation."""
    made = {one["run_id"] for one in commits(root_of(db, name))}
    assert {run.run_id for run in db.predictions.desk.tables.runs(name, outcome="published")} == made
    assert not db.predictions.desk.tables.runs(name, outcome="running")


def healed(folder: Path, world: small.World, rows: pd.DataFrame, statement: str = REFRESH) -> None:
    """The same command does the rest, and says of what died that it did."""
    with sqlml.connect(project=folder) as db:
        db.sql(statement)
        same_scores(world, frame(db), rows)
        whole(db, column=DAY_OF)
        acknowledged(db)
        assert outcomes(db)[-2:] == ["failed", "done"]
        errors = db.sql("SELECT error FROM sqlml.refreshes WHERE outcome = 'failed'").fetchall()
        assert errors == [(LOST,)]


PLACES = ["before data", "mid data", "after data", "before commit", "after commit", "before record", "after record"]


@pytest.mark.parametrize("place", PLACES)
def test_killed_in_a_window(folder, reader, world, source, place):
    process = begin(folder, REFRESH, SQLML_FAILPOINT=place)
    code, said, _ = ends(process)
    assert (code, said) == (-9, "")
    published = PLACES.index(place) >= PLACES.index("after commit")
    same_scores(world, frame(reader), source[: 24 if published else 16])
    whole(reader, column=DAY_OF)
    healed(folder, world, source)
    same_scores(world, frame(reader), source)


def test_killed_in_a_later_window(folder, reader, world, source):
    """What was published before stays, and is not computed again."""
    assert ends(begin(folder, REFRESH, SQLML_FAILPOINT="before commit*2"))[0] == -9
    same_scores(world, frame(reader), source[:24])
    runs = {
        window: run
        for window, run in reader.sql(
            "SELECT window_key, run_id FROM sqlml.runs WHERE outcome = 'published'"
        ).fetchall()
    }
    healed(folder, world, source)
    after = dict(reader.sql("SELECT window_key, run_id FROM sqlml.windows").fetchall())
    assert {window: after[window] for window in runs} == runs


@pytest.mark.parametrize("place", ["mid data*4", "before commit", "after commit", "before record"])
def test_killed_in_a_full_refresh(folder, reader, world, source, place):
    rows = changed(folder, source)
    assert ends(begin(folder, FULL, SQLML_FAILPOINT=place))[0] == -9
    published = place in PLACES and PLACES.index(place) >= PLACES.index("after commit")
    same_scores(world, frame(reader), rows if published else source[:16])
    healed(folder, world, rows, FULL)
    same_scores(world, frame(reader), rows)


@pytest.mark.parametrize("place", ["after merge", "before commit", "after commit"])
def test_killed_in_a_merge(world, tmp_path, source, place):
    """The rows that stay are written anew beside the new ones: they are there once, whenever it dies."""
    folder = prepared(world, tmp_path / "keyed", source, f"{small.DAILY} KEY (id)")
    with sqlml.connect(project=folder) as db:
        ask(db)
        rows = source.assign(ts=source.ts.where(source.id != 0, pd.Timestamp("2024-03-03 10:00")))
        rows.to_parquet(folder / "events.parquet")
        assert ends(begin(folder, THIRD, SQLML_FAILPOINT=place))[0] == -9
        held = frame(db)
        same_scores(world, held, source)
        assert held.ts[0] == (rows if place == "after commit" else source).ts[0]
        db.sql(THIRD)
        same_scores(world, frame(db), rows)
        assert frame(db).ts.tolist() == rows.ts.tolist()
        acknowledged(db)


def test_killed_while_columns_are_made_possible(world, tmp_path, source):
    """A table that never had a local time is told of it in a commit of its own."""
    folder = prepared(world, tmp_path / "plain", source, "")
    with sqlml.connect(project=folder) as db:
        db.sql("DROP PREDICTION TABLE daily")
        declare(db, "", query(folder).replace("id, ts", "id"))
        ask(db)
        declare(db, "", query(folder), new=False)
        assert ends(begin(folder, FULL, SQLML_FAILPOINT="after allow"))[0] == -9
        assert "ts" not in frame(db)
        same_scores(world, frame(db), source)
        db.sql(FULL)
        assert frame(db).ts.tolist() == source.ts.tolist()


def test_killed_while_a_table_is_made(folder, world, source):
    statement = f"CREATE PREDICTION TABLE other {small.DAILY} AS {query(folder)}"
    assert ends(begin(folder, statement, SQLML_FAILPOINT="mid create"))[0] == -9
    with sqlml.connect(project=folder) as db:
        db.sql(statement.replace("CREATE", "CREATE OR REPLACE"))
        ask(db, "other")
        same_scores(world, frame(db, "FROM predictions.other ORDER BY id"), source)


@pytest.mark.parametrize(
    "then", ["DROP PREDICTION TABLE daily", f"CREATE OR REPLACE PREDICTION TABLE daily {small.DAILY} AS "]
)
def test_killed_while_a_table_is_dropped(folder, then):
    assert ends(begin(folder, "DROP PREDICTION TABLE daily", SQLML_FAILPOINT="mid drop"))[0] == -9
    with sqlml.connect(project=folder) as db:
        db.sql(then + (query(folder) if then.endswith("AS ") else ""))
        if then.startswith("DROP"):
            declare(db, query=query(folder))
        assert frame(db).empty
        assert ask(db).rows == 40


def test_two_at_once(folder, reader, world, source):
    """Two schedulers: each window is published by one, and the other says by which run."""
    both = [begin(folder, REFRESH, "before commit", name) for name in ("one", "two")]
    for process, name in zip(both, ("one", "two"), strict=True):
        waits(folder, process, name)
    for name in ("one", "two"):
        (folder / f"{name}.goes").touch()
    found = [ends(process) for process in both]
    assert [(code, complained) for code, _, complained in found] == [(0, "")] * 2
    rows = [dict(zip(HEAD, line.split("\t"), strict=True)) for _, said, _ in found for line in said.splitlines()]
    assert len(rows) == 6
    for day in ("03", "04", "05"):
        one, two = sorted(
            (row for row in rows if row["window"].startswith(f"2024-03-{day}")), key=lambda row: row["outcome"]
        )
        assert (one["outcome"], two["outcome"]) == ("already", "published")
        assert one["note"] == f"published by run {two['run_id']}"
    same_scores(world, frame(reader), source)
    whole(reader, column=DAY_OF)
    acknowledged(reader)
    kept = {str(path.parent.name) for path in root_of(reader).rglob("*.parquet") if "_delta_log" not in str(path)}
    assert kept == {f"sqlml_run={row[0]}" for row in reader.sql("SELECT run_id FROM sqlml.windows").fetchall()}, (
        "the other's files are gone"
    )


HEAD = ("window", "outcome", "rows", "seconds", "version", "run_id", "note")


def test_a_retry_while_the_first_still_runs(folder, reader, world, source):
    first = begin(folder, THIRD, "after data")
    waits(folder, first)
    code, said, _ = ends(begin(folder, THIRD))
    assert (code, said.split("\t")[1]) == (0, "published")
    assert outcomes(reader)[-2:] == ["running", "done"], "the first one is not taken for dead"
    run_id = said.split("\t")[5]
    code, said, complained = goes(folder, first)
    assert (code, complained) == (0, "")
    assert said.strip().split("\t")[1] == "already"
    assert said.strip().endswith(f"published by run {run_id}")
    same_scores(world, frame(reader), source[:24])
    whole(reader, column=DAY_OF)


def test_a_full_refresh_beside_another_one(folder, reader, world, source):
    """It is made from a version of the table, and none else: what came in between is not lost."""
    full = begin(folder, FULL, "after data")
    waits(folder, full)
    assert ends(begin(folder, THIRD))[0] == 0
    code, _, complained = goes(folder, full)
    assert code == 1
    assert "Nothing was published: run it again" in complained
    same_scores(world, frame(reader), source[:24])
    ask(reader, full=True)
    same_scores(world, frame(reader), source)
    whole(reader, column=DAY_OF)


def test_a_window_beside_a_full_refresh(folder, reader, world, source):
    window = begin(folder, THIRD, "after data")
    waits(folder, window)
    rows = changed(folder, source)
    assert ends(begin(folder, FULL))[0] == 0
    same_scores(world, frame(reader), rows)
    code, _, complained = goes(folder, window)
    assert (code, complained) == (0, "")
    whole(reader, column=DAY_OF)
    reader.sql(THIRD)
    same_scores(world, frame(reader), rows)
    whole(reader, column=DAY_OF)


def test_a_reader_during_a_run(folder, reader, world, source):
    """At each place, what is read is what was there before, or the whole of what is there after."""
    for place, count in (("before data", 16), ("after data", 16), ("before commit", 16), ("after commit", 24)):
        process = begin(folder, THIRD, place)
        waits(folder, process)
        same_scores(world, frame(reader), source[:count])
        process.kill()
        process.communicate()
    same_scores(world, frame(reader), source[:24])
    whole(reader, column=DAY_OF)


def locked(folder: Path) -> sqlite3.Connection:
    """The catalog, which somebody else is writing to."""
    connection = sqlite3.connect(folder / ".sqlml" / "catalog.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_the_catalog_is_locked_at_the_beginning(folder, reader, world, source):
    other = locked(folder)
    code, said, complained = ends(begin(folder, REFRESH))
    assert (code, said) == (1, "")
    assert complained.count("\n") == 1
    assert "locked" in complained
    same_scores(world, frame(reader), source[:16])
    other.execute("ROLLBACK")
    ask(reader)
    same_scores(world, frame(reader), source)


def test_the_catalog_is_locked_between_commit_and_record(folder, reader, world, source):
    """What is in the table is published, whether the catalog could be told or not."""
    process = begin(folder, REFRESH, "before record")
    waits(folder, process)
    other = locked(folder)
    code, _, complained = goes(folder, process)
    assert code == 1
    assert "locked" in complained
    other.execute("ROLLBACK")
    same_scores(world, frame(reader), source[:24])
    healed(folder, world, source)
    assert reader.sql("SELECT count(*) FROM sqlml.runs WHERE outcome = 'published'").fetchall() == [(5,)]


def test_a_file_that_is_missing(folder, reader, world, source):
    root = root_of(reader)
    gone = root / next(path for path in delta.snapshot(root).files if "20240301" in path)
    gone.unlink()
    assert str(gone) in str(fails(EngineError, gone.name, lambda: frame(reader)))
    ask(reader, start="2024-03-01", end="2024-03-02")
    same_scores(world, frame(reader), source[:16])
    whole(reader, column=DAY_OF)


def test_a_missing_file_of_a_merge(world, tmp_path, source):
    folder = prepared(world, tmp_path / "keyed", source, f"{small.DAILY} KEY (id)")
    with sqlml.connect(project=folder) as db:
        root = root_of(db)
        gone = root / next(path for path in delta.snapshot(root).files if "20240301" in path)
        gone.unlink()
        assert str(gone) in str(fails(RefreshFailed, gone.name, lambda: ask(db)))
        ask(db, full=True)
        same_scores(world, frame(db), source)


def test_a_log_that_is_damaged(folder, reader):
    """It is said, and nothing is written over it."""
    entry = root_of(reader) / "_delta_log" / f"{1:020}.json"
    before = entry.read_bytes()
    entry.write_bytes(before[: len(before) // 2])
    code, _, complained = ends(begin(folder, REFRESH))
    assert (code, complained.count("\n")) == (1, 1)
    assert "can't be read" in complained
    with sqlml.connect(project=folder) as other:
        fails(TableUnreadable, "can't be read", lambda: frame(other))
    entry.write_bytes(before)
    assert ask(reader).rows == 24


def test_another_table_in_its_place(folder, reader):
    """An older copy of the folder, say: the catalog knows more than it holds."""
    root = root_of(reader)
    (root / "_delta_log" / f"{2:020}.json").unlink()
    code, _, complained = ends(begin(folder, REFRESH))
    assert code == 1
    assert "it is another one" in complained


def test_the_command_line_says_one_line(folder):
    """And exits with 1; the exit code of a killed process is its own."""
    (folder / "events.parquet").unlink()
    command = [sys.executable, "-m", "sqlml", "sql", "--project", str(folder), REFRESH]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "events.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_merges_at_once(world, tmp_path, source):
    """Each was made from the version that the other changes: the second one begins again, and no row is lost."""
    folder = prepared(world, tmp_path / "keyed", source, "INCREMENTAL ON ts EVERY INTERVAL '1' DAY KEY (id)")
    with sqlml.connect(project=folder) as db:
        ask(db)
        # Each day's rows come a day later, so that each window takes rows out of the one before.
        rows = source.assign(ts=source.ts + pd.Timedelta(days=1))
        rows.to_parquet(folder / "events.parquet")
        days = {"one": ("02", "03"), "two": ("03", "04")}
        both = {
            name: begin(folder, f"{REFRESH} FROM '2024-03-{day}' TO '2024-03-{end}'", "after merge", name)
            for name, (day, end) in days.items()
        }
        for name, process in both.items():
            waits(folder, process, name)
        for name in both:
            (folder / f"{name}.goes").touch()
        assert [ends(process)[::2] for process in both.values()] == [(0, "")] * 2
        held = frame(db)
        same_scores(world, held, source)
        assert held.ts.tolist() == [*rows.ts[:16], *source.ts[16:]]
        acknowledged(db)
