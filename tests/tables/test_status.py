"""What is missing, stale or failed of a table, told as data."""

from __future__ import annotations

import shutil

import pytest

import sqlml
from sqlml.errors import BadRefresh, TableMissing, UnknownTable
from tables.small import DAILY, QUERY, ask, declare, fails, root_of, utc

LAST = "2024-03-05T00:00:00/2024-03-06T00:00:00"


def test_a_table_that_was_never_filled(db):
    declare(db)
    held = db.predictions.status("DAILY")
    assert (held.name, held.engine, held.published, held.rows, held.published_at) == ("daily", "duckdb", 0, 0, None)
    assert [one[:10] for one in held.missing] == [f"2024-03-0{i}" for i in range(1, 6)]
    assert (held.stale, held.failed, held.next_slot, held.problem, held.running) == ({}, (), None, None, ())
    ask(db)
    held = db.predictions.status("daily")
    assert (held.published, held.rows, held.missing) == (5, 40, ())
    assert held.published_at is not None


def test_a_table_without_windows(db):
    declare(db, "")
    assert db.predictions.status("daily").missing == ("all",)
    ask(db)
    assert db.predictions.status("daily").missing == ()


def test_what_a_refresh_leaves_for_the_next_one_is_missing_too(db):
    declare(db, f"{DAILY} OPTIONS (catch_up = '2')")
    ask(db)
    assert len(db.predictions.status("daily").missing) == 3
    declare(db, f"{DAILY} OPTIONS (catch_up = 'latest')", name="latest")
    ask(db, "latest")
    assert len(db.predictions.status("latest").missing) == 4


def test_windows_that_are_not_over_are_not_missing(db):
    declare(db)
    assert len(db.predictions.status("daily", utc(2024, 3, 3, 12)).missing) == 2


def test_when_it_is_next_due(db):
    declare(db, f"{DAILY} SCHEDULE CRON '30 2 * * *' AT TIME ZONE 'Europe/Berlin'")
    assert db.predictions.status("daily", utc(2024, 3, 30, 12)).next_slot == utc(2024, 3, 31, 1), "at the jump"
    declare(db, f"{DAILY} SCHEDULE CRON '0 3 * * *'", name="plain")
    assert db.predictions.status("plain", utc(2024, 3, 30, 12)).next_slot == utc(2024, 3, 31, 3)


def test_a_query_or_a_version_that_has_changed(db):
    declare(db)
    ask(db)
    db.register("risk", "models:/risk/2", replace=True)
    assert set(db.predictions.status("daily").stale.values()) == {"risk 1 -> 2"}
    declare(db, query=f"{QUERY} WHERE id > 0", new=False)
    assert set(db.predictions.status("daily").stale.values()) == {"the query has changed"}
    ask(db, stale=True)
    assert db.predictions.status("daily").stale == {}


def test_a_table_that_is_to_be_rebuilt(db):
    declare(db)
    ask(db)
    declare(db, "INCREMENTAL ON ts EVERY INTERVAL '2' DAY", new=False)
    held = db.predictions.status("daily")
    assert (held.needs_full, held.published, held.problem) == (True, 5, None)
    assert len(held.missing) == 3
    ask(db, full=True)
    held = db.predictions.status("daily")
    assert (held.needs_full, held.missing, held.stale) == (False, (), {})


def test_a_failure_is_told_until_it_is_healed(db):
    declare(db, f"{DAILY} AUDIT (between(id, 0, 31))")
    with pytest.raises(sqlml.SqlmlError):
        ask(db)
    (failed,) = db.predictions.status("daily").failed
    assert failed.window == LAST
    assert "between(id, 0, 31)" in str(failed.error)
    declare(db, new=False)
    assert db.predictions.status("daily").failed, "declaring it anew heals nothing"
    ask(db, full=True)
    assert db.predictions.status("daily").failed == (), "it was published as a part of the whole"


def test_failures_of_a_dropped_table_are_none_of_the_new_one_s(db):
    declare(db, f"{DAILY} AUDIT (max_null_fraction(risk, 0), min_rows(9))")
    with pytest.raises(sqlml.SqlmlError):
        ask(db)
    db.predictions.drop("daily")
    declare(db)
    assert db.predictions.status("daily").failed == ()


def test_who_is_at_work(db):
    declare(db)
    seen = []
    ask(db, progress=lambda _: seen.append(db.predictions.status("daily").running))
    assert [len(one) for one in seen] == [1] * 5
    assert db.predictions.status("daily").running == ()


def test_a_range_never_takes_the_place_of_the_whole(db):
    declare(db)
    ask(db)
    for what in ("full", "stale"):
        fails(BadRefresh, "choose one", lambda what=what: db.refresh("daily", start=1, end=2, **{what: True}))
    assert db.predictions.status("daily").rows == 40


def test_why_it_can_t_be_told(db):
    declare(db)
    ask(db)
    db.sql("ALTER TABLE events RENAME COLUMN b TO c")
    held = db.predictions.status("daily")
    assert "'b'" in held.problem or '"b"' in held.problem
    assert (held.published, held.missing, held.stale) == (5, (), {})
    fails(UnknownTable, "Did you mean 'daily'", lambda: db.predictions.status("dialy"))


def test_what_a_table_is(db):
    clauses = f"PARTITIONED BY (place) {DAILY} KEY (id) AUDIT (min_rows(1)) OPTIONS (comment = 'odd; one')"
    declare(db, clauses, QUERY.replace("a, b", "a, b, place"))
    about = db.predictions.about("daily")
    assert (about["partitioned_by"], about["key"], about["audits"]) == (["place"], ["id"], ["min_rows(1)"])
    assert (about["rows"], about["models"], about["version"], about["published_at"]) == (0, {}, 0, None)
    ask(db)
    about = db.predictions.about("daily")
    assert (about["rows"], about["windows"], about["models"]) == (40, 5, {"risk": "risk 1"})
    assert about["options"] == {"comment": "odd; one"}
    found = db.predictions.files("daily")
    assert sum(one.rows for one in found) == 40
    assert {one.window for one in found} == set(db.predictions.desk.tables.windows("daily"))
    runs = db.sql("SELECT DISTINCT _run_id FROM predictions.daily").fetchall()
    assert {one.run_id for one in found} == {run for (run,) in runs}


def test_a_table_whose_folder_is_gone(db):
    declare(db)
    shutil.rmtree(root_of(db))
    fails(TableMissing, "no table at", lambda: db.predictions.about("daily"))
    fails(TableMissing, "no table at", lambda: db.predictions.files("daily"))
    assert db.predictions.status("daily").published == 0
