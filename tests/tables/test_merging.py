"""With KEY, rows take the place of those with the same key, wherever these are."""

from __future__ import annotations

import pandas as pd
import pytest

import sqlml
from sqlml.errors import AuditFailed, BadDeclaration, RefreshFailed
from sqlml.tables import delta
from tables import small
from tables.small import DAILY, ask, commits, declare, fails, fill, frame, root_of, same_scores, windows

KEYED = f"{DAILY} KEY (id)"


def ids(db: sqlml.Session) -> list[int]:
    return frame(db).id.tolist()


def once(db: sqlml.Session, name: str = "daily") -> None:
    """What a table of keys promises whoever wrote it: each key is there once, each generation was published once."""
    assert db.sql(f"SELECT count(*) - count(DISTINCT id) FROM predictions.{name}").fetchall() == [(0,)]
    made = [(one["app_id"], one["number"]) for one in commits(root_of(db, name))]
    assert len(set(made)) == len(made)


def test_rows_are_merged_by_key(db, world, source):
    declare(db, KEYED)
    assert ask(db).rows == len(source)
    db.sql("UPDATE events SET a = a + 1 WHERE id IN (0, 3)")
    db.sql("DELETE FROM events WHERE id = 1")
    fill(db, late := small.events(1, start_id=500))
    ask(db, start="2024-03-01", end="2024-03-02")
    changed = source.assign(a=source.a + source.id.isin([0, 3]))
    same_scores(world, frame(db), pd.concat([changed, late]))
    assert frame(db).a.tolist() == [*changed.a, *late.a], "a row that the source has no more stays"
    once(db)


def test_a_row_moves_to_another_window(db, world, source):
    """Its old row goes out of a window that isn't computed; the other rows of that window stay as they were."""
    declare(db, KEYED)
    ask(db)
    before = frame(db)
    db.sql("UPDATE events SET ts = TIMESTAMP '2024-03-05 12:00' WHERE id = 0")
    ask(db, start="2024-03-05", end="2024-03-06")
    held = frame(db)
    same_scores(world, held, source)
    assert held.ts[0] == pd.Timestamp("2024-03-05 12:00")
    stayed = held.ts < "2024-03-05"
    pd.testing.assert_frame_equal(held[stayed], before[before.id.isin(held[stayed].id)])
    once(db)


def test_twice_gives_the_same_table(db):
    declare(db, KEYED)
    ask(db)
    columns = "SELECT * EXCLUDE (_scored_at, _run_id) FROM predictions.daily ORDER BY id"
    before = frame(db, columns)
    for _ in range(2):
        ask(db, start="2024-03-01", end="2024-03-06")
        pd.testing.assert_frame_equal(frame(db, columns), before)
    once(db)


def test_without_windows(db, world, source):
    declare(db, "KEY (id)")
    ask(db)
    db.sql("DELETE FROM events WHERE id > 3")
    fill(db, late := small.events(1, start_id=500))
    ask(db)
    same_scores(world, frame(db), pd.concat([source, late]))
    once(db)


def test_keys_of_several_columns_and_of_nothing(db):
    """A NULL is the same key as another NULL."""
    query = "SELECT n // 100 AS day, nullif(n % 100, 7) AS number, ts, id, risk_score(e) AS risk FROM events AS e"
    declare(db, f"{DAILY} KEY (day, NUMBER)", query)
    ask(db)
    db.sql("UPDATE events SET id = id + 1000")
    for _ in range(2):
        ask(db, start="2024-03-01", end="2024-03-03")
        assert ids(db) == [*range(16, 40), *range(1000, 1016)]
    assert db.sql("SELECT count(*) FROM predictions.daily WHERE number IS NULL").fetchall() == [(5,)]


def test_a_key_twice_in_a_window(db, world, source):
    declare(db, KEYED)
    ask(db)
    db.sql("UPDATE events SET id = 8 WHERE id = 9")
    fails(
        AuditFailed, r"for \[2024-03-02.*unique\(id\): 1 of 8 rows are there already.*Nothing was published",
        lambda: ask(db, start="2024-03-02", end="2024-03-03"),
    )  # fmt: skip
    same_scores(world, frame(db), source)


