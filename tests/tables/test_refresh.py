"""A refresh computes what is missing, window by window, and what is there already comes out the same."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from sqlml.errors import BadDeclaration, BadRefresh, BadWindow, RefreshFailed
from tables import small
from tables.small import DAY_OF, QUERY, ask, declare, fails, fill, frame, same_scores, utc, whole, windows


def days(count: int, first: int = 1) -> list[str]:
    """The starts of windows of a day, as keys have them."""
    return [f"2024-03-{first + i:02}T00:00:00" for i in range(count)]


def test_each_window_is_computed_once(db, world, source):
    declare(db)
    assert windows(ask(db)) == days(5)
    same_scores(world, frame(db), source)
    assert windows(ask(db)) == []
    whole(db, column=DAY_OF)


def test_a_table_without_windows_is_replaced_as_a_whole(db, world, source):
    declare(db, "")
    assert [run.window_key for run in ask(db).runs] == ["all"]
    same_scores(world, frame(db), source)
    db.sql("DELETE FROM events WHERE id >= 10")
    assert ask(db).rows == 10
    same_scores(world, frame(db), source[:10])
    whole(db)
    fails(BadRefresh, "no INCREMENTAL clause", lambda: ask(db, start="2024-03-01", end="2024-03-02"))


def test_rows_say_who_made_them(db):
    declare(db)
    begun = datetime.now().astimezone()
    done = ask(db)
    held = frame(
        db,
        "SELECT DISTINCT date_trunc('day', ts) AS day, _run_id, _model, _scored_at FROM predictions.daily ORDER BY 1",
    )
    assert held._run_id.tolist() == [run.run_id for run in done.runs]
    assert held._scored_at.tolist() == [pd.Timestamp(run.started_at) for run in done.runs]
    assert held._scored_at.min() >= pd.Timestamp(begun)
    assert held._model.tolist() == [{"risk": {"model": "risk", "version": "1"}}] * 5


def test_the_probabilities_of_each_class(db, world, source):
    declare(db, query="SELECT id, ts, a, b, risk_proba(e) AS p, risk(e) AS late FROM events AS e")
    ask(db)
    held = frame(db)
    wanted = world.models[0].predict_proba(source[["a", "b"]])
    classes = [str(label) for label in world.models[0].classes_]
    for found, row in zip(held.p, wanted, strict=True):
        assert {str(key).lower(): value for key, value in dict(found).items()} == pytest.approx(
            dict(zip([label.lower() for label in classes], row, strict=True))
        )
    assert held.late.tolist() == world.models[0].predict(source[["a", "b"]]).tolist()


KINDS = {
    "ts": ("INTERVAL '1' DAY", days(5)),
    "CAST(ts AS DATE)": ("INTERVAL '1' DAY", [f"2024-03-0{i}" for i in range(1, 6)]),
    "CAST(n AS INTEGER)": ("100", ["0", "100", "200", "300", "400"]),
    "n": ("250", ["0", "250"]),
    "n - 200": ("100", ["-200", "-100", "0", "100", "200"]),
    "timezone('UTC', ts)": ("INTERVAL '1' DAY", [f"{day}Z" for day in days(5)]),
}


@pytest.mark.parametrize("column", KINDS)
def test_windows_of_each_type(db, world, source, column):
    every, wanted = KINDS[column]
    declare(
        db, f"INCREMENTAL ON w EVERY {every}", f"SELECT id, {column} AS w, a, b, risk_score(e) AS risk FROM events AS e"
    )
    assert windows(ask(db)) == wanted
    same_scores(world, frame(db), source)
    last = wanted[-1:] if every.isdecimal() else []
    assert windows(ask(db)) == last, "of integers nobody knows whether the last window is whole"
    same_scores(world, frame(db), source)


def test_windows_are_whole_days_of_the_zone(db, world, source):
    """Midnight in Kolkata is half past six in the evening in UTC."""
    declare(
        db, f"{small.DAILY} SCHEDULE CRON '0 1 * * *' AT TIME ZONE 'Asia/Kolkata'",
        "SELECT id, timezone('UTC', ts) AS ts, a, b, risk_score(e) AS risk FROM events AS e",
    )  # fmt: skip
    found = windows(ask(db))
    assert found == ["2024-02-29T18:30:00Z", *(f"2024-03-0{i}T18:30:00Z" for i in range(1, 6))]
    same_scores(world, frame(db), source)


def test_windows_before_the_start_are_none(db, world, source):
    declare(db, f"{small.DAILY} START TIMESTAMP '2024-03-03 06:00:00'")
    assert windows(ask(db)) == [f"2024-03-0{i}T06:00:00" for i in (3, 4, 5)]
    same_scores(world, frame(db), source[source.ts >= "2024-03-03 06:00:00"])
    assert windows(ask(db, full=True)) == ["full"]
    same_scores(world, frame(db), source[source.ts >= "2024-03-03 06:00:00"])


def test_a_start_behind_all_rows(db):
    declare(db, f"{small.DAILY} START TIMESTAMP '2025-01-01'")
    assert ask(db).runs == ()
    assert len(frame(db)) == 0


def test_a_window_waits_until_it_is_over(db, world, source):
    declare(db)
    assert windows(ask(db, now=utc(2024, 3, 3, 12))) == days(2)
    assert windows(ask(db, now=utc(2024, 3, 4))) == days(1, 3)
    same_scores(world, frame(db), source[source.ts < "2024-03-04"])
    assert windows(ask(db, now=utc(2024, 2, 1))) == []


def test_now_is_the_clock_of_the_zone(db):
    """A column without a zone is of the table's: in New York the day ends at five in the morning, UTC."""
    declare(db, f"{small.DAILY} SCHEDULE CRON '0 1 * * *' AT TIME ZONE 'America/New_York'")
    assert windows(ask(db, now=utc(2024, 3, 2, 4, 59))) == []
    assert windows(ask(db, now=utc(2024, 3, 2, 5))) == days(1)


