"""Values that are the names of folders are read back as they were, by DuckDB and by Delta's own library."""

from __future__ import annotations

import pytest

from sqlml.errors import EmptyPartition
from tables.small import DAILY, ask, declare, fails, frame, root_of, same_scores, windows

TEXTS = [
    *("plain", "50 %", "a/b", "a\\b", "x=y", "a b", "é", "😀", "'", '"', ".", "..", "_x", "NULL", "null", "true"),
    *("007", "1e5", "2024-01-01", "a:b?c#d", "+", "a\nb", "%2F", "{}", "*", "a&b", "~", "\x7f", " ", " x "),
]


def written(db, values: list[object], type_: str, clauses: str = "") -> None:
    """A table that is partitioned by a column of these values, a row each, in the order of `id`."""
    rows = [(i, value) for i, value in enumerate(values)]
    db.sql(f"CREATE OR REPLACE TABLE parts (id BIGINT, p {type_}, a DOUBLE, b DOUBLE, ts TIMESTAMP)")
    for row in rows:
        db.sql("INSERT INTO parts VALUES (?, ?, 0.5, 0.5, '2024-03-01')", list(row))
    declare(db, f"PARTITIONED BY (p) {clauses}", "SELECT id, p, ts, a, b, risk_score(t) AS risk FROM parts AS t")


def both(db, values: list[object]) -> None:
    """Read by either, each value is what it was."""
    stored = db.predictions.table("daily").to_arrow(["id", "p"]).to_pylist()
    assert [row["p"] for row in sorted(stored, key=lambda row: row["id"])] == values
    assert [p for (p,) in db.sql("SELECT p FROM predictions.daily ORDER BY id").fetchall()] == values


def test_texts(db):
    written(db, [*TEXTS, None], "VARCHAR")
    ask(db)
    both(db, [*TEXTS, None])
    ask(db)
    both(db, [*TEXTS, None])
    assert db.sql("SELECT id FROM predictions.daily WHERE p = 'a/b'").fetchall() == [(2,)]
    assert db.sql("SELECT id FROM predictions.daily WHERE p IS NULL").fetchall() == [(len(TEXTS),)]


@pytest.mark.parametrize("clauses", ["KEY (id)", DAILY])
def test_texts_are_replaced(db, clauses):
    written(db, [*TEXTS, None], "VARCHAR", clauses)
    ask(db)
    db.sql("UPDATE parts SET p = p || '/'")
    ask(db, **({"start": "2024-03-01", "end": "2024-03-02"} if clauses == DAILY else {}))
    both(db, [*(f"{text}/" for text in TEXTS), None])
    assert windows(ask(db, full=True)) == ["full"]
    both(db, [*(f"{text}/" for text in TEXTS), None])


def test_a_text_that_would_be_read_as_null(db):
    written(db, ["x", ""], "VARCHAR")
    fails(EmptyPartition, "'p' is '' in a row, which readers take for NULL. Nothing was published", lambda: ask(db))
    assert frame(db).empty


OTHERS = {
    "DATE": "[DATE '2024-02-29', DATE '0001-01-01', NULL]",
    "BIGINT": "[-9223372036854775808, 0, 9223372036854775807, NULL]",
    "TINYINT": "[-128, 127, NULL]",
    "BOOLEAN": "[true, false, NULL]",
    "UINTEGER": "[0, 4294967295]",
    "ENUM('a', 'b c')": "['a', 'b c', NULL]",
}


@pytest.mark.parametrize("type_", OTHERS)
def test_other_types(db, type_):
    values = [value for (value,) in db.sql(f"SELECT unnest({OTHERS[type_]})").fetchall()]
    written(db, values, type_)
    ask(db)
    both(db, values)
    assert db.sql("SELECT id FROM predictions.daily WHERE p = (SELECT p FROM parts WHERE id = 0)").fetchall() == [(0,)]


def test_several_columns(db, world, source):
    query = "SELECT id, ts, place AS Place, CAST(ts AS DATE) AS day, a, b, risk_score(e) AS risk FROM events AS e"
    declare(db, f"PARTITIONED BY (PLACE, day) {DAILY}", query)
    ask(db)
    same_scores(world, frame(db), source)
    assert frame(db).Place.tolist() == source.place.tolist()
    folders = {path.relative_to(root_of(db)).parts[3:5] for path in root_of(db).rglob("*.parquet")}
    assert {parts[0].split("=")[0] for parts in folders} == {"Place"}
    assert len(folders) == 10
    fewer = db.sql(
        "SELECT count(*) FROM predictions.daily WHERE place = 'north' AND day = DATE '2024-03-02'"
    ).fetchall()
    assert fewer == [(4,)]
    db.sql("UPDATE events SET place = 'west' WHERE ts < TIMESTAMP '2024-03-02'")
    ask(db, start="2024-03-01", end="2024-03-02")
    assert db.sql("SELECT place, count(*) FROM predictions.daily GROUP BY 1 ORDER BY 1").fetchall() == [
        ("north", 16),
        ("south", 16),
        ("west", 8),
    ]


def test_a_window_without_rows(db):
    db.sql("DELETE FROM events")
    declare(db, f"PARTITIONED BY (place) {DAILY}", "SELECT id, ts, place, risk_score(e) AS risk FROM events AS e")
    ask(db, start="2024-03-01", end="2024-03-02")
    assert frame(db).empty
