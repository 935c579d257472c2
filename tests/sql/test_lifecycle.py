"""Functions are made, changed, dropped and moved; other sessions and processes see it."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import sqlml
from sql import world as worlds
from sql.asking import answers, same
from sql.conftest import fill
from sql.test_threads import environment


@pytest.fixture(scope="module")
def copied(world, pairs, tmp_path_factory):
    """A session over a catalog that these tests may change: one, for its child process takes seconds to start."""
    with sqlml.connect(project=world.copy(tmp_path_factory.mktemp("copied") / "project")) as session:
        fill(session, pairs=pairs)
        yield session


def column(relation):
    return [value for (value,) in relation.fetchall()]


def test_create_change_and_drop(copied, models):
    made = copied.sql(
        "CREATE FUNCTION f USING MODEL 'models:/logit@champion' OPTIONS (on_null = 'error', comment = 'it''s; mine')"
    )
    assert made.fetchall()[0][:3] == ("f, f_score, f_proba", "logit", "1")
    same(column(copied.sql("SELECT f(*) FROM pairs ORDER BY id")), answers(models["logit"]))
    assert copied.function("F").comment == "it's; mine"
    with pytest.raises(sqlml.SqlmlError, match="OR REPLACE"):
        copied.sql("create function F using model 'models:/line/1'")
    copied.sql("CREATE OR REPLACE FUNCTION f USING MODEL 'models:/line/1'")
    same(column(copied.sql("SELECT f(*) FROM pairs ORDER BY id")), answers(models["line"]))
    assert copied.function("f").on_null == "propagate"
    with pytest.raises(sqlml.SqlmlError, match="'f' has no score"):
        copied.sql("SELECT f_score(*) FROM pairs")
    with pytest.raises(sqlml.SqlmlError, match="'f' has no score"):
        copied.sql("CREATE VIEW v AS SELECT f_score(*) FROM pairs")
    assert copied.sql("DROP FUNCTION f").fetchall() == [("f",)]
    with pytest.raises(sqlml.SqlmlError, match="f"):
        copied.sql("SELECT f(*) FROM pairs")
    copied.sql("DROP FUNCTION IF EXISTS f")
    with pytest.raises(sqlml.SqlmlError, match="No function is named 'f'"):
        copied.sql("DROP FUNCTION f")
    left = "SELECT count(*) FROM duckdb_functions() WHERE function_name IN ('f', 'f_score', 'f_proba')"
    assert copied.sql(left).fetchall() == [(0,)]
    assert copied.sql("SELECT count(*) FROM sqlml.versions WHERE model = 'logit'").fetchall()[0][0] >= 1


def test_show_and_describe(reader):
    shown = reader.sql("SHOW FUNCTIONS")
    assert shown.columns[:5] == ["name", "arguments", "returns", "model", "version"]
    assert len(shown.fetchall()) == len(reader.functions())
    assert column(reader.sql("SELECT name FROM sqlml.functions WHERE name LIKE 'chu%'")) == ["churn"]
    for pattern, names in (
        ("'chu%'", ["churn"]),
        ("'CHURN'", ["churn"]),
        ("'%_label'", ["bool_label", "int_label", "null_label"]),
        ("'l_n_'", ["line"]),
        ("'.*'", []),
        ("'nope'", []),
    ):
        assert [row[0] for row in reader.sql(f"SHOW FUNCTIONS LIKE {pattern};").fetchall()] == names
    rows = reader.sql("DESCRIBE FUNCTION Churn").fetchall()
    assert [(name, value) for item, name, value, _ in rows if item == "argument"] == [
        ("tenure", "BIGINT"), ("price", "DOUBLE"), ("plan", "VARCHAR"), ("region", "VARCHAR"),
    ]  # fmt: skip
    told = {item: value for item, _, value, _ in rows if item != "argument"}
    assert list(told)[:7] == ["returns", "classes", "label", "model", "version", "run", "strategy"]
    assert (told["returns"], told["classes"], told["model"], told["version"], told["strategy"]) == (
        "VARCHAR",
        "no, yes",
        "churn",
        "1",
        "kernel",
    )
    assert "0 labels differ" in told["proof"]


def test_a_failed_create_leaves_the_old_one(copied, models):
    before = copied.function("line")
    for text in (
        "CREATE OR REPLACE FUNCTION line USING MODEL 'models:/nothing/1'",
        "CREATE OR REPLACE FUNCTION line USING MODEL 'models:/line/77'",
        "CREATE OR REPLACE FUNCTION line USING MODEL 'models:/line/1' OPTIONS (strategy = 'fast')",
    ):
        with pytest.raises(sqlml.SqlmlError):
            copied.sql(text)
    assert copied.function("line") == before
    same(column(copied.sql("SELECT line(*) FROM pairs ORDER BY id")), answers(models["line"]))


@pytest.fixture
def moving(world):
    """The model `moving`, whose alias `live` is at its first version."""
    worlds.log(world.models["logit"], "moving", "live", world.registry)
    return world


def test_an_alias_that_moves(moving, copied):
    copied.sql("CREATE FUNCTION m USING MODEL 'models:/moving@live'")
    copied.sql("CREATE FUNCTION pinned USING MODEL 'models:/moving/1'")
    copied.sql("CREATE VIEW v AS SELECT id, m_score(*) AS s FROM pairs")
    old, new = moving.models["logit"], moving.models["strict"]
    worlds.log(new, "moving", "live", moving.registry)
    text = "SELECT m_score(*) FROM pairs ORDER BY id"
    same(column(copied.sql(text)), answers(old, "score"))
    assert copied.sync("pinned") == []
    (moved,) = copied.sync()
    assert (moved.function, moved.previous, moved.version) == ("m", "1", "2")
    same(column(copied.sql(text)), answers(new, "score"))
    same(column(copied.sql("SELECT s FROM v ORDER BY id")), answers(new, "score"))
    same(column(copied.sql("SELECT pinned_score(*) FROM pairs ORDER BY id")), answers(old, "score"))
    same(column(copied.sql("SELECT predict_score('m/1', *) FROM pairs ORDER BY id")), answers(old, "score"))
    assert copied.sync() == []
    history = "SELECT version, previous FROM sqlml.alias_history WHERE model = 'moving' ORDER BY seen_at"
    assert copied.sql(history).fetchall() == [("1", None), ("2", "1")]


THEIRS = """
import sqlml, sys
with sqlml.connect(project=sys.argv[1]) as db:
    db.sql("CREATE FUNCTION theirs USING MODEL 'models:/line/1'")
