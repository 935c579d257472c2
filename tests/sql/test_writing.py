"""`db.write`: the same rows whichever engine writes them and however, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sqlml
from sql.asking import answers, same
from sqlml.errors import BadCast, BadSetting, TargetExists
from sqlml.models.predictor import Predictor

QUERY = "SELECT id, churn(p) AS label, churn_score(p) AS score, tenure + 1 AS more FROM people AS p WHERE tenure > 20"


@pytest.fixture(scope="module")
def files(tmp_path_factory, people) -> Path:
    """The people in three files of several row groups."""
    folder = tmp_path_factory.mktemp("people")
    table = pa.Table.from_pandas(people, preserve_index=False)
    for i in range(3):
        pq.write_table(table.slice(i * 100, 100), folder / f"{i}.parquet", row_group_size=30)
    return folder


@pytest.fixture(scope="module", params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def session(request, world, files) -> Iterator[sqlml.Session]:
    if request.param == "spark":
        spark = request.getfixturevalue("spark").newSession()
        spark.read.parquet(str(files)).createOrReplaceTempView("people")
        with sqlml.connect(spark, project=world.folder, publish="needed") as held:
            yield held
    else:
        with sqlml.connect(project=world.folder) as held:
            held.sql(f"CREATE VIEW people AS FROM read_parquet('{files}/*.parquet')")
            yield held


def read(folder: Path) -> pd.DataFrame:
    return pq.read_table(folder).to_pandas().sort_values("id", ignore_index=True)


@pytest.mark.parametrize("by_files", [True, False])
def test_the_rows_are_the_model_s(session, models, people, tmp_path, by_files):
    written = session.write(QUERY, tmp_path / "out", by_files=by_files)
    found, wanted = read(tmp_path / "out"), people[people.tenure > 20].reset_index(drop=True)
    assert written.rows == len(found) == len(wanted)
    assert list(found.columns) == ["id", "label", "score", "more"]
    assert found.id.tolist() == wanted.id.tolist()
    assert found.more.tolist() == (wanted.tenure + 1).tolist()
    same(found.label.tolist(), answers(models["churn"], "predict", wanted))
    same(found.score.tolist(), answers(models["churn"], "score", wanted))
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing else is left"


def test_what_is_there_is_replaced_as_a_whole_or_stays(session, tmp_path):
    session.write(QUERY, tmp_path / "out")
    before = read(tmp_path / "out")
    with pytest.raises(TargetExists, match="overwrite"):
        session.write(QUERY, tmp_path / "out")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        session.write(
            "SELECT id, churn_score('x', price, plan, region) AS s FROM people", tmp_path / "out", mode="overwrite"
        )
    assert isinstance(raised.value, BadCast) or isinstance(session.engine_error(raised.value), BadCast)
    assert read(tmp_path / "out").equals(before)
    session.write("SELECT id, churn(p) AS label FROM people p WHERE id < 5", tmp_path / "out", mode="overwrite")
    assert read(tmp_path / "out").id.tolist() == [0, 1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(BadSetting, match="mode"):
        session.write(QUERY, tmp_path / "out", mode="append")


def test_no_rows_and_partitions(session, people, tmp_path):
    assert session.write("SELECT id, churn(p) AS label FROM people p WHERE id < 0", tmp_path / "none").rows == 0
    session.write("SELECT id, plan, churn(p) AS label FROM people p", tmp_path / "by", partition_by=["plan"])
    assert sorted(path.name for path in (tmp_path / "by").glob("plan=*")) == ["plan=basic", "plan=plus", "plan=pro"]
    found = pq.read_table(tmp_path / "by").to_pandas().sort_values("id", ignore_index=True)
    assert found.plan.astype(str).tolist() == people.plan.tolist()


def test_a_library_is_asked_for_many_rows_at_once(world, models, people, tmp_path, monkeypatch):
    folder = world.copy(tmp_path / "project")
    with sqlml.connect(project=folder) as db:
        db.register("slow", "models:/churn@champion", strategy="python")
        db.sql("CREATE TABLE people AS FROM people")
        text = "SELECT id, slow(p) AS label, slow_proba(p) AS chances, id + 1 AS more FROM people p WHERE id < {}"
        asked = []
        ask = Predictor.__call__
        monkeypatch.setattr(
            Predictor, "__call__", lambda self, output, given: asked.append(len(given[0])) or ask(self, output, given)
        )
        db.sql("INSERT INTO people SELECT p.* REPLACE (id + 10000 AS id) FROM people p, range(10)")
        written = db.write(text.format(10**6), tmp_path / "out")
        assert (written.rows, max(asked)) == (3300, 3300), "not 2,048"
        db.sql("DELETE FROM people WHERE id >= 10000")
        db.write(text.format(10**6), tmp_path / "out", mode="overwrite")
        found = read(tmp_path / "out")
        same(found.label.tolist(), answers(models["churn"]))
        same([dict(pairs) for pairs in found.chances], answers(models["churn"], "proba"))
        assert list(found.columns) == ["id", "label", "chances", "more"]
        assert db.write(text.format(-1), tmp_path / "none").rows == 0
        with pytest.raises(BadCast, match="'tenure'"):
            db.write("SELECT slow('x', price, plan, region) AS s FROM people", tmp_path / "bad")
        assert not (tmp_path / "bad").exists()


@pytest.mark.spark
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT plan, avg(churn_score(p)) AS s FROM people p GROUP BY plan", "GROUP BY"),
        ("SELECT churn(p) AS c FROM people p ORDER BY id", "ORDER BY"),
        ("SELECT churn(p) AS c FROM people p JOIN people q USING (id)", "join"),
        ("SELECT churn(p) AS c FROM (SELECT * FROM people) p", "one table"),
        ("SELECT upper(churn(p)) AS c FROM people p", "UPPER"),
        ("SELECT churn(p) AS c FROM filtered p", "view"),
        ("SELECT churn(p) AS c FROM held p", "view"),
    ],
)
def test_spark_keeps_what_parts_can_t_answer(spark, world, files, text, reason):
    fresh = spark.newSession()
    frame = fresh.read.parquet(str(files))
    frame.createOrReplaceTempView("people")
    frame.where("id > 3").createOrReplaceTempView("filtered")
    fresh.createDataFrame(frame.toArrow()).createOrReplaceTempView("held")
    with sqlml.connect(fresh, project=world.folder, publish="needed") as db:
        _, way, why = db.explain_write(text)
        assert way == "rows"
        assert reason in why
        assert db.explain_write(QUERY)[1] == "files"


@pytest.mark.spark
def test_spark_s_parts_answer_what_a_rewrite_would_put_into_a_subquery(spark, world, files, models, tmp_path):
    text = "SELECT id, churn_score(p) AS s FROM people p WHERE churn_score(p) > 0.5"
    fresh = spark.newSession()
    fresh.read.parquet(str(files)).createOrReplaceTempView("people")
    with sqlml.connect(fresh, project=world.folder, publish="needed", rewrites="always") as db:
        assert "once a row" in " ".join(db.explain(text).rewrites)
        plan, way, _ = db.explain_write(text)
        assert (way, plan.rewrites) == ("files", ())
        rows = db.write(text, tmp_path / "high").rows
    assert rows == sum(score > 0.5 for score in answers(models["churn"], "score"))


@pytest.mark.long
@pytest.mark.spark
def test_a_job_is_submitted(world, files, models, people, tmp_path):
    import pyspark

    query, home = tmp_path / "q.sql", Path(pyspark.__file__).parent
    query.write_text(f"{QUERY};\n", encoding="utf-8")
    script = Path(__file__).parents[2] / "spark_jobs" / "score.py"
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)}
    command = [str(home / "bin" / "spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false"]
    command += [str(script), "--query", str(query), "--source", f"people={files}", "--project", str(world.folder)]
    command += ["--output", str(tmp_path / "scores")]

    def submit(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run([*command, *more], capture_output=True, text=True, env=environment, check=False)

    planned = submit("--plan")
    assert (planned.returncode, "written by files" in planned.stdout) == (0, True), planned.stderr
    assert not (tmp_path / "scores").exists()
    done = submit()
    assert done.returncode == 0, done.stderr
    wanted = people[people.tenure > 20]
    same(read(tmp_path / "scores").label.tolist(), answers(models["churn"], "predict", wanted))
    again = submit()
    # spark-submit hands on what a script says to either stream as its own output.
    assert (again.returncode, "is there already" in again.stdout) == (1, True), again.stdout
    assert "Traceback" not in again.stdout
