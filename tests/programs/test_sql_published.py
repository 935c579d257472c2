"""Functions put into an engine for good, and what SQL costs."""

from __future__ import annotations

import ast
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot

from programs.making import forest, numbers
from programs.sql_asking import (
    logistic,
    over,
    quoted,
)
from sqlml.programs.cost import estimate, prefer_sql
from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import (
    Builder,
    Guard,
    Linear,
    Median,
)
from sqlml.programs.publish import Publication, duckdb_statements, spark_statements
from sqlml.programs.sql import NoSql


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


# Functions for good


def publication(**options):
    arguments = [("a", "DOUBLE"), ("b", "BIGINT"), ("c", "VARCHAR")]
    held = {"function": "risk", "labels": ["no", "it's"], "outputs": ["predict", "score", "proba"], **options}
    return Publication(arguments=arguments, program=logistic(missing=2.0, unknown=1.0), **held)


ASKS = """
import sys, duckdb
assert "sqlml" not in sys.modules
con = duckdb.connect(sys.argv[1], read_only=True)
rows = "(SELECT * FROM (VALUES (1.5, 101, 'u'), (NULL, 2, 'v'), (-3.0, 99, 'w')) AS v(a, b, c)) AS t"
for call in ("risk(a, b, c)", "risk_score(a, b, c)", "risk_score(t)", "risk_score(c := c, b := b, a := a)",
             "risk_proba(t)"):
    print(con.sql(f"SELECT {call} FROM {rows}").fetchall())
for bad in ("risk(1, 1.5, 'u')", "risk('x', 1, 'u')", "risk(1, 'inf'::DOUBLE, 'u')"):
    try:
        print(con.sql(f"SELECT {bad}").fetchall())
    except duckdb.Error as error:
        print(type(error).__name__)
"""


def test_a_duckdb_file_needs_nothing_else(tmp_path):
    path = str(tmp_path / "published.duckdb")
    with duckdb.connect(path) as connection:
        for statement in duckdb_statements(publication(required=frozenset({0, 1}))):
            connection.execute(statement)
    ran = subprocess.run([sys.executable, "-I", "-c", ASKS, path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    labels, score, of_row, by_name, proba, *bad = ran.stdout.splitlines()
    found = evaluate(
        logistic(missing=2.0, unknown=1.0),
        [np.array([1.5, 0.0, -3.0]), np.array([101.0, 2.0, 99.0]), pa.array(["u", "v", "w"])],
    )
    want = found.heads["probabilities"][:, 1]
    assert score == of_row == by_name
    answers = [value for (value,) in ast.literal_eval(score)]
    assert answers[1] is None
    assert [answers[0], answers[2]] == pytest.approx([want[0], want[2]], rel=1e-12)
    assert [value for (value,) in ast.literal_eval(labels)] == [
        "no" if want[0] < 0.5 else "it's",
        None,
        "no" if want[2] < 0.5 else "it's",
    ]
    assert ast.literal_eval(proba)[0][0]["it's"] == answers[0]
    assert bad == ["InvalidInputException", "ConversionException", "InvalidInputException"]


@pytest.mark.parametrize("name", ["a b", "Größe", 'x"y', "select", "it's", "lambda"])
def test_odd_names_in_macros(duck, name):
    graph = Builder([(name, False), ("other", False)])
    program = graph.program(
        {"value": graph.add(Linear(inputs=((0, 0), (1, 0)), weights=np.ones((2, 1)), bias=np.zeros(1)))}
    )
    held = Publication(
        function=f"f {name}", arguments=[(name, "DOUBLE"), ("other", "INTEGER")], program=program, outputs=["predict"]
    )
    (statement,) = duckdb_statements(held)
    duck.execute(statement)
    call = quoted(f"f {name}")
    asked = f"SELECT {call}(1, 2), {call}(t) FROM (SELECT 1 AS {quoted(name)}, 2 AS other) AS t"
    assert duck.execute(asked).fetchall() == [(3.0, 3.0)]
    assert sqlglot.parse_one(spark_statements(held)[0], dialect="spark", error_level=sqlglot.ErrorLevel.RAISE)


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (
            "INTEGER",
            ["2", "-2147483648", "2.0", "NULL", "'nan'::DOUBLE", "'7'"],
            ["1.5", "2147483648", "'inf'::DOUBLE"],
        ),
        ("BIGINT", ["9007199254740992", "-3"], ["0.5", "1e30", "'-inf'::DOUBLE", "'x'"]),
        ("BOOLEAN", ["true", "1", "0", "NULL"], ["2", "0.5"]),
        ("DOUBLE", ["1", "1.5::DECIMAL(9, 2)", "' 2.5 '", "NULL"], ["'x'", "'inf'::DOUBLE"]),
    ],
)
def test_arguments_are_cast(duck, type_, good, bad):
    graph, refs = numbers(["x"])
    program = graph.program({"value": graph.add(Guard(inputs=refs, rule="finite"))})
    held = Publication(function="cast_it", arguments=[("x", type_)], program=program, outputs=["predict"])
    duck.execute(duckdb_statements(held)[0])
    for value in good:
        asked = f"SELECT cast_it({value}), nullif(CAST({value} AS DOUBLE), 'nan'::DOUBLE)"
        got, own = duck.execute(asked).fetchone()
        assert got == own
    for value in bad:
        with pytest.raises((duckdb.InvalidInputException, duckdb.ConversionException)):
            duck.execute(f"SELECT cast_it({value})").fetchall()