"""


@pytest.mark.long
def test_another_process_s_function_is_there_at_the_next_statement(copied, models):
    """But for one in a transaction: it goes on as it was, and sees the new one when it is over."""
    text = "SELECT theirs(*) FROM pairs ORDER BY id"
    copied.sql("BEGIN; CREATE TABLE t AS SELECT 1 AS x")
    with pytest.raises(sqlml.SqlmlError, match="theirs"):
        copied.sql(text)
    copied.sql("ROLLBACK; BEGIN; CREATE TABLE t AS SELECT 1 AS x")
    subprocess.run([sys.executable, "-c", THEIRS, str(copied.settings.project)], check=True, env=environment())
    same(column(copied.sql("SELECT line(*) FROM pairs ORDER BY id")), answers(models["line"]))
    with pytest.raises(sqlml.SqlmlError, match="COMMIT or ROLLBACK"):
        copied.sql(text)
    copied.sql("ROLLBACK")
    same(column(copied.sql(text)), answers(models["line"]))
    assert ("theirs",) in copied.sql("SELECT name FROM sqlml.functions").fetchall()
    copied.sql("CREATE OR REPLACE VIEW v AS SELECT theirs(*) AS y FROM pairs ORDER BY id")
    same(column(copied.sql("FROM v")), answers(models["line"]))


def test_apply_is_idempotent(copied):
    udfs = copied.settings.project / "udfs"
    udfs.mkdir()
    (udfs / "a.sql").write_text(
        "-- two; of them\nCREATE FUNCTION one USING MODEL 'models:/line@champion';\n"
        "CREATE FUNCTION two USING MODEL 'models:/logit/1' OPTIONS (on_null = 'pass', comment = ';');\n",
        encoding="utf-8",
    )

    def actions(**options):
        return [(change.action, change.name) for change in copied.apply(**options)]

    assert actions(plan_only=True) == [("create", "one"), ("create", "two")]
    assert [held.name for held in copied.functions("o_e")] == []
    assert actions() == [("create", "one"), ("create", "two")]
    before = copied.sql("SELECT * FROM sqlml.functions ORDER BY name").fetchall()
    assert actions() == actions(plan_only=True) == [("unchanged", "one"), ("unchanged", "two")]
    assert copied.sql("SELECT * FROM sqlml.functions ORDER BY name").fetchall() == before
    (udfs / "a.sql").write_text(
        "CREATE FUNCTION one USING MODEL 'models:/line@champion' OPTIONS (on_null = 'error')", encoding="utf-8"
    )
    assert actions() == [("change", "one"), ("removed", "two")]
    assert copied.function("one").on_null == "error"
    (udfs / "b.sql").write_text("SELECT 1", encoding="utf-8")
    with pytest.raises(sqlml.SqlmlError, match=r"udfs/b\.sql"):
        copied.apply()


def test_functions_of_the_user_s_are_not_ours(db):
    db.sql("CREATE MACRO mine(x) AS x + 1")
    with pytest.raises(sqlml.SqlmlError, match="'mine' can't be made"):
        db.sql("CREATE FUNCTION mine USING MODEL 'models:/line/1'")
    assert db.sql("SELECT mine(1)").fetchall() == [(2,)]
    db.sql("DROP FUNCTION mine")
    with pytest.raises(sqlml.SqlmlError, match="mine"):
        db.sql("SELECT mine(1)")


def test_ml_predict(db, models, people):
    found = db.sql("SELECT * FROM ML.PREDICT(MODEL churn, (SELECT * FROM people ORDER BY id))")
    assert found.columns == [*people.columns, "predicted_churned", "predicted_churned_probs"]
    rows = sorted(found.fetchall(), key=lambda row: row[4])
    same([row[-2] for row in rows], answers(models["churn"]))
    chances = [{one["label"]: one["prob"] for one in row[-1]} for row in rows]
    same(chances, answers(models["churn"], "proba"))
    text = 'SELECT id, predicted_churned FROM ML.PREDICT(MODEL "churn@champion", TABLE people, STRUCT(0.3 AS threshold)) ORDER BY id'
    wanted = ["yes" if score >= 0.3 else "no" for score in answers(models["churn"], "score")]
    same([label for _, label in db.sql(text).fetchall()], wanted)
    values = db.sql("SELECT predicted_y FROM ML.PREDICT(MODEL line, TABLE pairs) ORDER BY id").fetchall()
    same([value for (value,) in values], answers(models["line"]))
    assert isinstance(people, pd.DataFrame)
