"""Rows are held against the declaration before anybody can read them; rows that fail are not published."""

from __future__ import annotations

import time

import duckdb
import pytest

from sqlml.engines.duckdb import DuckDBEngine
from sqlml.errors import AuditFailed, BadDeclaration, RefreshFailed
from sqlml.tables.layout import QUARANTINE
from tables import small
from tables.small import DAILY, ask, declare, fails, frame, root_of, same_scores, windows

SEEN = [day * 100 + i for day in range(2) for i in range(8)]
# What a rule is broken by, on 2024-03-02 alone: rows 8 to 15.
AUDITS = {
    "not_null(risk)": ("a = CASE WHEN id = 9 THEN NULL ELSE a END", "not_null.risk.: 1 of 8 rows are NULL"),
    "between(a, -10, 10)": ("a = 11", "8 of 8 rows are not"),
    "between(a, -10.5, 1e1)": ("a = CASE WHEN id = 9 THEN 'nan'::DOUBLE ELSE a END", "1 of 8 rows are not"),
    "min_rows(8)": ("id = CASE WHEN id = 9 THEN NULL ELSE id END", "7 rows"),
    "max_null_fraction(a, 0.25)": ("a = CASE WHEN id < 11 THEN NULL ELSE a END", "0.375 of 8 rows are NULL"),
    "unique(id)": ("id = CASE WHEN id < 11 THEN 8 ELSE id END", "2 of 8 rows are there already"),
    "unique(place, b)": ("b = 0, place = 'x'", "7 of 8 rows are there already"),
    "accepted_values(place, 'north', 'south')": (
        "place = CASE WHEN id = 9 THEN 'x''y' ELSE place END",
        "1 of 8 rows are not",
    ),
    f"accepted_values(n, {', '.join(map(str, SEEN))})": ("n = -1", "8 of 8 rows are not"),
}
WIDE = "SELECT id, ts, place, n, a, b, risk_score(e) AS risk FROM events AS e WHERE id IS NOT NULL"


@pytest.mark.parametrize("rule", AUDITS)
@pytest.mark.parametrize("keep", [False, True])
def test_each_rule(db, world, source, rule, keep):
    broken, said = AUDITS[rule]
    declare(db, f"{DAILY} AUDIT ({rule})", WIDE)
    assert len(windows(ask(db, start="2024-03-01", end="2024-03-03"))) == 2
    db.sql(f"UPDATE events SET {broken} WHERE ts >= TIMESTAMP '2024-03-02' AND ts < TIMESTAMP '2024-03-03'")
    error = fails(
        AuditFailed, f"The audit of 'daily' for .2024-03-02.* failed: .*{said}.* Nothing was published",
        lambda: ask(db, start="2024-03-02", end="2024-03-03", keep_failed=keep),
    )  # fmt: skip
    same_scores(world, frame(db), source[:16])
    (run,) = db.sql("SELECT run_id, outcome, error, audits FROM sqlml.runs WHERE outcome <> 'published'").fetchall()
    assert (run[1], run[2]) == ("failed", str(error))
    assert '"passed": false' in run[3]
    root = root_of(db)
    kept = [path.relative_to(root).as_posix() for path in root.rglob("*.parquet") if run[0] in path.as_posix()]
    assert all(path.startswith(f"{QUARANTINE}/{run[0]}/") for path in kept)
    assert bool(kept) == keep == (f"kept in '{root / QUARANTINE / run[0]}'" in str(error))
    if keep:
        there = f"SELECT count(*) FROM '{root}/{QUARANTINE}/{run[0]}/**/*.parquet'"
        assert duckdb.sql(there).fetchall() == [(7 if rule.startswith("min_rows") else 8,)]


def test_what_passes_is_told_too(db):
    declare(db, f"{DAILY} AUDIT (between(risk, 0, 1), min_rows(1))")
    (*_, run) = ask(db).runs
    assert run.audits == (
        {"rule": "between(risk, 0, 1)", "passed": True, "found": "0 of 8 rows are not"},
        {"rule": "min_rows(1)", "passed": True, "found": "8 rows"},
    )


def test_a_window_without_rows(db):
    """Nothing is wrong with its rows; that there are some must be said."""
    db.sql("DELETE FROM events WHERE ts >= TIMESTAMP '2024-03-02' AND ts < TIMESTAMP '2024-03-03'")
    declare(db, f"{DAILY} AUDIT (not_null(risk), max_null_fraction(a, 0), between(risk, 0, 1), unique(id))")
    assert len(windows(ask(db))) == 5
    declare(db, f"{DAILY} AUDIT (min_rows(1))", new=False)
    fails(AuditFailed, "min_rows.1.: 0 rows", lambda: ask(db, start="2024-03-02", end="2024-03-03"))


