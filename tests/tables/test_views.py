"""What keeps the name of a prediction table, a view say, reads the table as it is when it is asked."""

from __future__ import annotations

import duckdb
import polars

import sqlml
from tables import small


def test_a_view_follows_its_table(db, source):
    small.declare(db)
    db.sql("CREATE VIEW risky AS SELECT id, risk FROM predictions.daily WHERE risk > 0.5")
    assert db.sql("SELECT count(*) FROM risky").fetchall() == [(0,)]
    small.ask(db)
    wanted = db.sql("SELECT count(*) FROM predictions.daily WHERE risk > 0.5").fetchall()
    assert 0 < wanted[0][0] < len(source)
    assert db.sql("SELECT count(*) FROM risky").fetchall() == wanted


def test_a_view_of_a_file_is_there_in_the_next_session(project, source, tmp_path):
    file = tmp_path / "kept.duckdb"
    with sqlml.connect(str(file), project=project) as db:
        small.fill(db, source)
        small.declare(db)
        small.ask(db)
        db.sql("CREATE VIEW counted AS SELECT count(*) AS n FROM predictions.daily")
    with sqlml.connect(str(file), project=project) as db:
        assert db.sql("FROM counted").fetchall() == [(len(source),)]


def test_a_connection_of_the_user_reads_them_in_its_own_sql(project, source):
    with duckdb.connect() as con, sqlml.connect(con, project=project) as db:
        small.fill(db, source)
        small.declare(db)
        small.ask(db)
        db.sql("SELECT 1")
        assert con.sql("SELECT count(*) FROM predictions.daily").fetchall() == [(len(source),)]


def test_a_schema_of_that_name_is_the_users_own(project, source):
    """Then only statements that go through sqlml know the tables."""
    with duckdb.connect() as con, sqlml.connect(con, project=project) as db:
        con.execute("CREATE SCHEMA predictions")
        con.execute("CREATE TABLE predictions.mine AS SELECT 42 AS n")
        small.fill(db, source)
        small.declare(db)
        small.ask(db)
        assert db.sql("SELECT count(*) FROM predictions.daily").fetchall() == [(len(source),)]
        assert con.sql("FROM predictions.mine").fetchall() == [(42,)]


def test_a_table_for_python(db, source):
    small.declare(db)
    small.ask(db)
    held = db.table("daily")
    assert len(held) == len(source)
    risks = [held.to_arrow().column("risk"), held.to_pandas()["risk"], held.to_polars()["risk"]]
    assert len({round(float(sum(each.to_pylist() if hasattr(each, "to_pylist") else each)), 9) for each in risks}) == 1
    assert polars.DataFrame(held).shape == (len(source), len(held.schema))
    assert held.to_pandas(["id"]).columns.tolist() == ["id"]
    assert len(db.table("daily", version=0)) == 0
