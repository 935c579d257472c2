"""The user's own connection: its own SQL knows the functions, and is left as it was."""

from __future__ import annotations

import duckdb
import pytest

import sqlml
from sql.asking import answers, same
from sql.conftest import fill


@pytest.fixture
def con(people, pairs):
    with duckdb.connect() as held:
        fill(held, people=people, pairs=pairs)
        yield held


@pytest.fixture
def held(con, world):
    """A session on the user's connection."""
    with sqlml.connect(con, project=world.folder) as session:
        yield session


def column(relation):
    return [value for (value,) in relation.fetchall()]


CALLS = [
    "line(p)", "line(a, b)", "line(b := b, a := p.a)", "line(a => a, b => b)", "LINE(p)", "line({'b': b, 'a': a})",
    "predict('line', p)", "predict('LINE', a, b)", "predict('line', {'b': b, 'a': a})",
]  # fmt: skip


def test_plain_functions(held, con, models):
    for call in CALLS:
        same(column(con.sql(f"SELECT {call} FROM pairs AS p ORDER BY id")), answers(models["line"]))


def test_every_output(held, con, models):
    text = """
        SELECT churn(p), churn_score(p), churn_proba(p), predict_score('churn', p), predict_proba('churn', p),
               churn_score(region := region, price := price, plan := plan, tenure := tenure)
        FROM people AS p ORDER BY id
    """
    labels, scores, chances, *generic = zip(*con.sql(text).fetchall(), strict=True)
    same(labels, answers(models["churn"]))
    same(scores, answers(models["churn"], "score"))
    same(chances, answers(models["churn"], "proba"))
    assert generic == [scores, chances, scores]


def test_one_argument_and_odd_names(held, con, models):
    same(column(con.sql("SELECT square(p) FROM pairs AS p ORDER BY id")), answers(models["square"]))
    same(column(con.sql("SELECT square(a := a) FROM pairs AS p ORDER BY id")), answers(models["square"]))
    rows = models["odd"].rows.assign(n=range(100))
    same(column(con.sql("SELECT odd(r) FROM rows AS r ORDER BY n")), answers(models["odd"]))
    assert len(rows) == 100
    wide = models["wide"].rows.assign(n=range(60))
    same(column(con.sql("SELECT wide(w) FROM wide AS w ORDER BY n")), answers(models["wide"]))
    assert len(wide) == 60


def test_its_errors_are_readable(held, con):
    for text, kind, words in (
        ("SELECT line('x', 1)", "BadCast", ["'line'", "'a'", "'x'"]),
        ("SELECT line(1)", "WrongCount", ["takes 2", "found 1"]),
        ("SELECT line({'a': 1})", "MissingArguments", ["'b'"]),
        ("SELECT predict('chrun', 1)", "UnknownFunction", ["Did you mean 'churn'?"]),
        ("SELECT predict('churn', p) FROM people AS p", "NotNumeric", ["VARCHAR", "churn(...)"]),
        ("SELECT predict('tier', p) FROM people AS p", "NotNumeric", ["call tier(...)"]),
    ):
        with pytest.raises(duckdb.Error) as raised:
            con.sql(text).fetchall()
        error = held.engine_error(raised.value)
        assert type(error).__name__ == kind
        for word in words:
            assert word in str(error)
            assert word in str(raised.value)
    assert con.sql("SELECT line(1, 1) IS NULL").fetchall() == [(False,)]


def test_frames_of_the_caller(held, con, models):
    frame = models["line"].rows
    same(column(held.sql("SELECT line(*) FROM frame")), answers(models["line"]))
    same(column(con.sql("SELECT line(f) FROM frame AS f")), answers(models["line"]))
    assert con.sql("SELECT current_setting('python_scan_all_frames')").fetchall() == [(False,)]
    assert len(frame)


VIEWS = {
    "functions": {"arguments": "STRUCT", "created_at": "TIMESTAMP WITH TIME ZONE"},
    "versions": {"id": "BIGINT", "classes": "VARCHAR[]"},
    "alias_history": {"version": "VARCHAR", "seen_at": "TIMESTAMP WITH TIME ZONE"},
    "proofs": {"rows": "BIGINT", "accepted": "BOOLEAN", "max_relative": "DOUBLE"},
    "prediction_tables": {"name": "VARCHAR", "created_at": "TIMESTAMP WITH TIME ZONE"},
    "runs": {"rows_out": "BIGINT", "started_at": "TIMESTAMP WITH TIME ZONE"},
}


def test_the_catalog_is_tables(held, con, models):
    for view, typed in VIEWS.items():
        for door in (held, con):
            found = door.sql(f"SELECT * FROM sqlml.{view}")
            types = dict(zip(found.columns, map(str, found.types), strict=True))
            for name, type_ in typed.items():
                assert types[name].startswith(type_)
            rows = len(found.fetchall())
            assert rows >= len(models) if view not in ("prediction_tables", "runs") else rows == 0
    where = "FROM sqlml.functions AS f JOIN sqlml.versions AS v USING (model, version) WHERE v.kind = 'classifier'"
    assert ("churn",) in con.sql(f"SELECT f.name {where}").fetchall()


