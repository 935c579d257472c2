"""Sessions as they are lived with: your own connection, threads, interrupts, other processes, the end."""

import gc
import shutil
import subprocess
import sys
import threading
import time

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

import sqlml
from sqlml.errors import ArtifactCorrupt, DataError, UnknownFunction

ROWS = pd.DataFrame(np.random.default_rng(7).normal(size=(4_000, 2)), columns=["a", "b"])
MODELS = {
    "linear": LogisticRegression().fit(ROWS, np.where(ROWS.a + ROWS.b > 0, "yes", "no")),
    "trees": HistGradientBoostingClassifier(max_iter=20).fit(ROWS, np.where(ROWS.a * ROWS.b > 0, "yes", "no")),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A project with two functions, which the tests leave as they are."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "sqlml.toml").write_text("[sqlml]\n")
    for name, model in MODELS.items():
        sqlml.log_model(model, name=name, signature_from=ROWS, alias="champion", registry=registry_of(folder))
    with sqlml.connect(project=folder) as db:
        for name in MODELS:
            db.register(name, f"models:/{name}@champion")
    return folder


@pytest.fixture
def own(shared, tmp_path):
    """A project of the test's own, over the same registry."""
    shutil.copytree(shared / ".sqlml", tmp_path / ".sqlml")
    (tmp_path / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry_of(shared)}"\n')
    return tmp_path


def registry_of(folder):
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def con():
    with duckdb.connect() as held:
        held.register("rows_of_t", ROWS)
        held.execute("CREATE TABLE t AS FROM rows_of_t").fetchall()
        yield held


def scores(relation):
    return np.array([row[0] for row in relation.fetchall()])


def expected(name):
    return MODELS[name].predict_proba(ROWS)[:, 1]


CALLS = ["{}_score(t)", "{}_score(a, b)", "{}_score(b := b, a := a)", "{}_proba(t)['yes']", "predict_score('{}', t)"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_your_own_connection_knows_the_functions(shared, con, name, call):
    with sqlml.connect(con, project=shared):
        assert np.allclose(scores(con.sql(f"SELECT {call.format(name)} FROM t")), expected(name), rtol=1e-9, atol=0)


def test_what_is_left_on_your_connection_is_nothing(shared, con):
    before = con.sql("SELECT count(*) FROM duckdb_functions()").fetchall()
    with sqlml.connect(con, project=shared) as db:
        db.sql("SELECT linear(t), predict_proba('trees', t) FROM t").fetchall()
        assert con.sql("SELECT count(*) FROM sqlml.functions").fetchall() == [(2,)]
    assert con.sql("SELECT count(*) FROM duckdb_functions()").fetchall() == before
    assert con.sql("SELECT count(*) FROM duckdb_databases() WHERE database_name = 'sqlml'").fetchall() == [(0,)]
    assert con.sql("SELECT count(*) FROM t").fetchall() == [(4_000,)]


def test_a_database_that_is_only_read(shared, tmp_path):
    path = tmp_path / "read.duckdb"
    with duckdb.connect(path) as con:
        con.register("rows_of_t", ROWS)
        con.execute("CREATE TABLE t AS FROM rows_of_t").fetchall()
    with duckdb.connect(path, read_only=True) as con, sqlml.connect(con, project=shared) as db:
        wanted = MODELS["trees"].predict_proba(ROWS)[:, 1]
        np.testing.assert_allclose(scores(db.sql("SELECT trees_score(t) FROM t")), wanted, rtol=1e-9)
        np.testing.assert_allclose(scores(con.sql("SELECT trees_score(t) FROM t")), wanted, rtol=1e-9)
        assert len(db.sql("FROM sqlml.functions").fetchall()) == len(MODELS)


def test_a_cell_that_is_run_again(shared, con):
    db = sqlml.connect(con, project=shared)
    db = sqlml.connect(con, project=shared)
    gc.collect()
    assert len(con.sql("SELECT linear_score(t), predict_score('linear', t) FROM t").fetchall()) == 4_000
    assert con.sql("SELECT count(*) FROM sqlml.versions").fetchall() == [(2,)]
    db.close()


def test_cursors_in_threads(shared, con):
    with sqlml.connect(con, project=shared) as db:
        wanted = {name: expected(name).sum() for name in MODELS}
        found = []

        def ask(cursor, name):
            with cursor:
                for _ in range(5):
                    total = cursor.sql(f"SELECT sum({name}_score(t)) FROM t").fetchall()[0][0]
                    found.append(abs(total / wanted[name] - 1) < 1e-9)

        threads = [threading.Thread(target=ask, args=(db.cursor(), name)) for name in MODELS for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 20


def test_an_interrupt_ends_a_long_query(shared, con):
    with sqlml.connect(con, project=shared) as db:
        timer = threading.Timer(0.5, db.interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(duckdb.InterruptException):
            db.sql("SELECT sum(trees_score(t)) FROM t, range(100000)").fetchall()
        assert time.monotonic() - started < 20
        assert db.sql("SELECT count(linear(t)) FROM t").fetchall() == [(4_000,)]


def test_another_process_registers_a_function(own):
    with sqlml.connect(project=own) as db:
        register = "db.register('third', 'models:/linear/1')"
        program = f"import sqlml\nwith sqlml.connect(project={str(own)!r}) as db: {register}"
        subprocess.run([sys.executable, "-c", program], check=True)
        assert db.sql("SELECT third(a := 3, b := 3)").fetchall() == [("yes",)]
        assert db.sql("SELECT count(*) FROM sqlml.functions").fetchall() == [(3,)]


def test_an_alias_that_moves_is_followed_when_you_say_so(shared, own):
    def log(positive, negative):
        model = LogisticRegression().fit(ROWS, np.where(ROWS.a + ROWS.b > 0, positive, negative))
        sqlml.log_model(model, name="moving", signature_from=ROWS, alias="champion", registry=registry_of(shared))

    log("yes", "no")
    with sqlml.connect(project=own) as db:
        db.register("moving", "models:/moving@champion")
        log("no", "yes")
        ask = "SELECT moving(a := 3, b := 3), predict('moving/1', {'a': 3, 'b': 3})"
        assert db.sql(ask).fetchall() == [("yes", "yes")]
        moves = db.sync("moving")
        assert [(move.function, move.previous, move.version) for move in moves] == [("moving", "1", "2")]
        assert db.sql(ask).fetchall() == [("no", "yes")]
        history = db.sql("SELECT version FROM sqlml.alias_history WHERE model = 'moving' ORDER BY seen_at").fetchall()
        assert history == [("1",), ("2",)]
        assert db.sync() == []


def test_a_changed_file_is_named_and_fetched_again(own):
    with sqlml.connect(project=own) as db:
        for name in MODELS:
            db.register(name, f"models:/{name}@champion", strategy="python", replace=True)
        path = next((own / ".sqlml" / "artifacts").glob("*/model.skops"))
        broken = bytearray(path.read_bytes())
        broken[len(broken) // 2] ^= 1
        path.write_bytes(broken)
        with pytest.raises(ArtifactCorrupt, match=path.name):
            db.sql("SELECT linear(t), trees(t) FROM (SELECT 1.0 AS a, 2.0 AS b) t")
        assert db.sql("SELECT 1").fetchall() == [(1,)]
        for name in MODELS:
            db.sql(f"CREATE OR REPLACE FUNCTION {name} USING MODEL 'models:/{name}@champion'")
        assert db.sql("SELECT linear(t), trees(t) FROM (SELECT 1.0 AS a, 2.0 AS b) t").fetchall() == [("yes", "yes")]


def test_a_value_s_error_can_be_mapped(shared, con):
    with sqlml.connect(con, project=shared) as db:
        relation = db.sql("SELECT linear(a := 'x' || a, b := 1) FROM t")
        with pytest.raises(duckdb.Error) as caught:
            relation.fetchall()
        error = db.engine_error(caught.value)
        assert isinstance(error, DataError)
        assert "'linear': the argument 'a' takes DOUBLE, and the text 'x" in str(error)
        assert db.sql("SELECT count(linear(t)) FROM t").fetchall() == [(4_000,)]


def test_a_failed_registration_leaves_nothing(own):
    with sqlml.connect(project=own) as db:
        before = db.sql("SELECT count(*) FROM sqlml.versions").fetchall()
        with pytest.raises(sqlml.SqlmlError):
            db.register("nothing", "models:/linear@nobody")
        with pytest.raises(UnknownFunction):
            db.function("nothing")
        assert db.sql("SELECT count(*) FROM sqlml.versions").fetchall() == before
        with pytest.raises(sqlml.SqlmlError):
            db.sql("SELECT nothing(a := 1, b := 2)")


@pytest.mark.parametrize("ending", ["db.close()", "pass"])
def test_the_end_is_silent(shared, ending):
    opened = f"import sqlml\ndb = sqlml.connect(project={str(shared)!r})\n"
    program = f"{opened}print(db.sql('SELECT linear(a := 3, b := 3)'))\n{ending}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "yes" in done.stdout
    assert done.stderr == ""