def test_a_lookback_takes_rows_that_come_late(db, world, source):
    declare(db, f"{small.DAILY} LOOKBACK INTERVAL '2' DAY")
    ask(db)
    late = small.events(5, start_id=1000)
    fill(db, late)
    assert windows(ask(db)) == days(2, 4)
    seen = pd.concat([source, late[late.ts >= "2024-03-04"]])
    same_scores(world, frame(db), seen)
    assert windows(ask(db, start="2024-03-01", end="2024-03-04")) == days(3)
    same_scores(world, frame(db), pd.concat([source, late]))
    whole(db, column=DAY_OF)


CATCH_UP = {"all": [days(5), []], "2": [days(2), days(2, 3), days(1, 5), []], "latest": [days(1, 5), []], "0": [[]]}


@pytest.mark.parametrize("policy", CATCH_UP)
def test_how_many_missing_windows_are_caught_up(db, policy):
    declare(db, f"{small.DAILY} OPTIONS (catch_up = '{policy}')")
    for wanted in CATCH_UP[policy]:
        assert windows(ask(db)) == wanted


def test_the_latest_alone_follows_the_clock(db):
    declare(db, f"{small.DAILY} LOOKBACK INTERVAL '1' DAY OPTIONS (catch_up = 'latest')")
    assert windows(ask(db, now=utc(2024, 3, 3))) == days(1, 2)
    assert windows(ask(db, now=utc(2024, 3, 3, 1))) == days(1, 2), "its lookback"
    assert windows(ask(db, now=utc(2024, 3, 6))) == days(1, 5), "what was missed stays out"


RANGES = {
    ("2024-03-02", "2024-03-04"): days(2, 2),
    ("2024-03-02 23:59:59", "2024-03-03 00:00:01"): days(2, 2),
    ("2024-03-05 12:00:00", "2024-03-05 13:00:00"): days(1, 5),
    ("2024-02-28", "2024-03-01"): ["2024-02-28T00:00:00", "2024-02-29T00:00:00"],
    ("2024-03-03", "2024-03-03"): [],
    ("2024-03-04", "2024-03-03"): [],
}