def left(con):
    query = """
        SELECT function_name FROM duckdb_functions()
        WHERE contains(function_name, 'sqlml') OR contains(macro_definition, 'sqlml') OR function_name IN ('line', 'predict')
    """
    return con.sql(query).fetchall()


def test_closing_leaves_the_connection_as_it_was(con, world):
    before = con.sql("SELECT database_name FROM duckdb_databases() ORDER BY 1").fetchall()
    with sqlml.connect(con, project=world.folder) as session:
        assert session.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]
        assert left(con)
    assert left(con) == []
    assert con.sql("SELECT database_name FROM duckdb_databases() ORDER BY 1").fetchall() == before
    assert con.sql("SELECT count(*) FROM pairs").fetchall() == [(200,)]
    with pytest.raises(duckdb.CatalogException):
        con.sql("SELECT line(1, 2)")
    with sqlml.connect(con, project=world.folder):
        assert con.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]


def test_two_sessions_on_one_connection(con, world):
    first = sqlml.connect(con, project=world.folder)
    second = sqlml.connect(con, project=world.folder)
    for session in (first, second):
        assert session.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]
    first.close()
    assert second.sql("SELECT line(1, 2) IS NULL, count(*) FROM sqlml.functions").fetchall()[0][0] is False
    assert con.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]
    second.close()
    assert left(con) == []


def test_a_view_is_read_in_the_next_session(world, tmp_path, people, models):
    path = str(tmp_path / "w.duckdb")
    with sqlml.connect(path, project=world.folder) as session:
        fill(session, people=people)
        session.sql("CREATE VIEW risk AS SELECT id, churn_score(*) AS risk, churn(p) AS label FROM people AS p")
    with duckdb.connect(path) as con:
        with pytest.raises(duckdb.CatalogException):
            con.sql("FROM risk")
        with sqlml.connect(con, project=world.folder):
            same(column(con.sql("SELECT risk FROM risk ORDER BY id")), answers(models["churn"], "score"))
            same(column(con.sql("SELECT label FROM risk ORDER BY id")), answers(models["churn"]))


def test_a_transaction_is_the_user_s(held, con, models):
    con.execute("BEGIN")
    con.execute("CREATE TABLE gone AS SELECT 1 AS x")
    held.sql("CREATE TABLE scored AS SELECT line(p) AS y FROM pairs AS p")
    assert held.sql("SELECT count(*) FROM scored").fetchall() == [(200,)]
    con.execute("ROLLBACK")
    for text in ("FROM gone", "FROM scored"):
        with pytest.raises(sqlml.SqlmlError, match="does not exist"):
            held.sql(text)
    same(column(con.sql("SELECT line(p) FROM pairs AS p ORDER BY id")), answers(models["line"]))
    held.sql("BEGIN; CREATE TABLE kept AS SELECT line(p) AS y FROM pairs AS p ORDER BY id; COMMIT")
    same(column(con.sql("FROM kept")), answers(models["line"]))


def test_a_session_opened_in_a_transaction_publishes_after_it(con, world):
    con.execute("BEGIN")
    con.execute("CREATE TABLE gone AS SELECT 1 AS x")
    with sqlml.connect(con, project=world.folder) as session:
        with pytest.raises(sqlml.SqlmlError, match="began before 'line' was made"):
            session.sql("SELECT line(1, 2)")
        con.execute("ROLLBACK")
        assert session.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]
        assert con.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]
    assert left(con) == []


def test_an_unread_result_of_the_user_s_stays(held, con):
    """DuckDB refuses other work on a connection with an unread result; ours must neither eat it nor break."""
    con.execute("SELECT * FROM range(3)")
    try:
        held.sql("SELECT line(1, 2)").fetchall()
    except duckdb.Error as error:
        assert "unfinished result" in str(error)
    except sqlml.SqlmlError as error:
        assert "unfinished result" in str(error)
    assert con.fetchall() == [(0,), (1,), (2,)]
    assert held.sql("SELECT line(1, 2) IS NULL").fetchall() == [(False,)]


def test_another_cursor_of_the_user_s(held, con, world, models):
    cursor = con.cursor()
    with sqlml.connect(cursor, project=world.folder):
        same(column(cursor.sql("SELECT line(p) FROM pairs AS p ORDER BY id")), answers(models["line"]))
    same(column(con.sql("SELECT line(p) FROM pairs AS p ORDER BY id")), answers(models["line"]))
    with held.cursor() as other:
        same(column(other.sql("SELECT line(*) FROM pairs ORDER BY id")), answers(models["line"]))
    same(column(held.sql("SELECT line(*) FROM pairs ORDER BY id")), answers(models["line"]))