def test_spark_functions_say_their_types():
    predict, score, proba = spark_statements(publication())
    assert predict.startswith("CREATE OR REPLACE FUNCTION `risk`(`a` DOUBLE, `b` DOUBLE, `c` STRING) RETURNS STRING ")
    assert "`risk_score`" in score
    assert " RETURNS MAP<STRING, DOUBLE> RETURN " in proba
    for statement in (predict, score, proba):
        body = statement.partition(" RETURN ")[2]
        sqlglot.parse_one(f"SELECT {body}", dialect="spark", error_level=sqlglot.ErrorLevel.RAISE)


def test_names_that_differ_in_case_alone_are_refused():
    graph, refs = numbers(["a", "A"])
    program = graph.program({"value": refs})
    with pytest.raises(NoSql, match="only in case"):
        duckdb_statements(
            Publication(
                function="f", arguments=[("a", "DOUBLE"), ("A", "DOUBLE")], program=program, outputs=["predict"]
            )
        )


# What it costs


def test_small_programs_are_sql_and_large_ones_are_not():
    def linear(width):
        graph, refs = numbers([f"x{i}" for i in range(width)])
        return graph.program({"value": graph.add(Linear(inputs=refs, weights=np.ones((width, 1)), bias=np.zeros(1)))})

    small, large = estimate(linear(5)), estimate(linear(400))
    assert prefer_sql(small)
    assert not prefer_sql(large)
    assert large.sql_ns is not None
    assert large.kernel_ns < large.sql_ns < large.evaluator_ns
    none = estimate(over(lambda refs: Median(inputs=refs, weights=np.ones(2))))
    assert (none.sql_ns, prefer_sql(none), none.reason) == (None, False, "no SQL: a median")
    assert "ns a row" in small.reason


def test_trees_are_the_kernels_and_a_map_is_dear():
    random = np.random.default_rng(0)
    assert not prefer_sql(estimate(forest(random, 3, 30, leaves=8)))
    assert prefer_sql(estimate(forest(random, 3, 1, leaves=8)))
    last, mapped = (estimate(logistic(), head="probabilities", shape=shape).sql_ns for shape in ("last", "map"))
    assert last is not None
    assert mapped is not None
    assert mapped > last + 100
    assert estimate(logistic(), "spark").sql_ns is not None