@pytest.mark.parametrize("bounds", RANGES)
def test_a_range_is_rounded_to_whole_windows(db, world, source, bounds):
    declare(db)
    db.sql(f"REFRESH PREDICTION TABLE daily FROM '{bounds[0]}' TO '{bounds[1]}'")
    found = [key.split("/")[0] for (key,) in db.sql("SELECT window_key FROM sqlml.runs ORDER BY started_at").fetchall()]
    assert found == RANGES[bounds]
    same_scores(world, frame(db), source[source.ts.dt.strftime("%Y-%m-%dT00:00:00").isin(found)])
    whole(db, column=DAY_OF)


@pytest.mark.parametrize(
    ("column", "bounds", "said"),
    [
        ("ts", ("1", "2"), "'1' is no window"),
        ("ts", ("TIMESTAMP '2024-03-01 00:00:00+02:00'", "TIMESTAMP '2024-03-02'"), "have no zone"),
        ("CAST(ts AS DATE)", ("TIMESTAMP '2024-03-01 10:00'", "DATE '2024-03-02'"), "it is a timestamp"),
        ("n", ("'x'", "'y'"), "it is no integer"),
    ],
)
def test_a_range_of_another_type(db, column, bounds, said):
    every = "100" if column == "n" else "INTERVAL '1' DAY"
    declare(db, f"INCREMENTAL ON w EVERY {every}", f"SELECT id, {column} AS w, risk_score(e) AS risk FROM events AS e")
    fails(BadWindow, said, lambda: db.sql(f"REFRESH PREDICTION TABLE daily FROM {bounds[0]} TO {bounds[1]}"))
    assert frame(db).empty


def test_a_range_again_gives_the_same_table(db):
    declare(db)
    ask(db)
    columns = "SELECT * EXCLUDE (_scored_at, _run_id) FROM predictions.daily ORDER BY id"
    before = frame(db, columns)
    again = ask(db, start="2024-03-01", end="2024-03-06")
    assert windows(again) == days(5)
    pd.testing.assert_frame_equal(frame(db, columns), before)
    assert set(frame(db)._run_id) == {run.run_id for run in again.runs}
    whole(db, column=DAY_OF)


def test_a_range_takes_out_what_is_gone(db, world, source):
    declare(db)
    ask(db)
    db.sql("DELETE FROM events WHERE ts >= TIMESTAMP '2024-03-02' AND ts < TIMESTAMP '2024-03-03'")
    done = ask(db, start="2024-03-02", end="2024-03-03")
    assert [(run.outcome, run.rows_out) for run in done.runs] == [("published", 0)]
    same_scores(world, frame(db), source[(source.ts < "2024-03-02") | (source.ts >= "2024-03-03")])


def test_rows_of_no_window(db, world, source):
    """A row whose moment isn't known is in no window, and not in the table."""
    db.sql("INSERT INTO events (id, a, b) VALUES (900, 0, 0)")
    declare(db)
    ask(db)
    same_scores(world, frame(db), source)
    ask(db, full=True)
    same_scores(world, frame(db), source)


@pytest.mark.parametrize("clauses", ["", small.DAILY])
@pytest.mark.parametrize("full", [False, True])
def test_an_empty_source(db, world, source, clauses, full):
    db.sql("DELETE FROM events")
    declare(db, clauses)
    assert ask(db, full=full).rows == 0
    assert frame(db).empty
    fill(db, source)
    assert ask(db, full=full).rows == len(source)
    same_scores(world, frame(db), source)
    db.sql("DELETE FROM events")
    assert ask(db, full=True).rows == 0
    assert frame(db).empty


def test_windows_without_rows_are_done(db, world, source):
    db.sql("DELETE FROM events WHERE ts >= TIMESTAMP '2024-03-02' AND ts < TIMESTAMP '2024-03-04'")
    declare(db)
    assert windows(ask(db)) == days(5)
    assert windows(ask(db)) == []
    same_scores(world, frame(db), source[(source.ts < "2024-03-02") | (source.ts >= "2024-03-04")])
    assert dict(db.sql("SELECT window_key[:10], rows FROM sqlml.windows").fetchall())["2024-03-02"] == 0


