"""A table is read in any statement, one complete version of it at a time, by whoever has a session."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import sqlml
from sqlml.errors import SqlmlError, SyntaxMistake, TableMissing, UnknownTable
from sqlml.tables import delta
from tables import small
from tables.small import DAILY, ask, declare, fails, frame, root_of, same_scores

COUNT = "SELECT count(*) FROM predictions.daily"


@pytest.fixture
def daily(db):
    """The same session, with the table `daily` of which the first two days are published, in version 2."""
    declare(db)
    ask(db, start="2024-03-01", end="2024-03-03")
    return db


def one(db: sqlml.Session, query: str) -> object:
    return db.sql(query).fetchall()[0][0]


def test_versions(daily):
    assert [one(daily, f"{COUNT} VERSION AS OF {version}") for version in (0, 1, 2)] == [0, 8, 16]
    assert one(daily, f"{COUNT} FOR VERSION AS OF '1'") == 8
    ask(daily)
    assert one(daily, f"{COUNT} VERSION AS OF 2") == 16
    assert one(daily, COUNT) == 40
    both = "SELECT count(*) FROM predictions.daily n ANTI JOIN predictions.daily VERSION AS OF 1 o USING (id)"
    assert one(daily, both) == 32
    fails(TableMissing, "at version 99", lambda: daily.sql(f"{COUNT} VERSION AS OF 99"))
    fails(SqlmlError, "a version such as 12", lambda: daily.sql(f"{COUNT} VERSION AS OF x"))


def test_moments(daily):
    time.sleep(0.02)
    before = datetime.now(UTC)
    time.sleep(0.02)
    ask(daily)
    now = datetime.now(UTC)
    assert one(daily, f"{COUNT} TIMESTAMP AS OF '{before.isoformat()}'") == 16
    assert one(daily, f"{COUNT} TIMESTAMP AS OF TIMESTAMP '{before.replace(tzinfo=None)}'") == 16, (
        "in the session's zone"
    )
    assert one(daily, f"{COUNT} TIMESTAMP AS OF '{now.isoformat()}'") == 40
    fails(TableMissing, "at 2001-01-01", lambda: daily.sql(f"{COUNT} TIMESTAMP AS OF '2001-01-01'"))
    fails(SyntaxMistake, "expected a timestamp", lambda: daily.sql(f"{COUNT} TIMESTAMP AS OF 'yesterday'"))


FORMS = {
    "SELECT sum(d.id) FROM predictions.daily AS d JOIN events e ON e.id = d.id WHERE e.place = 'north'": 56,
    "WITH x AS (SELECT id FROM predictions.daily), y AS (FROM x) SELECT max(id) FROM y": 15,
    "SELECT count(*) FROM events WHERE id IN (SELECT id FROM predictions.daily)": 16,
    "SELECT (SELECT max(id) FROM predictions.daily) + 1": 16,
    "SELECT predictions.daily.id FROM predictions.daily ORDER BY 1 DESC": 15,
    "SELECT daily.id FROM predictions.daily ORDER BY 1 DESC": 15,
    "FROM Predictions.DAILY SELECT count(*)": 16,
    'SELECT count(*) FROM "predictions"."daily" d': 16,
    "SELECT count(*) FROM predictions.daily a, predictions.daily b WHERE a.id = b.id": 16,
    "SELECT count(*) FROM (SELECT id FROM predictions.daily UNION ALL SELECT id FROM predictions.daily)": 32,
    "SELECT count(*) FROM predictions.daily TABLESAMPLE 100 PERCENT": 16,
    "SELECT count(*) FROM events e WHERE (id, risk_score(e)) IN (SELECT (id, risk) FROM predictions.daily)": 16,
    "SELECT count(*) FROM predictions.daily d WHERE abs(d.risk - risk_score(d)) < 1e-12": 16,
    "SELECT 'FROM predictions.daily' AS text": "FROM predictions.daily",
    "SELECT id FROM predictions.daily PIVOT (max(risk) FOR ts IN ('2024-03-01')) ORDER BY id LIMIT 1": 0,
    "SELECT count(*) FROM predictions.daily WHERE id < ?": 3,
}


@pytest.mark.parametrize("query", FORMS)
def test_in_any_statement(daily, query):
    found = daily.sql(query, [3] if "?" in query else None).fetchall()
    assert found[0][0] == FORMS[query]


def test_no_such_table(daily):
    fails(UnknownTable, "Did you mean 'daily'", lambda: daily.sql("FROM predictions.dayly"))
    fails(SqlmlError, "nowhere", lambda: daily.sql("FROM nowhere.no_table"))


def test_made_into_a_table(daily):
    daily.sql("CREATE TABLE copied AS SELECT id, risk FROM predictions.daily")
    ask(daily)
    assert one(daily, "SELECT count(*) FROM copied") == 16
    daily.sql("INSERT INTO copied SELECT id, risk FROM predictions.daily WHERE id NOT IN (SELECT id FROM copied)")
    assert one(daily, "SELECT count(*) FROM copied") == 40


def test_written_to_a_file(daily, tmp_path):
    daily.sql(f"COPY predictions.daily TO '{tmp_path}/held.parquet'")
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/held.parquet'").fetchall() == [(16,)]


def test_a_view_sees_what_is_there_when_it_is_read(daily):
    daily.sql("CREATE VIEW held AS SELECT * FROM predictions.daily")
    daily.sql("CREATE MACRO many() AS (SELECT count(*) FROM predictions.daily)")
    assert one(daily, "SELECT count(*) FROM held") == one(daily, "SELECT many()") == 16
    ask(daily)
    assert one(daily, "SELECT count(*) FROM held") == one(daily, "SELECT many()") == 40


def test_another_session_sees_it_at_once(daily, project, world, source):
    with sqlml.connect(project=project) as other, daily.cursor() as cursor:
        for held in (other, cursor):
            assert one(held, COUNT) == 16
        ask(daily)
        for held in (other, cursor):
            same_scores(world, frame(held), source)


def test_a_relation_stays_what_it_was(daily):
    """What was asked before a commit is answered as of then, however late it is read."""
    asked = daily.sql("SELECT id FROM predictions.daily")
    ask(daily)
    assert len(asked.fetchall()) == 16
    assert one(daily, COUNT) == 40


def test_in_a_transaction(daily, project, source):
    daily.sql("BEGIN")
    assert one(daily, COUNT) == 16
    with sqlml.connect(project=project) as other:
        small.fill(other, source)
        ask(other)
    assert one(daily, COUNT) == 40
    daily.sql("CREATE TABLE copied AS FROM predictions.daily")
    daily.sql("ROLLBACK")
    assert one(daily, COUNT) == 40


def test_a_statement_reads_one_version(daily, monkeypatch):
    """However often it names the table, and whatever is published while it is prepared."""
    is_last = delta.is_last

    def slow(root, version):
        found = is_last(root, version)
        monkeypatch.undo()
        ask(daily)
        return found

    assert one(daily, COUNT) == 16
    monkeypatch.setattr(delta, "is_last", slow)
    query = "SELECT (SELECT count(*) FROM predictions.daily), (SELECT count(*) FROM predictions.daily AS again)"
    ((first, second),) = daily.sql(query).fetchall()
    assert first == second
    assert daily.sql(query).fetchall() == [(40, 40)]


def test_each_read_is_of_one_version_while_others_write(db, project):
    """A table whose rows are replaced again and again is never seen half."""
    declare(db, "", "SELECT id, ts, a, b, risk_score(e) AS risk FROM events AS e")
    ask(db)
    stop, wrong, read = threading.Event(), [], []

    def reads() -> None:
        with sqlml.connect(project=project) as other:
            while not stop.is_set():
                found = other.sql(
                    "SELECT count(*), count(DISTINCT _run_id), count(DISTINCT id) FROM predictions.daily"
                ).fetchall()
                read.append(found)
                wrong.extend(row for row in found if row != (40, 1, 40))

    reader = threading.Thread(target=reads)
    reader.start()
    for _ in range(15):
        ask(db)
    stop.set()
    reader.join(60)
    assert (wrong, len(read) > 3) == ([], True)


def test_python_reads_it(daily, world, source):
    table = daily.predictions.table("DAILY")
    assert (table.name, table.version, len(table)) == ("daily", 2, 16)
    assert repr(table) == "<sqlml.Table 'daily' at version 2, 16 rows>"
    assert table.schema.names == ["id", "ts", "a", "b", "risk", "_model", "_scored_at", "_run_id"]
    same_scores(world, table.to_pandas().sort_values("id"), source[:16])
    assert table.to_arrow(["id"]).column_names == ["id"]
    assert pa.table(table).num_rows == 16
    assert duckdb.from_arrow(table.to_arrow()).count("id").fetchall() == [(16,)]
    ask(daily)
    assert len(table) == table.to_arrow().num_rows == 16, "it stays at its version"
    assert len(daily.predictions.table("daily")) == 40
    assert len(daily.predictions.table("daily", version=1)) == 8
    assert len(daily.predictions.table("daily", timestamp=datetime.now(UTC))) == 40
    fails(TableMissing, "at version 99", lambda: daily.predictions.table("daily", version=99))
    fails(UnknownTable, "Did you mean 'daily'", lambda: daily.predictions.table("dayli"))


def test_an_empty_table(db):
    declare(db, DAILY)
    held = db.predictions.table("daily")
    assert (len(held), held.to_pandas().empty) == (0, True)
    assert isinstance(frame(db, "SELECT risk, _model, _scored_at FROM predictions.daily"), pd.DataFrame)
    assert one(db, COUNT) == 0


def test_delta_readers_read_it(daily, source):
    """Without anything of sqlml's."""
    from deltalake import DeltaTable

    held = DeltaTable(root_of(daily)).to_pandas()
    assert sorted(held.id) == source.id[:16].tolist()


def test_another_table_of_the_same_name_at_the_same_version(daily, project):
    """Somebody else drops the table and makes it anew, with as many commits as before."""
    with sqlml.connect(project=project) as other:
        small.fill(other, small.events(start_id=500))
        other.sql("CREATE VIEW held AS SELECT id FROM predictions.daily")
        for least in (0, 500):
            assert (
                one(other, "SELECT min(id) FROM predictions.daily") == one(other, "SELECT min(id) FROM held") == least
            )
            if least == 0:
                daily.sql("DROP PREDICTION TABLE daily")
                daily.sql("UPDATE events SET id = id + 500")
                declare(daily)
                ask(daily, start="2024-03-01", end="2024-03-03")
