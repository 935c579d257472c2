"""The files of a project, and what `apply` makes of them: all that can be known before is known before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

import sqlml
from sqlml.errors import BadFile, BadRefresh, NoProject, TableCycle
from sqlml.query.project import read_project
from tables import small
from tables.small import ask, fails, frame, utc

RISK = "CREATE FUNCTION risk USING MODEL 'models:/risk@champion';"
DAILY = (
    "CREATE PREDICTION TABLE daily INCREMENTAL ON ts EVERY INTERVAL '1' DAY {clauses} AS\n"
    "SELECT id, ts, a, b, risk_score(e) AS risk\nFROM events AS e{where};"
)


@pytest.fixture
def write(project):
    """Writes files of the project, by name and text; None takes one away."""
    return writer(project)


def writer(project: Path):
    def write(**texts: str | None) -> None:
        for name, text in texts.items():
            path = project / ("udfs" if name.startswith("f_") else "sql") / f"{name}.sql"
            path.parent.mkdir(exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")

    return write


def daily(clauses: str = "", where: str = "") -> str:
    return DAILY.format(clauses=clauses, where=where)


def done(changes):
    return {change.name: change.action for change in changes}


def state(db: sqlml.Session):
    """All that a change would move: the catalog's counters, and the folders of tables."""
    catalog = db._backing.catalog
    folder = db.predictions.desk.folder
    return catalog.activity(), catalog.snapshot().revision, sorted(folder.rglob("*")) if folder.is_dir() else []


def only(changes, name: str = "daily"):
    (found,) = [change for change in changes if change.name == name]
    return found


def test_what_the_files_declare_comes_to_be_in_the_order_of_reading(db, write):
    write(
        f_risk=RISK + "CREATE FUNCTION other USING MODEL 'models:/risk/2';",
        a_late="-- reads the others\nCREATE PREDICTION TABLE late AS\nSELECT count(*) AS n, avg(risk) AS risk, "
        "max(days) AS d FROM predictions.daily, predictions.by_day;",
        by_day="CREATE OR REPLACE PREDICTION TABLE by_day AS SELECT count(*) AS days, avg(other_score(d)) AS o "
        "FROM predictions.daily AS d;",
        daily=daily("LOOKBACK INTERVAL '2' DAY"),
        question="-- What is a prediction table?\nSELECT 1;",
    )
    before = state(db)
    planned = db.plan_project()
    assert db.apply(plan_only=True) == planned
    assert state(db) == before
    assert [(one.kind, one.action, one.name) for one in planned] == [
        ("function", "change", "risk"), ("function", "create", "other"),
        ("table", "create", "daily"), ("table", "create", "by_day"), ("table", "create", "late"),
    ]  # fmt: skip
    assert [str(one) for one in planned[0].differences] == ["file: none -> udfs/f_risk.sql"]
    assert db.apply() == planned
    assert db.sql("SELECT name, file FROM sqlml.functions ORDER BY 1").fetchall() == [
        ("other", "udfs/f_risk.sql"), ("risk", "udfs/f_risk.sql"),
    ]  # fmt: skip
    for name in ("daily", "by_day", "late"):
        ask(db, name)
    assert db.sql("SELECT n, d FROM predictions.late").fetchall() == [(40, 40)]


def test_a_second_apply_writes_nothing(db, write):
    write(daily=daily(), other="CREATE PREDICTION TABLE other AS SELECT id, risk FROM predictions.daily")
    db.apply()
    ask(db)
    before = state(db)
    assert set(done(db.apply()).values()) == {"unchanged"}
    assert state(db) == before


