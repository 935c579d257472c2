"""The source changes under a table: what the table can't hold is refused with a clear word, and what is there stays."""

from __future__ import annotations

import pytest

import sqlml
from sqlml.errors import RefreshFailed, SqlmlError
from tables.small import DAILY, ask, declare, fails, frame, windows

STAR = "SELECT e.*, risk_score(e) AS risk FROM events AS e"
NAMED = "SELECT id, ts, n, place, a, b, risk_score(e) AS risk FROM events AS e"

# What is done to the source; what is said of it under SELECT *, and where the columns are named.
CHANGES = {
    "ALTER TABLE events DROP COLUMN place": ("'place' of the query of 'daily' is missing", "place"),
    "ALTER TABLE events RENAME COLUMN n TO m": ("'m' of the query of 'daily' is new", '"n" not found'),
    "ALTER TABLE events ADD COLUMN extra INTEGER": ("'extra' of the query of 'daily' is new", None),
    "ALTER TABLE events ALTER COLUMN n TYPE DOUBLE": ("'n' of the query of 'daily' is DOUBLE, and the table's BIGINT",)
    * 2,
    "ALTER TABLE events ALTER COLUMN n TYPE HUGEINT": (
        r"'n' of the query of 'daily' is DECIMAL\(38, 0\), and the table's BIGINT",
    )
    * 2,
    "ALTER TABLE events ALTER COLUMN n TYPE VARCHAR": (
        "'n' of the query of 'daily' is VARCHAR, and the table's BIGINT",
    )
    * 2,
    "ALTER TABLE events ALTER COLUMN n TYPE INTEGER": (None, None),
    "ALTER TABLE events ALTER COLUMN n TYPE UINTEGER": (None, None),
    "ALTER TABLE events ALTER COLUMN id TYPE DECIMAL(10, 0)": (r"'id' of the query of 'daily' is DECIMAL\(10, 0\)",)
    * 2,
    "ALTER TABLE events ALTER COLUMN ts TYPE TIMESTAMPTZ": (
        "'ts' of the query of 'daily' is TIMESTAMPTZ, and the table's TIMESTAMP",
    )
    * 2,
    "ALTER TABLE events ALTER COLUMN place TYPE INTEGER USING 1": (
        "'place' of the query of 'daily' is INTEGER, and the table's VARCHAR",
    )
    * 2,
    "DROP TABLE events": ("events", "events"),
}


def cases() -> list[tuple[str, str, str | None]]:
    return [(change, query, said[i]) for change, said in CHANGES.items() for i, query in enumerate((STAR, NAMED))]


def contents(db: sqlml.Session) -> list[tuple]:
    return db.sql("SELECT id, ts, n, place, risk, _run_id FROM predictions.daily ORDER BY id").fetchall()


@pytest.mark.parametrize(("change", "query", "said"), cases())
def test_the_source_changes_after_the_declaration(db, change, query, said):
    declare(db, DAILY, query)
    ask(db, start="2024-03-01", end="2024-03-03")
    before = contents(db)
    db.sql(change)
    if said is None:
        assert len(windows(ask(db))) == 3
        assert [row[:4] for row in contents(db)] == db.sql("SELECT id, ts, n, place FROM events ORDER BY id").fetchall()
        return
    fails(SqlmlError, said, lambda: ask(db))
    assert contents(db) == before
    assert db.sql("SELECT outcome FROM sqlml.refreshes ORDER BY started_at").fetchall() == [("done",), ("failed",)]


@pytest.mark.parametrize(("change", "query", "said"), cases())
def test_the_source_changes_between_windows(db, change, query, said):
    declare(db, DAILY, query)

    def changes(run) -> None:
        if run.window_key.startswith("2024-03-02"):
            with db.cursor() as other:
                other.sql(change)

    if said is None:
        assert len(windows(ask(db, progress=changes))) == 5
        assert [row[:4] for row in contents(db)] == db.sql("SELECT id, ts, n, place FROM events ORDER BY id").fetchall()
        return
    fails(RefreshFailed, f"(?s)3 of 5 windows of 'daily' were not published.*{said}", lambda: ask(db, progress=changes))
    assert [row[0] for row in contents(db)] == list(range(16))
    outcomes = db.sql("SELECT outcome FROM sqlml.runs ORDER BY started_at").fetchall()
    assert outcomes == [("published",), ("published",), ("failed",)]


def test_a_change_that_is_meant_is_rebuilt(db, source):
    declare(db, DAILY, STAR)
    ask(db)
    db.sql("ALTER TABLE events ALTER COLUMN n TYPE DOUBLE")
    db.sql("UPDATE events SET n = n + 0.5")
    fails(SqlmlError, "REFRESH PREDICTION TABLE daily FULL rebuilds the table", lambda: ask(db))
    ask(db, full=True)
    assert frame(db).n.tolist() == (source.n + 0.5).tolist()
    assert windows(ask(db)) == []
    assert windows(ask(db, start="2024-03-01", end="2024-03-02")) == ["2024-03-01T00:00:00"]


def test_a_column_may_be_wider_than_its_source(db):
    """A table of BIGINT takes what an INTEGER holds, also when the source is narrower for some windows alone."""
    declare(db, DAILY, "SELECT id, ts, 1.5::DECIMAL(10, 3) AS d, n, risk_score(e) AS risk FROM events AS e")
    ask(db, start="2024-03-01", end="2024-03-02")
    declare(db, DAILY, "SELECT id, ts, 1.5::DECIMAL(10, 3) AS d, n, risk_score(e) AS risk FROM events AS e", new=False)
    db.sql("ALTER TABLE events ALTER COLUMN n TYPE SMALLINT")
    assert len(windows(ask(db))) == 4
    stored = db.predictions.table("daily").schema
    assert (str(stored.field("n").type), str(stored.field("d").type)) == ("int64", "decimal128(10, 3)")


def test_null_where_none_was(db, source):
    """Every column may have NULL; what must not have any is said by an audit."""
    declare(db, f"{DAILY} AUDIT (not_null(id))")
    ask(db, start="2024-03-01", end="2024-03-03")
    db.sql("UPDATE events SET a = NULL WHERE id = 20")
    ask(db)
    held = frame(db)
    assert held.risk.isna().tolist() == [i == 20 for i in range(40)]
    assert held.id.tolist() == source.id.tolist()