def test_the_windows_before_stay_and_the_rest_is_resumed(db, world, source):
    db.sql("UPDATE events SET a = 11 WHERE id = 17")
    declare(db, f"{DAILY} AUDIT (between(a, -10, 10))")
    fails(RefreshFailed, "3 of 5 windows .*The audit of 'daily'", lambda: ask(db))
    same_scores(world, frame(db), source[:16])
    db.sql(f"UPDATE events SET a = {source.a[17]} WHERE id = 17")
    ask(db)
    same_scores(world, frame(db), source)


def test_side_by_side_each_window_is_held_against_its_own_rows(db, monkeypatch):
    """One window of many is wrong: it, and no other one, is not published."""
    show = DuckDBEngine.show_files

    def shown_slowly(self, *args, **kwargs):
        found = show(self, *args, **kwargs)
        time.sleep(0.02)
        return found

    monkeypatch.setattr(DuckDBEngine, "show_files", shown_slowly)
    rows = small.events(12)
    db.sql("DELETE FROM events")
    small.fill(db, rows)
    db.sql("UPDATE events SET a = 11 WHERE id = 60")
    declare(db, f"{DAILY} AUDIT (between(a, -10, 10), min_rows(8), unique(id))")
    for _ in range(5):
        wrong = "The audit of 'daily' for .2024-03-08"
        fails(RefreshFailed, wrong, lambda: ask(db, start="2024-03-01", end="2024-03-13", jobs=4))
        assert db.sql("SELECT count(*) FROM predictions.daily WHERE a = 11").fetchall() == [(0,)]
    failed = db.sql("SELECT window_from FROM sqlml.runs WHERE outcome = 'failed'").fetchall()
    assert failed == [("2024-03-08T00:00:00",)] * 5


def test_a_full_refresh_publishes_all_or_nothing(db, world, source):
    declare(db, f"{DAILY} AUDIT (between(a, -10, 10))")
    ask(db)
    db.sql("UPDATE events SET a = 11 WHERE id = 17")
    error = fails(AuditFailed, "for .2024-03-03", lambda: ask(db, full=True, keep_failed=True))
    same_scores(world, frame(db), source)
    held = duckdb.sql(f"SELECT count(*) FROM '{str(error).split(chr(39))[3]}/**/*.parquet'").fetchall()
    assert held == [(24,)], "the windows up to the one that failed"


def test_in_partitions(db, world, source):
    declare(db, f"PARTITIONED BY (place) {DAILY} AUDIT (accepted_values(place, 'north'), not_null(place))", WIDE)
    fails(AuditFailed, "4 of 8 rows are not", lambda: ask(db, start="2024-03-01", end="2024-03-02"))
    assert frame(db).empty


def test_odd_names_in_audits(db):
    name = '"it\'s ""odd"" here"'
    declare(db, f"{DAILY} AUDIT (between({name}, 0, 0.5))", f"SELECT id, ts, risk_score(e) AS {name} FROM events AS e")
    fails(RefreshFailed, "rows are not", lambda: ask(db))


@pytest.mark.parametrize("rule", ["not_null(nope)", "unique(id, nope)", "max_null_fraction(nope, 0.5)"])
def test_a_rule_of_a_column_that_is_not_there(db, rule):
    fails(BadDeclaration, "no column 'nope', which AUDIT names", lambda: declare(db, f"AUDIT ({rule})"))


def test_many_rows(db):
    """Rules are counted by the engine, over rows of more than one file."""
    db.sql("CREATE TABLE many AS SELECT range AS id, range / 1e6 AS a, 0.0 AS b FROM range(1000000)")
    declare(
        db,
        "AUDIT (unique(id), between(risk, 0, 1), min_rows(1000000))",
        "SELECT id, risk_score(m) AS risk FROM many AS m",
    )
    assert ask(db).rows == 1_000_000
    db.sql("INSERT INTO many VALUES (5, 0, 0)")
    fails(AuditFailed, "1 of 1,000,001 rows are there already", lambda: ask(db))
    assert frame(db, "SELECT count(*) AS n FROM predictions.daily").n[0] == 1_000_000