WRONG = {
    "audit": (daily("AUDIT (not_null(rsk))"), "no column 'rsk'"),
    "key": (daily("KEY (ident)"), "no column 'ident'"),
    "cron": (daily("SCHEDULE CRON '61 * * * *'"), "no cron expression"),
    "zone": (daily("SCHEDULE CRON '1 * * * *' AT TIME ZONE 'Europe/Berln'"), "Did you mean 'Europe/Berlin'"),
    "interval": (daily("LOOKBACK INTERVAL '2' DAZE"), "no interval"),
    "clause": (daily("SCHEDULED CRON '1 * * * *'"), "no clause 'SCHEDULED'"),
    "option": (daily("OPTIONS (retention = 'long')"), "no interval"),
    "source": (daily().replace("events", "evnts"), "evnts"),
    "column": (daily().replace("id, ", "idd, "), "idd"),
    "function": (daily().replace("risk_score", "rsk_score"), "rsk_score"),
    "reads": ("CREATE PREDICTION TABLE last AS SELECT * FROM predictions.godo", "Did you mean 'good'"),
    "type": ("CREATE PREDICTION TABLE last AS SELECT INTERVAL '1' DAY AS x", "no Delta table has"),
    "quote": ("CREATE PREDICTION TABLE last AS SELECT 'x", "doesn't end"),
    "mixed": (daily() + "SELECT 1", "stands beside other statements"),
    "twice": ("CREATE PREDICTION TABLE Good AS SELECT 1 AS x", "stands in 'sql/good.sql' too"),
    "itself": (daily() + daily(), "stands in it twice"),
    "engines": (daily("OPTIONS (engine = 'spark')") + daily().replace(" daily", " b"), "several engines"),
    "engine": ("CREATE PREDICTION TABLE last OPTIONS (engine = 'flink') AS SELECT 1 AS x", "'duckdb', 'spark'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_after_an_error_in_the_last_file_nothing_is_changed(db, write, case):
    text, said = WRONG[case]
    write(good="CREATE PREDICTION TABLE good AS SELECT *, risk(e) AS late FROM events AS e", zz_last=text)
    before = state(db)
    error = fails(BadFile, said, db.apply)
    assert str(error).startswith("In 'sql/zz_last.sql': ")
    assert str(error).endswith("Nothing was changed.")
    fails(BadFile, said, db.plan_project)
    assert state(db) == before


FRESH = {
    "fresh_score(1, 2, 3)": "argument",
    "fresh(x)": "x",
    "predict('fresh@nobody', e)": "nobody",
    "predict('fresh/9', e)": "9",
    "fresh_explain(e)": "fresh_explain",
}


def test_nor_after_an_error_with_a_function_that_is_new(db, write):
    write(f_risk=RISK + "CREATE FUNCTION fresh USING MODEL 'models:/risk/2';")
    for call, said in FRESH.items():
        write(zz_last=daily().replace("risk_score(e)", call))
        before = state(db)
        error = fails(BadFile, said, db.apply)
        assert "'sql/zz_last.sql'" in str(error)
        assert state(db) == before
    assert [one.name for one in db.functions()] == ["risk"]


WRONG_FUNCTIONS = {
    "CREATE FUNCTION sum USING MODEL 'models:/risk/2'": "'sum' can't be made",
    "CREATE FUNCTION good_score USING MODEL 'models:/risk/2'": "'good_score' can't be made",
    "CREATE FUNCTION final USING MODEL 'risk'": "no model reference",
    "CREATE FUNCTION final USING MODEL 'models:/risk/9'": "has no version",
    "CREATE FUNCTION final USING MODEL 'models:/risk/2' OPTIONS (on_nul = 'pass')": "on_null",
    "SELECT 1": "something else than CREATE FUNCTION",
    "-- gr\udcf6\udcdfe": "no text in UTF-8",
}


def test_nor_after_an_error_in_the_last_function(db, project, write):
    write(f_good=RISK + "CREATE FUNCTION good USING MODEL 'models:/risk/2';", daily=daily())
    for text, said in WRONG_FUNCTIONS.items():
        (project / "udfs" / "z.sql").write_bytes(text.encode("utf-8", "surrogateescape"))
        before = state(db)
        error = fails(BadFile, said, db.apply)
        assert "'udfs/z.sql'" in str(error)
        assert state(db) == before


def test_a_cycle(db, write):
    write(
        a="CREATE PREDICTION TABLE a AS SELECT * FROM predictions.b",
        b="CREATE PREDICTION TABLE b AS SELECT * FROM predictions.a",
    )
    before = state(db)
    fails(TableCycle, "read each other", db.apply)
    assert state(db) == before


def test_two_tables_that_change_places(db, write):
    write(
        a="CREATE PREDICTION TABLE a AS SELECT 1 AS x",
        b="CREATE PREDICTION TABLE b AS SELECT x + 1 AS x FROM predictions.a",
    )
    db.apply()
    write(
        a="CREATE PREDICTION TABLE a AS SELECT x + 1 AS y FROM predictions.b",
        b="CREATE PREDICTION TABLE b AS SELECT 2 AS x",
    )
    assert done(db.apply()) == {"b": "change", "a": "change"}
    for name in ("b", "a"):
        ask(db, name, full=True)
    assert db.sql("SELECT y FROM predictions.a").fetchall() == [(3,)]


def test_a_column_that_a_table_will_have(db, write):
    """A table that reads another is planned against its columns as they will be, in both directions."""
    write(a="CREATE PREDICTION TABLE a AS SELECT 1 AS x", b="CREATE PREDICTION TABLE b AS SELECT x FROM predictions.a")
    db.apply()
    write(a="CREATE PREDICTION TABLE a AS SELECT 1 AS y", b="CREATE PREDICTION TABLE b AS SELECT y FROM predictions.a")
    assert done(db.plan_project()) == {"a": "change", "b": "change"}
    write(b="CREATE PREDICTION TABLE b AS SELECT x, 1 AS z FROM predictions.a")
    fails(BadFile, "sql/b.sql", db.plan_project)


CLAUSES = {
    "schedule": ("SCHEDULE CRON '0 3 * * *'", "SCHEDULE CRON '0 4 * * *'", "0 3 * * * UTC -> 0 4 * * * UTC"),
    "audit": ("AUDIT (min_rows(1))", "AUDIT (min_rows(2), min_rows(3))", "min_rows(1) -> min_rows(2), min_rows(3)"),
    "lookback": ("", "LOOKBACK INTERVAL '2 days'", "none -> 2 days"),
    "comment": ("OPTIONS (comment = 'a')", "", "a -> none"),
    "retention": ("OPTIONS (retention = '9 days')", "OPTIONS (retention = '8 days')", "9 days -> 8 days"),
}  # fmt: skip


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_clause_that_differs_is_shown(db, write, clause):
    before, after, shown = CLAUSES[clause]
    write(daily=daily(before))
    db.apply()
    ask(db)
    write(daily=daily(after))
    change = only(db.plan_project())
    assert (change.action, [str(one) for one in change.differences]) == ("change", [f"{clause}: {shown}"])
    assert change.means == (() if clause == "comment" else ("new windows only",))
    assert done(db.apply()) == {"daily": "change"}
    assert done(db.plan_project()) == {"daily": "unchanged"}
    assert ask(db, stale=True).runs == ()


def test_layout_comments_and_case_are_no_change(db, write):
    write(daily=daily("LOOKBACK INTERVAL '2' DAY KEY (id) AUDIT (min_rows(1), not_null(risk))"))
    db.apply()
    again = daily("lookback interval '2 days'  KEY (ID) AUDIT (not_null(risk), min_rows(1))")
    write(daily="/* new; */ " + again.replace("CREATE", "create or replace").replace("SELECT", "select -- all\n"))
    assert done(db.plan_project()) == {"daily": "unchanged"}


def test_a_query_that_differs_makes_windows_stale(db, write, world, source):
    write(daily=daily())
    db.apply()
    ask(db)
    write(daily=daily(where=" WHERE id >= 4"))
    change = only(db.plan_project())
    assert change.means == ("5 of 5 windows become stale (the query has changed): --stale restates them",)
    assert (
        change.diff == " SELECT id, ts, a, b, risk_score(e) AS risk\n-FROM events AS e\n+FROM events AS e WHERE id >= 4"
    )
    assert change.to_json()["differences"][0]["what"] == "query"
    db.apply()
    assert len(ask(db, stale=True).runs) == 5
    small.same_scores(world, frame(db), source[4:])


def test_other_columns_must_be_rebuilt(db, write):
    write(daily=daily())
    db.apply()
    ask(db)
    write(daily=daily().replace("id, ts", "id AS ident, ts"))
    assert only(db.plan_project()).means == ("must be rebuilt: REFRESH PREDICTION TABLE daily FULL",)
    db.apply()
    db.sql("REFRESH PREDICTION TABLE daily FULL")
    assert done(db.plan_project()) == {"daily": "unchanged"}


def test_partitions_stay(db, write):
    write(daily=daily())
    db.apply()
    write(daily=daily("PARTITIONED BY (id)"))
    assert str(only(db.apply()).differences[0]) == "partitioned by: none -> id"
    ask(db)
    write(daily=daily())
    before = state(db)
    fails(BadFile, "DROP it first", db.apply)
    assert state(db) == before


def test_a_table_without_windows_is_replaced_by_its_next_refresh(db, write):
    write(whole="CREATE PREDICTION TABLE whole AS SELECT id, risk_score(e) AS risk FROM events AS e")
    db.apply()
    ask(db, "whole")
    write(whole="CREATE PREDICTION TABLE whole AS SELECT id, risk_score(e) / 2 AS risk FROM events AS e")
    assert only(db.plan_project(), "whole").means == ("the next refresh replaces it",)


def client(world: small.World) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=world.registry, registry_uri=world.registry)


@pytest.fixture
def own(world, tmp_path):
    """A registry of the test's own."""
    return world.whole(tmp_path / "own")


@pytest.fixture
def moving(own, source):
    """A session on it."""
    with sqlml.connect(project=own.folder) as session:
        small.fill(session, source)
        yield session


def test_a_model_that_has_moved(moving, own, source):
    write = writer(own.folder)
    write(f_risk=RISK, daily=daily(), other="CREATE PREDICTION TABLE other AS SELECT 1 AS x")
    moving.apply()
    ask(moving, now=utc(2024, 3, 5))
    client(own).set_registered_model_alias("risk", "champion", "2")
    before = state(moving)
    planned = moving.plan_project()
    assert state(moving) == before
    assert done(planned) == {"risk": "sync", "daily": "moved", "other": "unchanged"}
    assert planned[0].detail == "version: 1 -> 2; @champion has moved"
    assert only(planned).means == ("4 of 4 windows become stale (risk 1 -> 2): --stale restates them",)
    assert moving.apply() == planned
    assert moving.function("risk").version == "2"
    assert set(done(moving.apply()).values()) == {"unchanged"}
    ask(moving, stale=True)
    small.same_scores(own, frame(moving)[:32], source[:32], 2)


def test_a_model_that_no_longer_fits_does_not_move(moving, own):
    write = writer(own.folder)
    write(f_risk=RISK, daily=daily())
    moving.apply()
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["a", "missing"])
    small.log(LogisticRegression().fit(rows, rows.a > 0), rows, "champion", own.registry)
    before = state(moving)
    error = fails(BadFile, "'missing'", moving.apply)
    assert "sql/daily.sql" in str(error)
    assert state(moving) == before
    assert moving.function("risk").version == "1"