def test_keys_of_each_type(db):
    """The join is by equality, whatever the type: NaN is itself, and so are rows and lists."""
    query = """
        SELECT ts, id, [id // 2, NULL] AS k1, {'x': id % 2, 'y': NULL::DATE} AS k2,
            CASE WHEN id = 0 THEN 'nan'::DOUBLE ELSE id / 3 END AS k3, CAST(id AS VARCHAR) AS k4,
            risk_score(e) AS risk FROM events AS e
    """
    declare(db, f"{DAILY} KEY (k1, k2, k3, k4)", query)
    ask(db)
    ask(db, start="2024-03-01", end="2024-03-06")
    assert ids(db) == list(range(40))


def test_no_such_key(db):
    fails(BadDeclaration, "no column 'idd', which KEY names.*Did you mean 'id'", lambda: declare(db, "KEY (idd)"))


def test_side_by_side(db, world, source):
    """Windows at a time, each of which takes rows out of files that the others rewrite as well."""
    declare(db, "KEY (id)")
    ask(db)
    declare(db, KEYED, new=False)
    ask(db, full=True)
    db.sql("UPDATE events SET ts = ts + INTERVAL 1 DAY, a = -a")
    declare(db, f"{KEYED} AUDIT (min_rows(1))", new=False)
    ask(db, start="2024-03-02", end="2024-03-07", jobs=4)
    moved = source.assign(a=-source.a)
    same_scores(world, frame(db), moved)
    assert frame(db).ts.tolist() == (source.ts + pd.Timedelta(days=1)).tolist()
    once(db)


def test_side_by_side_in_one_file(db, world, source):
    """All rows lie in one file, which each of the windows rewrites: whoever comes second begins again."""
    declare(db, "KEY (id)")
    ask(db)
    table = delta.snapshot(root_of(db))
    assert len(table.files) == 1
    query = small.QUERY
    db.sql("DROP PREDICTION TABLE daily")
    declare(db, "INCREMENTAL ON n EVERY 100 KEY (id)", query.replace("id, ts", "id % 8 AS id, n, ts"))
    ask(db, jobs=4)
    assert ids(db) == list(range(8))
    once(db)


def test_full_keeps_the_last_window(db):
    """Of a key that several windows have, the row of the last one stays, as it would in their order."""
    query = "SELECT id % 12 AS id, ts, a, risk_score(e) AS risk FROM events AS e"
    declare(db, KEYED, query)
    ask(db)
    columns = "SELECT id, ts, a, risk FROM predictions.daily ORDER BY id"
    in_order = frame(db, columns)
    assert ids(db) == list(range(12))
    ask(db, full=True)
    pd.testing.assert_frame_equal(frame(db, columns), in_order)
    ask(db, start="2024-03-01", end="2024-03-06")
    pd.testing.assert_frame_equal(frame(db, columns), in_order)
    once(db)


@pytest.mark.parametrize("full", [False, True])
def test_in_partitions(db, full):
    query = "SELECT id % 12 AS id, ts, place, a, risk_score(e) AS risk FROM events AS e"
    declare(db, f"PARTITIONED BY (place) {KEYED}", query)
    ask(db)
    db.sql("UPDATE events SET place = 'a/b %20=' WHERE id = 39")
    ask(db, full=full, **({} if full else {"start": "2024-03-05", "end": "2024-03-06"}))
    held = frame(db, "SELECT id, place FROM predictions.daily ORDER BY id")
    assert held.id.tolist() == list(range(12))
    assert held.place.tolist() == ["north", "south", "north", "a/b %20=", *["north", "south"] * 4]


def test_a_window_that_fails_leaves_the_keys(db, world, source):
    declare(
        db, KEYED, small.QUERY.replace("a, b", "CASE WHEN id = 20 AND b > 90 THEN error('no 20') ELSE a END AS a, b")
    )
    ask(db)
    db.sql("UPDATE events SET a = 0, b = CASE WHEN id = 20 THEN 99 ELSE b END")
    fails(RefreshFailed, "no 20", lambda: ask(db, start="2024-03-01", end="2024-03-06"))
    assert (frame(db).a == 0).tolist() == [True] * 16 + [False] * 24
    db.sql("UPDATE events SET b = 0")
    assert len(windows(ask(db, start="2024-03-01", end="2024-03-06", resume=True))) == 3
    assert (frame(db).a == 0).all()