@pytest.mark.parametrize("strategy", ["kernel", "sql", "python"])
def test_each_way_of_answering(db, world, source, strategy):
    """Also of windows without rows, of which a model's library is never asked."""
    db.register("risk", "models:/risk@champion", strategy=strategy, replace=True)
    db.sql("DELETE FROM events WHERE ts >= TIMESTAMP '2024-03-02' AND ts < TIMESTAMP '2024-03-03'")
    declare(db)
    assert windows(ask(db)) == days(5)
    same_scores(world, frame(db), source[(source.ts < "2024-03-02") | (source.ts >= "2024-03-03")])


def test_several_windows_at_a_time(db, world, source):
    declare(db)
    done = ask(db, jobs=3)
    assert windows(done) == days(5), "told in the order of the windows"
    same_scores(world, frame(db), source)
    whole(db, column=DAY_OF)


NO_20 = QUERY.replace("a, b", "CASE WHEN id = 20 THEN error('no 20') ELSE a END AS a, b")


def test_a_window_that_fails_stops_the_rest(db, world, source):
    declare(db, query=NO_20)
    seen = []
    fails(
        RefreshFailed,
        "3 of 5 windows of 'daily' were not published; .*no 20",
        lambda: ask(db, progress=lambda run: seen.append(run.window_key)),
    )
    assert [key.split("/")[0] for key in seen] == days(2)
    same_scores(world, frame(db), source[source.ts < "2024-03-03"])
    outcomes = db.sql("SELECT outcome, error IS NULL FROM sqlml.runs ORDER BY started_at").fetchall()
    assert outcomes == [("published", True), ("published", True), ("failed", False)]
    db.sql("UPDATE events SET id = 2000 WHERE id = 20")
    assert windows(ask(db)) == days(3, 3)


def test_what_failed_of_a_range_is_resumed(db):
    declare(db, query=NO_20)
    bounds = {"start": "2024-03-01", "end": "2024-03-06"}
    fails(RefreshFailed, "no 20", lambda: ask(db, **bounds))
    db.sql("UPDATE events SET id = 2000 WHERE id = 20")
    assert windows(ask(db, **bounds, resume=True)) == days(3, 3)
    assert windows(ask(db, **bounds, resume=True)) == [], "nothing is missing of it"
    assert windows(ask(db, **bounds)) == days(5)
    other = {**bounds, "end": "2024-03-05"}
    assert windows(ask(db, **other, resume=True)) == days(4)


def test_what_the_catalog_says(db, source):
    declare(db)
    done = ask(db, start="2024-03-01", end="2024-03-03")
    (refresh,) = frame(db, "FROM sqlml.refreshes").to_dict("records")
    assert (refresh["refresh_id"], refresh["kind"], refresh["outcome"]) == (done.refresh_id, "range", "done")
    assert (refresh["range_from"], refresh["range_to"]) == ("2024-03-01", "2024-03-03")
    assert refresh["windows"] == 2
    runs = frame(db, "FROM sqlml.runs ORDER BY started_at").to_dict("records")
    assert [run["window_from"] for run in runs] == days(2)
    assert [run["window_to"] for run in runs] == days(2, 2)
    for run in runs:
        assert (run["refresh_id"], run["outcome"], run["engine"]) == (done.refresh_id, "published", "duckdb")
        assert (run["rows_in"], run["rows_out"], run["files"] >= 1, run["bytes"] > 0) == (8, 8, True, True)
        assert run["started_at"] <= run["finished_at"]
        assert '"version": "1"' in run["versions"]
    held = frame(db, "FROM sqlml.windows ORDER BY window_key")
    assert held.run_id.tolist() == [run["run_id"] for run in runs]
    assert held.rows.tolist() == [8, 8]
    assert held.commit_version.tolist() == [run["commit_version"] for run in runs]


def test_a_moment_of_the_schedule_is_answered_once(db):
    declare(db)
    moment = utc(2024, 3, 6, 3)
    first = ask(db, scheduled_for=moment, now=moment)
    assert windows(first) == days(5)
    again = ask(db, scheduled_for=moment, now=moment)
    assert (again.runs, again.done_by) == ((), first.refresh_id)


def test_integers_need_to_be_counted(db):
    fails(
        BadDeclaration,
        "say how many of them a window has",
        lambda: declare(db, "INCREMENTAL ON n", "SELECT n, risk(e) FROM events AS e"),
    )