def test_what_no_file_declares_any_more(db, write, project):
    write(
        f_risk=RISK, f_other="CREATE FUNCTION other USING MODEL 'models:/risk/2'", daily=daily(),
        more="CREATE PREDICTION TABLE more AS SELECT other_score(e) AS x FROM events AS e",
    )  # fmt: skip
    db.apply()
    db.register("mine", "models:/risk/2")
    small.declare(db, "", name="by_hand")
    ask(db, "more")
    write(f_other=None, more=None)
    planned = db.plan_project()
    assert done(planned) == {"risk": "unchanged", "other": "removed", "daily": "unchanged", "more": "removed"}
    assert only(planned, "more").detail == "kept: --prune drops it and its data"
    assert only(planned, "other").file == "udfs/f_other.sql"
    before = state(db)
    assert db.apply() == planned
    assert state(db) == before
    assert done(db.plan_project(prune=True))["more"] == "removed"
    assert state(db) == before
    db.apply(prune=True)
    assert [one.name for one in db.functions()] == ["mine", "risk"]
    assert [one.name for one in db.predictions.desk.tables.all()] == ["by_hand", "daily"]
    assert not (project / "tables" / "more").exists()
    assert set(done(db.apply(prune=True)).values()) == {"unchanged"}


def test_what_is_still_needed_is_not_pruned(db, write):
    needed = {
        "call": "other_score(e)",
        "generic": "predict('other', e)",
        "read": "(SELECT max(x) FROM predictions.more)",
    }
    write(
        f_other="CREATE FUNCTION other USING MODEL 'models:/risk/2'",
        more="CREATE PREDICTION TABLE more AS SELECT 1 AS x",
        **{
            name: f"CREATE PREDICTION TABLE {name} AS SELECT {sql} AS y FROM events AS e"
            for name, sql in needed.items()
        },
        ml="CREATE PREDICTION TABLE ml AS SELECT predicted_late FROM ML.PREDICT(MODEL other, TABLE events)",
    )
    db.apply()
    before = state(db)
    write(f_other=None, more=None)
    for name in (*needed, "ml"):
        fails(BadFile, f"sql/{name}.sql", lambda: db.apply(prune=True))
        write(**{name: None})
    assert state(db) == before
    small.declare(db, "", query="SELECT predict('other', e) AS y FROM events AS e", name="by_hand")
    fails(BadRefresh, "'by_hand' .* needs 'other'", lambda: db.apply(prune=True))
    assert set(done(db.plan_project()).values()) == {"removed"}


