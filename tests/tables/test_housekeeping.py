"""A table's files are put together and taken away, and no reader and no writer is the worse for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sqlml
from sqlml.errors import BadInterval, RetentionTooShort, TableBusy, VersionGone
from sqlml.tables import compaction, delta, running
from sqlml.tables.asked import Request
from sqlml.tables.compaction import StoredFile, crowded, stored_files
from sqlml.tables.housekeeping import MARGIN, hours_to_keep
from sqlml.tables.layout import place_of
from sqlml.tables.refresh import _record
from tables import small
from tables.small import DAILY, ask, declare, fails, fill, root_of

SHORT = "OPTIONS (retention = '1 hour')"


def everything(db, at="") -> list[str]:
    """Each row of the table, in text, where NaN is NaN."""
    return list(map(str, db.sql(f"SELECT * FROM predictions.daily {at} ORDER BY ALL").fetchall()))


def age(root: Path, hours: float) -> None:
    """Make all that was written and removed so much older: files by their times, removals by what the log says."""
    moment = time.time() - hours * 3600
    for path in [*root.rglob("*"), root]:
        os.utime(path, (moment, moment))
    for entry in (root / delta.LOG).glob("*.json"):
        lines = entry.read_text(encoding="utf-8").splitlines()
        old = [_older(line, int(moment * 1000)) for line in lines]
        entry.write_text("\n".join(old) + "\n", encoding="utf-8")


def _older(line: str, moment: int) -> str:
    return re.sub(r'"deletionTimestamp":\d+', f'"deletionTimestamp":{moment}', line)


def stored(*sizes: int, window="a", below="") -> list[StoredFile]:
    where = f"/{below}" if below else ""
    return [
        StoredFile(f"data/sqlml_window={window}/sqlml_run=r{i}{where}/0.parquet", 1, n) for i, n in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ([], []),
        (stored(10), []),
        (stored(10, 10), [2]),
        (stored(90, 20), []),
        (stored(40, 40, 40, 40), [2, 2]),
        (stored(200, 10, 10), [2]),
        (stored(10, window="a") + stored(10, window="b"), []),
        (stored(10, 10, below="p=x") + stored(10, below="p=y"), [2]),
        ([StoredFile("part-0.parquet", 1, 1), StoredFile("part-1.parquet", 1, 1)], []),
    ],
)
def test_which_files_are_put_together(files, wanted):
    assert [len(group.files) for group in crowded(files, target=100)] == wanted


def split(db, root: Path, parts: int = 3) -> None:
    """Have each file's rows in several, as an engine of many threads leaves them."""
    held, added = delta.snapshot(root), []
    for path, partition in _partitions(root):
        whole = pq.ParquetFile(root / path).read()
        size = -(-whole.num_rows // parts)
        for i in range(parts):
            below = Path(path).with_name(f"split_{i}.parquet").as_posix()
            pq.write_table(whole.slice(i * size, size), root / below)
            added.append(delta.DataFile(below, partition))
    delta.publish(
        root, added, app_id="split", number=1, replaces=lambda path: path in held.files, is_change=False,
        metadata={"run_id": "split", "upkeep": "split", "full": False, "windows": []},
    )  # fmt: skip


def _partitions(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = delta.open_table(root)
    names = table.metadata().partition_columns
    for row in pa.table(table.get_add_actions()).to_pylist():
        values = {name: row["partition"][name] for name in names}
        yield unquote(row["path"]), {name: None if value is None else str(value) for name, value in values.items()}


@pytest.mark.parametrize("clauses", ["", "PARTITIONED BY (place)", "PARTITIONED BY (_odd, day)"])
def test_small_files_become_one_and_no_row_changes(db, clauses):
    places = "CASE WHEN id % 3 = 0 THEN NULL WHEN id % 3 = 1 THEN 'a/b = 50 %' ELSE place END AS place"
    odd = (
        "[id, NULL] AS l, {'x': id, 'y': [place]} AS s, MAP {place: id} AS m, 1.5::DECIMAL(9, 2) AS d, 'NaN'::REAL AS n"
    )
    query = (
        f"SELECT id, ts, CAST(ts AS DATE) AS day, {places}, {odd}, id % 2 AS _odd, risk_proba(e) AS p FROM events AS e"
    )
    declare(db, f"{clauses} {DAILY}", query)
    ask(db)
    root = root_of(db)
    split(db, root)
    before, version = everything(db), delta.snapshot(root).version
    planned = db.predictions.optimize("daily", plan_only=True)
    assert delta.snapshot(root).version == version
    done = db.predictions.optimize("DAILY")
    assert done.groups == planned.groups
    assert done.version == version + 1
    assert everything(db) == before
    assert everything(db, f"VERSION AS OF {version}") == before, "the old version has its own files"
    windows = {(place.window_folder, place.below) for place in map(place_of, delta.files(delta.open_table(root)))}
    assert len(stored_files(root)) == len(windows), "one a window and value of the partition columns"
    assert db.predictions.optimize("daily").version is None, "once is enough"
    assert db.table("daily").to_arrow().num_rows == 40
    assert ask(db).runs == ()
    assert ask(db, start="2024-03-01", end="2024-03-03").rows == 16
    assert len(everything(db)) == 40


def test_rows_that_were_merged_are_put_together(db, world):
    """A row moves to another day: the file that it leaves is written anew, in the folder of the run that moved it."""
    declare(db, f"{DAILY} KEY (id)")
    ask(db)
    db.sql("UPDATE events SET ts = ts + INTERVAL 3 DAY WHERE id = 1")
    ask(db, start="2024-03-04", end="2024-03-05")
    before = everything(db)
    (group,) = db.predictions.optimize("daily").groups
    assert (len(group.files), group.rows, everything(db) == before) == (2, 16, True)
    db.sql("UPDATE events SET b = b - 1")
    ask(db, start="2024-03-01", end="2024-03-06")
    small.same_scores(world, small.frame(db), db.sql("FROM events ORDER BY id").df())


def test_large_tables_keep_their_row_groups(db, monkeypatch):
    monkeypatch.setattr(compaction, "_ROW_GROUP", 10)
    declare(db, "")
    ask(db)
    split(db, root_of(db), parts=8)
    before = everything(db)
    db.predictions.optimize("daily")
    (file,) = stored_files(root_of(db))
    assert pq.ParquetFile(root_of(db) / file.path).metadata.num_row_groups == 4
    assert everything(db) == before


def test_a_table_that_is_empty(db):
    declare(db)
    assert db.predictions.optimize("daily").groups == ()
    assert db.predictions.vacuum("daily", apply=True).files == ()
    db.sql("DELETE FROM events")
    assert ask(db).runs == ()
    assert len(everything(db)) == 0


def test_a_refresh_comes_between_the_writing_and_the_commit(db, monkeypatch):
    """What was replaced meanwhile isn't brought back; the rest is put together all the same."""
    declare(db)
    ask(db)
    root = root_of(db)
    split(db, root)
    real = compaction._publish

    def late(*arguments):
        ask(db, start="2024-03-02", end="2024-03-03")
        return real(*arguments)

    monkeypatch.setattr(compaction, "_publish", late)
    done = db.predictions.optimize("daily")
    assert len(done.groups) == 4
    assert len(everything(db)) == 40
    assert db.sql("SELECT count(DISTINCT _run_id) FROM predictions.daily").fetchall() == [(5,)]
    on_disk = {path.relative_to(root).as_posix() for path in root.glob("data/**/part-*.parquet")}
    assert on_disk == {one.path for one in stored_files(root)} & on_disk, "what nobody needs is gone"


def test_two_at_once_put_the_files_together_once(db, monkeypatch):
    declare(db)
    ask(db)
    split(db, root_of(db))
    real, others = compaction._publish, []

    def late(*arguments):
        monkeypatch.setattr(compaction, "_publish", real)
        others.append(db.predictions.optimize("daily"))
        return real(*arguments)

    monkeypatch.setattr(compaction, "_publish", late)
    before = everything(db)
    done = db.predictions.optimize("daily")
    assert (done.version, len(others[0].groups)) == (None, 5)
    assert everything(db) == before


def test_what_fails_leaves_no_file(db, monkeypatch):
    declare(db)
    ask(db)
    split(db, root_of(db))
    before = sorted(root_of(db).rglob("*.parquet"))
    monkeypatch.setattr(compaction, "_publish", lambda *_: fails_now())
    with pytest.raises(sqlml.SqlmlError):
        db.predictions.optimize("daily")
    assert sorted(root_of(db).rglob("*.parquet")) == before


def fails_now() -> None:
    raise TableBusy(path="x", tries=1)


def test_a_full_refresh_does_not_mind_upkeep(db, monkeypatch):
    declare(db)
    ask(db)
    split(db, root_of(db))
    real = running._replace_all

    def late(*arguments):
        db.predictions.optimize("daily")
        return real(*arguments)

    monkeypatch.setattr(running, "_replace_all", late)
    assert ask(db, full=True).rows == 40
    assert len(everything(db)) == 40


def test_what_was_replaced_is_taken_away_when_it_is_old(db):
    declare(db, f"{DAILY} {SHORT}")
    ask(db)
    ask(db, start="2024-03-01", end="2024-03-02")
    root = root_of(db)
    assert db.predictions.vacuum("daily", apply=True).files == (), "it is too young"
    before, version = everything(db), delta.snapshot(root).version
    age(root, hours=3)
    planned = db.predictions.vacuum("daily")
    (gone,) = planned.files
    assert (root / gone[0]).stat().st_size == gone[1]
    done = db.predictions.vacuum("daily", "60 minutes", apply=True)
    assert (done.files, done.applied, done.held_by) == (planned.files, True, None)
    assert not (root / gone[0]).parent.exists(), "its folder too"
    assert everything(db) == before
    assert everything(db, f"VERSION AS OF {version}") == before
    error = fails(VersionGone, "1 of its 5 files were vacuumed", lambda: everything(db, "VERSION AS OF 5"))
    assert "'retention'" in str(error)
    fails(VersionGone, "Version 1", lambda: db.table("daily", version=1))
    assert db.predictions.vacuum("daily", apply=True).files == ()
    assert windows_after(db) == 5


def windows_after(db) -> int:
    """The catalog takes in what a vacuum commits, and the next refresh goes on from there."""
    ask(db, start="2024-03-05", end="2024-03-06")
    held = db.predictions.desk.tables.get("daily")
    assert held.synced_version == delta.snapshot(root_of(db)).version
    return len(db.predictions.desk.tables.windows("daily"))


def test_what_failed_runs_have_left(db):
    declare(db, f"{DAILY} AUDIT (between(id, 0, 7)) {SHORT}")
    with pytest.raises(sqlml.SqlmlError):
        ask(db, keep_failed=True)
    root = root_of(db)
    died = root / "data/sqlml_window=20240301T000000_20240302T000000/sqlml_run=died"
    (died / "_temporary").mkdir(parents=True)
    for name in ("x.parquet", "_SUCCESS", "_temporary/y.parquet"):
        (died / name).write_bytes(b"12345")
    assert db.predictions.vacuum("daily", apply=True).files == ()
    age(root, hours=3)
    done = db.predictions.vacuum("daily", apply=True)
    assert (done.quarantined, sum(path.startswith(died.relative_to(root).as_posix()) for path, _ in done.files)) == (
        1,
        3,
    )
    assert not died.exists()
    assert list((root / "_quarantine").iterdir()) == []
    assert len(everything(db)) == 8


def test_a_retention_that_is_too_short(db):
    declare(db, f"{DAILY} OPTIONS (retention = '90 days')")
    error = fails(
        RetentionTooShort, "keeps its older versions for 90 days", lambda: db.predictions.vacuum("daily", "89 days")
    )
    assert "OPTIONS (retention = '89 days')" in str(error)
    fails(BadInterval, "Name its unit", lambda: db.predictions.vacuum("daily", "89"))
    assert db.predictions.vacuum("daily", "100 days").hours == 2400
    declare(db, name="plain")
    assert db.predictions.vacuum("plain").hours == 720


def test_what_a_running_refresh_may_read_stays(db):
    """Of any table: it may read this one."""
    declare(db, f"{DAILY} {SHORT}")
    declare(db, "", name="other")
    ask(db)
    ask(db, start="2024-03-01", end="2024-03-02")
    age(root_of(db), hours=3)
    tables = db.predictions.desk.tables
    begun = _record(tables.get("other"), Request())
    now = datetime.now(UTC)
    tables.begin_refresh(_since(begun, now - timedelta(hours=5)))
    held = db.predictions.vacuum("daily")
    assert (held.files, held.hours, held.held_by) == ((), 7, begun.refresh_id)
    tables.finish_refresh(begun.refresh_id, "done")
    assert len(db.predictions.vacuum("daily").files) == 1


def _since(begun, moment):
    return replace(begun, started_at=moment)


def test_hours_to_keep(db):
    declare(db)
    now = datetime(2024, 1, 2, tzinfo=UTC)
    begun = _since(_record(db.predictions.desk.tables.get("daily"), Request()), now - timedelta(hours=30))
    assert hours_to_keep(timedelta(days=30), [begun], now) == (720, None)
    assert hours_to_keep(timedelta(hours=2), [begun], now) == (30 + MARGIN // timedelta(hours=1), begun.refresh_id)


UPKEEP = """
import sys, time, sqlml
with sqlml.connect(project=sys.argv[1]) as db:
    print("ready", flush=True)
    for _ in range(12):
        db.predictions.optimize("daily")
        db.predictions.vacuum("daily", apply=True)
    print("done", flush=True)
"""


def test_a_table_is_read_and_refreshed_while_another_process_tidies_it(project, world, source):
    with sqlml.connect(project=project) as db:
        fill(db, source)
        declare(db, f"{DAILY} KEY (id) {SHORT}")
        ask(db)
        command = [sys.executable, "-c", UPKEEP, str(project)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            count = 0
            while process.poll() is None or count < 3:
                ask(db, start="2024-03-02", end="2024-03-04")
                assert db.sql("SELECT count(*), count(DISTINCT id) FROM predictions.daily").fetchall() == [(40, 40)]
                count += 1
            assert "done" in process.stdout.read()
        assert process.returncode == 0
        small.same_scores(world, small.frame(db), source)
