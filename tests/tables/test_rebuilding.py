"""A table is rebuilt as a whole: what it was stays readable until the new one takes its place, in one commit."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from sqlml.errors import BadRefresh
from tables import small
from tables.small import DAY_OF, ask, declare, fails, fill, frame, same_scores, whole, windows
from tables.test_refresh import days


def test_full_computes_everything_in_one_commit(db, world, source):
    declare(db)
    ask(db)
    fill(db, late := small.events(2, start_id=500))
    version = db.predictions.table("daily").version
    done = ask(db, full=True)
    assert [(run.window_key, run.rows_out) for run in done.runs] == [("full", len(source) + len(late))]
    assert db.predictions.table("daily").version == version + 1
    same_scores(world, frame(db), pd.concat([source, late]))
    whole(db, column=DAY_OF)


def test_windows_are_computed_anew_after_a_full_refresh(db, world, source):
    declare(db)
    ask(db)
    ask(db, full=True)
    db.sql("DELETE FROM events WHERE id = 0")
    assert windows(ask(db, start="2024-03-01", end="2024-03-02")) == days(1)
    same_scores(world, frame(db), source[1:])
    ask(db, full=True)
    ask(db, start="2024-03-01", end="2024-03-02")
    fill(db, source[:1])
    assert windows(ask(db, start="2024-03-01", end="2024-03-02")) == days(1)
    same_scores(world, frame(db), source)


def test_a_window_that_a_full_refresh_took_away_comes_back(db, world, source):
    declare(db)
    ask(db)
    db.sql("DELETE FROM events WHERE ts < TIMESTAMP '2024-03-03'")
    ask(db, full=True)
    same_scores(world, frame(db), source[source.ts >= "2024-03-03"])
    fill(db, source[source.ts < "2024-03-03"])
    assert windows(ask(db)) == days(2)
    same_scores(world, frame(db), source)
    whole(db, column=DAY_OF)


def test_a_table_declared_with_other_columns_is_rebuilt(db, world, source):
    declare(db)
    ask(db)
    other = (
        "SELECT id, ts, n, CAST(ts AS TIMESTAMP) + INTERVAL 1 DAY AS next, a, b, risk_score(e) AS risk FROM events AS e"
    )
    declare(db, query=other, new=False)
    assert "next" not in frame(db), "until then the old rows are read"
    fails(BadRefresh, "REFRESH PREDICTION TABLE daily FULL rebuilds it", lambda: ask(db))
    ask(db, full=True)
    same_scores(world, frame(db), source)
    assert frame(db).next.tolist() == (source.ts + timedelta(days=1)).tolist()
    assert windows(ask(db)) == []


def test_a_table_gets_its_first_column_of_local_time(db, source):
    """Delta has to be told of such a column."""
    declare(db, "", "SELECT id, risk_score(e) AS risk FROM events AS e")
    ask(db)
    declare(db, "", "SELECT id, ts, [ts] AS several, risk_score(e) AS risk FROM events AS e", new=False)
    ask(db, full=True)
    assert frame(db).ts.tolist() == source.ts.tolist()
    assert str(db.predictions.table("daily").schema.field("ts").type) == "timestamp[us]"
    declare(db, "", "SELECT id, risk_score(e) AS risk FROM events AS e", new=False)
    ask(db, full=True)
    assert "ts" not in frame(db)


def test_a_table_with_other_windows_is_rebuilt(db, world, source):
    declare(db)
    ask(db)
    declare(db, "INCREMENTAL ON ts EVERY INTERVAL '2' DAY START TIMESTAMP '2024-03-01'", new=False)
    fails(BadRefresh, "REFRESH PREDICTION TABLE daily FULL", lambda: ask(db))
    ask(db, full=True)
    same_scores(world, frame(db), source)
    keys = [key for (key,) in db.sql("SELECT window_key[:10] FROM sqlml.windows ORDER BY 1").fetchall()]
    assert keys == ["2024-03-01", "2024-03-03", "2024-03-05"]
    assert windows(ask(db)) == []


def test_a_table_with_windows_becomes_one_without(db, world, source):
    declare(db)
    ask(db)
    declare(db, "", new=False)
    ask(db, full=True)
    same_scores(world, frame(db), source)
    fill(db, late := small.events(1, start_id=500))
    ask(db)
    same_scores(world, frame(db), pd.concat([source, late]))
    whole(db)