def test_what_was_made_by_hand_comes_under_a_file(db, write):
    db.sql(daily())
    write(daily=daily())
    change = only(db.apply())
    assert (change.action, change.detail) == ("change", "file: none -> sql/daily.sql")
    assert done(db.apply()) == {"daily": "unchanged"}
    db.sql(daily().replace("CREATE", "CREATE OR REPLACE"))
    assert only(db.plan_project()).detail == "file: none -> sql/daily.sql"


def test_a_call_that_names_a_version_which_the_catalog_does_not_know(db, write):
    asked = "predict('fresh@challenger', e) AS c, predict('fresh/1', e) AS one"
    write(
        f_fresh="CREATE FUNCTION fresh USING MODEL 'models:/risk/1'",
        t=f"CREATE PREDICTION TABLE t AS SELECT id, {asked} FROM events AS e",
    )
    before = state(db)
    assert done(db.plan_project()) == {"fresh": "create", "t": "create"}
    assert state(db) == before
    db.apply()
    ask(db, "t")
    held = db.sql("SELECT DISTINCT _model FROM predictions.t").fetchall()
    assert held == [
        ({"fresh@challenger": {"model": "risk", "version": "2"}, "fresh/1": {"model": "risk", "version": "1"}},)
    ]


def test_a_folder_that_holds_something_is_known_before(db, write, project):
    (project / "tables" / "daily").mkdir(parents=True)
    (project / "tables" / "daily" / "notes.txt").write_text("mine")
    write(a="CREATE PREDICTION TABLE a AS SELECT 1 AS x", daily=daily())
    fails(BadFile, "holds something already", db.apply)
    assert db.predictions.desk.tables.all() == []


