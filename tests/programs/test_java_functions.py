"""Functions in Spark's JVM: what they take and give, the jar that holds them, and models of several libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark")

import pyspark

from programs.java_asking import published, refusal, session
from programs.making import forest
from programs.sql_asking import logistic, over
from sqlml.engines.spark_jar import write_jar
from sqlml.programs.evaluate import evaluate
from sqlml.programs.java import NoJava, call_text, java_of
from sqlml.programs.program import Apply, Arithmetic, Builder, Encode, Guard, Trees

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


@pytest.fixture(scope="module")
def jvm(spark, tmp_path_factory):
    return session(spark, tmp_path_factory.mktemp("jars"))


def test_a_missing_value_may_be_an_error(jvm):
    program = logistic(missing=1.0, unknown=1.0)
    held = published(program, required=(0, 2), strict=True)
    assert "The argument 'a' is missing" in refusal(jvm, held, [None, 2.0, "u"])
    assert "The argument 'c' is missing" in refusal(jvm, held, [1.0, 2.0, None])
    catalog = jvm.catalog([held])
    with pytest.raises(Exception, match="The argument 'a' is missing"):
        jvm.spark.sql(f"SELECT {catalog}.f(CAST(NULL AS DOUBLE), 2, 'u')").collect()


GOOD = {
    "INTEGER": [0.0, -7.0, 2.0**31 - 1, np.nan],
    "BIGINT": [0.0, -(2.0**63), 2.0**53, np.nan],
    "BOOLEAN": [0.0, 1.0, np.nan],
    "FLOAT": [0.1, 1 + 2.0**-25, np.inf, np.nan],
}
BAD = {"INTEGER": [0.5, 2.0**31, np.inf], "BIGINT": [1e-9, 2.0**63], "BOOLEAN": [2.0, 0.5]}


@pytest.mark.parametrize("type_", GOOD)
def test_arguments_are_cast(jvm, type_):
    program = over(lambda refs: Arithmetic(inputs=refs, op="multiply", operand=np.array([3.0])), 1)
    held = published(program, types=[type_])
    table = pa.table({"a": GOOD[type_], "__row": range(len(GOOD[type_]))})
    wanted = np.array(GOOD[type_]) if type_ != "FLOAT" else np.float32(GOOD[type_]).astype(float)
    np.testing.assert_array_equal(jvm.answers([held], table)["f"], wanted * 3)
    for value in BAD.get(type_, []):
        assert f"The argument 'a' takes {type_}, and got " in refusal(jvm, held, [value])


def test_types_that_spark_casts(jvm):
    graph = Builder([("a", False), ("late", False), ("c", True)])
    codes = np.array([10.0, 20.0])
    code = graph.add(Encode(inputs=graph.input("c"), keys=("1", "u"), codes=codes, missing=0.0, unknown=5.0))
    program = graph.program({"value": graph.input("a") + graph.input("late") + code})
    held = published(program, types=["DOUBLE", "BOOLEAN", "VARCHAR"])
    catalog = jvm.catalog([held])
    ask = jvm.spark.sql
    calls = ["1, true, 'u'", "CAST(1.0 AS DECIMAL(9, 3)), 1, 1", "1L, null, 'x'", "null, false, null", "1Y, 0.0, 'u'"]
    (got,) = ask(f"SELECT {', '.join(f'{catalog}.f({call})' for call in calls)}").collect()
    wanted = [[1.0, 1.0, 20.0], [1.0, 1.0, 10.0], [1.0, np.nan, 5.0], [np.nan, 0.0, 0.0], [1.0, 0.0, 20.0]]
    np.testing.assert_array_equal(np.array([list(one) for one in got]), wanted)
    for call, message in (("1, true", "takes 3 arguments, and got 2"), ("'x', true, 'u'", "x"), ("1, 'y', 'u'", "y")):
        with pytest.raises(Exception, match=message):
            ask(f"SELECT {catalog}.f({call})").collect()


# Answers


@pytest.mark.parametrize(
    ("labels", "type_"),
    [
        (["no", 'yes "é" \\u0022'], "VARCHAR"),
        ([-3, 2**60], "BIGINT"),
        ([False, True], "BOOLEAN"),
        ([0.5, 1e300], "DOUBLE"),
    ],
    ids=str,
)
def test_labels(jvm, labels, type_):
    program = logistic(missing=1.0, unknown=1.0)
    held = published(program, required=(0,), labels=labels, label_type=type_, outputs=["predict", "score", "proba"])
    columns = [np.array([1.0, -900.0, np.nan, 900.0]), np.array([100.0] * 4), ["u", "v", "u", "it's"]]
    table = pa.table({"a": columns[0], "b": columns[1], "c": columns[2], "__row": range(4)})
    got = jvm.answers([held], table)
    heads = evaluate(program, [*columns[:2], pa.array(columns[2])]).heads
    label, proba = heads["label"][:, 0], heads["probabilities"]
    for row in range(4):
        if row == 2:
            assert [got[name][row] for name in got] == [None] * 3
            continue
        assert got["f"][row] == labels[int(label[row])]
        assert type(got["f"][row]) is type(labels[0])
        assert got["f_score"][row] == pytest.approx(proba[row, 1], rel=1e-12)
        assert [one for one, _ in got["f_proba"][row]] == labels
        assert [one for _, one in got["f_proba"][row]] == pytest.approx(proba[row].tolist(), rel=1e-12)


@pytest.mark.parametrize(
    "returns", ["DOUBLE", "FLOAT", "BIGINT", "INTEGER", "BOOLEAN", "DOUBLE[]", "BIGINT[]", "FLOAT[]"]
)
def test_values_of_each_type(jvm, returns):
    program = over(lambda refs: Apply(inputs=refs, function="rint"), 1)
    got = jvm.answers([published(program, returns=returns)], pa.table({"a": [0.2, 1.0, 0.0], "__row": range(3)}))["f"]
    kind = {"DOUBLE": float, "FLOAT": float, "BOOLEAN": bool}.get(returns.removesuffix("[]"), int)
    wanted = [kind(value) for value in (0.0, 1.0, 0.0)]
    assert got == ([[one] for one in wanted] if returns.endswith("[]") else wanted)
    assert all(type(one[0] if isinstance(one, list) else one) is kind for one in got)


def test_the_plan_has_no_python(jvm):
    random = np.random.default_rng(9)
    trees = published(forest(random, 3, 9, leaves=20), "trees")
    linear = published(logistic(missing=1.0, unknown=1.0), "linear", labels=["n", "y"])
    catalog = jvm.catalog([trees, linear])
    jvm.spark.range(9).selectExpr("id x0", "id / 2D x1", "if(id > 4, id, null) x2", "'u' c").write.mode(
        "overwrite"
    ).parquet(str(jvm.folder / "plan"))
    calls = [
        call_text(trees, "predict", catalog, ["x0", "x1", "x2"]),
        call_text(linear, "predict", catalog, ["x0", "x1", "c"]),
    ]
    frame = jvm.spark.read.parquet(str(jvm.folder / "plan")).selectExpr(*calls)
    plan = frame._jdf.queryExecution().executedPlan().toString()
    assert plan.startswith("*(1) Project")
    assert "Python" not in plan
    assert plan.count("static_invoke") >= 2
    assert len(frame.collect()) == 9


# Names, jars


ODD_NAMES = ["select", "a b", "q\"u`o'te", "é", "1st", "x" * 300, "A.b", "f_score"]


def test_odd_names(jvm):
    program = over(lambda refs: Apply(inputs=refs, function="negative"), 1, names=["q\"'\\u0022\n`"])
    made = [published(program, name) for name in ODD_NAMES]
    catalog = jvm.catalog(made)
    calls = ", ".join(call_text(one, "predict", catalog, ["2"]) for one in made)
    assert list(jvm.spark.sql(f"SELECT {calls}").collect()[0]) == [-2.0] * len(made)
    assert jvm.spark.sql(f"SELECT {catalog}.SELECT(1)").collect()[0][0] == -1.0
    with pytest.raises(Exception, match="no_such"):
        jvm.spark.sql(f"SELECT {catalog}.no_such(1)")


def test_a_view_keeps_a_call(jvm):
    held = published(forest(np.random.default_rng(1), 2, 3, leaves=4))
    call = call_text(held, "predict", jvm.catalog([held]), ["x0", "x1"])
    frame = jvm.rows(pa.table({"x0": [0.0, 1.0], "x1": [None, 2.0]}), "SELECT * FROM given")
    jvm.spark.createDataFrame(frame).createOrReplaceTempView("kept")
    jvm.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW viewed AS SELECT {call} AS v FROM kept")
    wanted = evaluate(held.program, [np.array([0.0, 1.0]), np.array([np.nan, 2.0])]).heads["value"][:, 0]
    assert [one.v for one in jvm.spark.sql("SELECT * FROM viewed").collect()] == wanted.tolist()


def test_jars_are_reproducible(jvm, tmp_path):
    held = published(logistic(unknown=1.0), labels=["n", "y"], outputs=["predict", "proba"])
    functions = {output: java_of(held, output) for output in held.outputs}
    for name in ("a", "b"):
        write_jar(jvm.spark, "some.where.Catalog", functions, tmp_path / f"{name}.jar")
    assert (tmp_path / "a.jar").read_bytes() == (tmp_path / "b.jar").read_bytes()
    assert java_of(held, "proba").class_name == functions["proba"].class_name != functions["predict"].class_name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jar", "b.jar"]


@pytest.mark.long
def test_a_jar_needs_no_python(jvm, tmp_path):
    program = logistic(missing=1.0, unknown=1.0)
    held = published(program, "risk", required=(0,), labels=["no", "yes"], outputs=["predict", "score"])
    functions = {"risk": java_of(held, "predict"), "risk_score": java_of(held, "score")}
    write_jar(jvm.spark, "models.Catalog", functions, tmp_path / "m.jar")
    shell = Path(pyspark.__file__).parent / "bin" / "spark-sql"
    query = "SELECT ml.risk(a, b, 'v'), ml.risk_score(a, b, 'v') FROM VALUES (1, 100), (NULL, 100) AS t(a, b)"
    ran = subprocess.run(
        [str(shell), "--jars", str(tmp_path / "m.jar"), "--conf", "spark.sql.catalog.ml=models.Catalog",
         "--conf", "spark.ui.enabled=false", "--conf", "spark.sql.catalogImplementation=in-memory", "-e", query],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": "/no/python", "PYTHONPATH": ""},
    )  # fmt: skip
    wanted = evaluate(held.program, [np.array([1.0]), np.array([100.0]), pa.array(["v"])]).heads["probabilities"][0, 1]
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr[:4_000]
    assert (lines[0][0], lines[1]) == ("no", ["NULL", "NULL"])
    assert float(lines[0][1]) == pytest.approx(wanted, rel=1e-12)


def _odd_set():
    program = forest(np.random.default_rng(0), 2, 2, leaves=4, categories=2)
    (node,) = (one for one in program.nodes if isinstance(one, Trees))
    node.set_members[0] = -5
    return published(program)


REFUSED = {
    "no function of Java is normal_cdf": lambda: published(
        over(lambda refs: Apply(inputs=refs, function="normal_cdf"), 1)
    ),
    "an argument of the type TIMESTAMP": lambda: published(logistic(), types=["DOUBLE", "TIMESTAMP", "VARCHAR"]),
    "an answer of the type STRUCT": lambda: published(
        over(lambda refs: Guard(inputs=refs, rule="finite"), 1), returns="STRUCT(a DOUBLE)"
    ),
    "a set of categories from -5": _odd_set,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_no_java(reason):
    with pytest.raises(NoJava, match=reason):
        java_of(REFUSED[reason](), "predict")


def test_a_catalog_needs_a_package(jvm, tmp_path):
    with pytest.raises(NoJava, match="'Catalog' is no class in a package"):
        write_jar(jvm.spark, "Catalog", {}, tmp_path / "x.jar")