def test_there_must_be_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlml.connect() as session:
        fails(NoProject, "sqlml init", session.apply)


def test_no_table_needs_no_delta(world, tmp_path):
    """Who declares none need not have installed what tables need."""
    project = world.copy(tmp_path / "project")
    writer(project)(question="SELECT 1 -- a prediction table")
    script = (
        "import sys\nsys.modules['deltalake'] = None\nimport sqlml\n"
        "with sqlml.connect(project=sys.argv[1]) as db:\n"
        "    print(db.apply())\n"
        "    open(sys.argv[1] + '/sql/t.sql', 'w').write('CREATE PREDICTION TABLE t AS SELECT 1 AS x')\n"
        "    try: db.apply()\n"
        "    except sqlml.SqlmlError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(project)],
        capture_output=True, text=True, check=True, timeout=120, env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "[]"
    assert "pip install 'sqlml[tables]'" in done.stdout.splitlines()[1]


SPARK = "CREATE PREDICTION TABLE {name} OPTIONS (engine = 'spark') AS SELECT `a b`, 'it\\'s' AS s FROM t"


def test_a_file_is_of_one_engine(tmp_path):
    writer(tmp_path)(
        a="CREATE PREDICTION TABLE a AS SELECT 1; CREATE PREDICTION TABLE b OPTIONS (engine = 'duckdb') AS SELECT 2",
        c=f"{SPARK.format(name='c')}; {SPARK.format(name='d')}",
        e="SELECT `a b`, 'it\\'s' FROM t -- Spark's, and no prediction table",
        f="CREATE /* a */ PREDICTION -- b\nTABLE f AS SELECT 'CREATE PREDICTION TABLE x'; -- the end",
    )
    found = read_project(tmp_path, "duckdb").tables
    assert [(one.statement.name, one.engine, one.file) for one in found] == [
        ("a", "duckdb", "sql/a.sql"), ("b", "duckdb", "sql/a.sql"),
        ("c", "spark", "sql/c.sql"), ("d", "spark", "sql/c.sql"), ("f", "duckdb", "sql/f.sql"),
    ]  # fmt: skip
    assert found[2].statement.query == "SELECT `a b`, 'it\\'s' AS s FROM t"
    writer(tmp_path)(g="CREATE PREDICTION TABLE g AS SELECT 'it\\'s'")
    fails(BadFile, "doesn't end", lambda: read_project(tmp_path, "duckdb"))
    writer(tmp_path)(a=None, f=None)
    assert [(one.statement.name, one.engine) for one in read_project(tmp_path, "spark").tables][-1] == ("g", "spark")


@pytest.mark.long
@pytest.mark.spark
def test_a_table_of_another_engine_is_planned_there(world, tmp_path, source):
    """In a process of its own: the session on Spark is one that sqlml makes and ends, where there is a need for it."""
    project = world.copy(tmp_path / "project", '[sources]\nevents = "events.parquet"\n')
    pq.write_table(pa.Table.from_pandas(source, preserve_index=False), project / "events.parquet")
    writer(project)(
        here="CREATE PREDICTION TABLE here AS SELECT id, risk_score(e) AS risk FROM events AS e",
        there="CREATE PREDICTION TABLE there OPTIONS (engine = 'spark') AS\n"
        "SELECT `id`, risk_score(e) AS `the risk` FROM events AS e JOIN predictions.here USING (id)",
    )
    script = (
        "import sys, sqlml\n"
        "with sqlml.connect(project=sys.argv[1]) as db:\n"
        "    print([one.action for one in db.apply()])\n"
        "    sys.modules['pyspark'] = None\n"
        "    print([one.action for one in db.apply()])\n"
        "    print(db.sql('SELECT name, engine, dialect FROM sqlml.prediction_tables ORDER BY 1').fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(project)],
        capture_output=True, text=True, check=False, timeout=300, env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['create', 'create']",
        "['unchanged', 'unchanged']",
        "[('here', None, 'duckdb'), ('there', 'spark', 'spark')]",
    ]
