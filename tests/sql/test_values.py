"""What an argument's value may be: any number of rows, types that cast or not, NULL, NaN, infinity."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sql.asking import answers, same
from sqlml.errors import BadCast, InfiniteArgument, NullArgument, PredictionFailed, UnknownCategory


def refused(db, error, text):
    """The error of sqlml's that a statement ends in, wherever the engine raises it."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        db.sql(text).fetchall()
    found = raised.value if isinstance(raised.value, error) else db.engine_error(raised.value)
    assert type(found) is error
    return str(found)


@pytest.mark.parametrize("count", [0, 1, 2, 2047, 2048, 2049, 10_000])
def test_any_number_of_rows(reader, models, count):
    held = models["churn"].rows
    rows = held.iloc[np.arange(count) % len(held)].reset_index(drop=True)
    rows["n"] = range(count)
    found = reader.sql("SELECT churn(t), churn_score(*), churn_proba(t.*) FROM rows AS t ORDER BY n").fetchall()
    assert len(found) == count == len(rows)
    if count:
        labels, scores, chances = zip(*found, strict=True)
        same(labels, answers(models["churn"], "predict", rows))
        same(scores, answers(models["churn"], "score", rows))
        same(chances, answers(models["churn"], "proba", rows))


def test_few_rows_of_many(reader, models):
    """A filter leaves batches of a few rows, an outer join some without any."""
    rows = pd.DataFrame({"n": range(50_000)})
    rows["a"], rows["b"] = np.sin(rows.n), np.cos(rows.n)
    found = reader.sql("SELECT n, line(t) FROM rows AS t WHERE n % 997 = 0 ORDER BY n").fetchall()
    kept = rows[rows.n % 997 == 0]
    assert [n for n, _ in found] == kept.n.tolist()
    same([value for _, value in found], answers(models["line"], rows=kept))


def test_the_value_is_the_same_whatever_its_type(reader, models):
    wanted = answers(models["line"], rows=pd.DataFrame({"a": [3.0], "b": [1.0]}))
    for three, one in (
        ("3::TINYINT", "1::UTINYINT"),
        ("3::SMALLINT", "1::USMALLINT"),
        ("3::INTEGER", "1::UINTEGER"),
        ("3::BIGINT", "1::UBIGINT"),
        ("3::HUGEINT", "1::UHUGEINT"),
        ("3.0", "1.000"),
        ("3::DECIMAL(38, 10)", "1::DECIMAL(4, 1)"),
        ("3::FLOAT", "1::DOUBLE"),
        ("'3'", "' 1.0 '"),
        ("'3e0'", "true"),
        ("3::UBIGINT", "'1'::VARCHAR COLLATE NOCASE"),
    ):
        same([reader.sql(f"SELECT line({three}, {one})").fetchall()[0][0]], wanted)
        same([reader.sql(f"SELECT line({{'b': {one}, 'a': {three}}})").fetchall()[0][0]], wanted)


def test_a_decimal_is_the_double_that_python_reads(reader, models):
    for text in (
        "0.1",
        "0.7",
        "1.15",
        "123456789.123456789",
        "-0.3333333333333333",
        "0.1234567890123456789012345678901234567",
    ):
        wanted = answers(models["line"], rows=pd.DataFrame({"a": [float(text)], "b": [float(text)]}))
        same([reader.sql(f"SELECT line({text}, {text})").fetchall()[0][0]], wanted)


TYPED = {"d": "1.5", "f": "0.5::FLOAT", "i": "7", "n": "900::BIGINT", "b": "true", "s": "'1'"}
GOOD = [
    ("d", "3", 3.0),
    ("f", "'0.25'", 0.25),
    ("i", "7.0", 7),
    ("i", "7.0::DOUBLE", 7),
    ("i", "' 7 '", 7),
    ("i", "'7.0'", 7),
    ("i", "true", 1),
    ("i", "-2147483648", -(2**31)),
    ("n", "5::HUGEINT", 5),
    ("n", "'1e2'", 100),
    ("b", "0", False),
    ("b", "'no'", False),
    ("b", "1.0", True),
    ("b", "' TRUE '", True),
    ("s", "1", "1"),
    ("s", "2.5", "2.5"),
    ("s", "2.5::DOUBLE", "2.5"),
    ("s", "true", "true"),
    ("s", "DATE '2020-01-02'", "2020-01-02"),
    ("s", "'2.5'::ENUM('1', '2.5')", "2.5"),
    ("s", "uuid()", "never seen"),
    ("s", "TIMESTAMPTZ '2020-01-02 00:00:00+00'", "never seen"),
]


@pytest.mark.parametrize(("argument", "sql", "value"), GOOD)
def test_what_casts(reader, models, argument, sql, value):
    row = {"d": 1.5, "f": np.float32(0.5), "i": 7, "n": 900, "b": True, "s": "1"} | {argument: value}
    rows = pd.DataFrame([row]).astype({"f": "float32", "i": "int32"})
    given = ", ".join(f"{name} := {text}" for name, text in (TYPED | {argument: sql}).items())
    same([reader.sql(f"SELECT typed({given})").fetchall()[0][0]], answers(models["typed"], rows=rows))


BAD = [
    ("d", "'twelve'", "the text 'twelve'"),
    ("d", "9007199254740993", "9007199254740993"),
    ("d", "170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
    ("d", "DATE '2020-01-02'", "2020-01-02"),
    ("d", "INTERVAL 1 DAY", "days=1"),
    ("d", "[1]", "[1]"),
    ("d", "''", "the text ''"),
    ("f", "1e300", "1e+300"),
    ("i", "7.5", "7.5"),
    ("i", "2147483648", "2147483648"),
    ("i", "'x'", "'x'"),
    ("n", "9223372036854775808", "9223372036854775808"),
    ("n", "'inf'::DOUBLE", "inf"),
    ("n", "TIMESTAMP '2020-01-02 03:04:05'", "2020-01-02 03:04:05"),
    ("b", "2", "2"),
    ("b", "'perhaps'", "'perhaps'"),
    ("s", "['1']", "['1']"),
    ("s", "'\\x00'::BLOB", "x00"),
]


@pytest.mark.parametrize(("argument", "sql", "value"), BAD)
def test_what_does_not_cast_names_the_value_and_the_argument(reader, argument, sql, value):
    given = ", ".join(f"{name} := {text}" for name, text in (TYPED | {argument: sql}).items())
    message = refused(reader, BadCast, f"SELECT typed({given})")
    assert f"'{argument}'" in message
    assert value in message
    assert "'typed'" in message


def test_one_bad_value_among_thousands(reader):
    text = "SELECT sum(line(i, CASE WHEN i = 4321 THEN 'oops' ELSE '1' END)) FROM range(5000) t(i)"
    assert "'oops'" in refused(reader, BadCast, text)
    assert reader.sql("SELECT line(1, 1) IS NOT NULL").fetchall() == [(True,)]


def holed(rows):
    rows = rows.copy()
    rows.loc[rows.index % 3 == 0, "a"] = None
    rows.loc[rows.index % 5 == 0, "b"] = None
    return rows


@pytest.mark.parametrize("missing", ["NULL", "'nan'::DOUBLE"])
def test_propagate_a_null_row_by_row(reader, models, pairs, missing):
    rows = holed(pairs)
    text = f"SELECT logit(COALESCE(a, {missing}), COALESCE(b, {missing})), logit_score(t), hist(t) FROM rows AS t ORDER BY id"
    labels, scores, taken = zip(*reader.sql(text).fetchall(), strict=True)
    whole = rows.notna().all(axis=1).tolist()
    for got, output in ((labels, "predict"), (scores, "score")):
        assert [value is not None for value in got] == whole
        same([value for value in got if value is not None], answers(models["logit"], output, rows[whole]))
    same(taken, answers(models["hist"], rows=rows))


def test_nulls_where_the_model_takes_no_missing_text(reader, models):
    rows = models["churn"].rows.astype({"plan": object}).assign(n=range(300))
    rows.loc[rows.n % 4 == 0, "plan"] = None
    found = reader.sql("SELECT churn(t), churn_score(t) IS NULL, churn_proba(t) FROM rows AS t ORDER BY n").fetchall()
    wanted = answers(models["churn"])
    for number, (label, no_score, chances) in enumerate(found):
        if number % 4:
            assert (label, no_score) == (wanted[number], False)
        elif label is None:
            assert (no_score, chances) == (True, None)


def test_nothing_but_null(reader):
    text = "SELECT logit(a, b), logit_proba(x), hist(x) IS NULL FROM (SELECT NULL AS a, NULL::DOUBLE AS b FROM range(3000)) AS x"
    assert set(reader.sql(text).fetchall()) == {(None, None, False)}
    assert reader.sql("SELECT churn(NULL, NULL, NULL, NULL)").fetchall() in ([(None,)], [("no",)], [("yes",)])
    assert reader.sql("SELECT line(NULL::STRUCT(a INT, b INT))").fetchall() == [(None,)]


def test_the_row_that_an_outer_join_lacks(reader, models):
    text = """
        SELECT line(q), hist(q), line(q.*), logit_proba(q) IS NULL
        FROM pairs AS p LEFT JOIN (FROM pairs WHERE id % 10 = 3) AS q USING (id) ORDER BY id
    """
    wanted, missing = (
        answers(models["line"]),
        answers(models["hist"], rows=pd.DataFrame({"a": [np.nan], "b": [np.nan]})),
    )
    for number, (row, taken, stars, none) in enumerate(reader.sql(text).fetchall()):
        there = number % 10 == 3
        assert none is not there
        assert row == stars
        if there:
            same([row], [wanted[number]])
        else:
            assert row is None
            same([taken], missing)


def test_error_names_the_argument_and_counts(reader, models):
    same(
        [reader.sql("SELECT strict(1, 2)").fetchall()[0][0]],
        answers(models["strict"], rows=pd.DataFrame({"a": [1], "b": [2]})),
    )
    message = refused(reader, NullArgument, "SELECT strict(1, CASE WHEN i % 4 = 0 THEN i END) FROM range(100) t(i)")
    assert "'b' is NULL in 75 of 100 rows" in message
    assert "'a'" in refused(reader, NullArgument, "SELECT strict_score('nan'::DOUBLE, 1)")


def test_pass_lets_the_model_refuse(reader):
    message = refused(reader, PredictionFailed, "SELECT passing(NULL, 1)")
    assert "'passing'" in message
    assert "passing version 1" in message
    assert "batch" in message
    assert reader.sql("SELECT passing(1, 1) IS NULL").fetchall() == [(False,)]


def test_infinity_is_a_value(reader, models):
    for a, b in ((math.inf, 1.0), (-math.inf, math.inf)):
        rows = pd.DataFrame({"a": [a], "b": [b]})
        ((value,),) = reader.sql(f"SELECT hist('{a}'::DOUBLE, '{b}'::DOUBLE)").fetchall()
        same([value], answers(models["hist"], rows=rows))
        message = refused(reader, InfiniteArgument, f"SELECT logit('{a}'::DOUBLE, '{b}'::DOUBLE)")
        assert "'a' is infinite in 1 rows" in message


def test_a_category_never_seen(reader, models):
    rows = pd.DataFrame({"tenure": [3], "price": [9.5], "plan": ["golden"], "region": ["nowhere"]})
    same(
        [reader.sql("SELECT churn_score(3, 9.5, 'golden', 'nowhere')").fetchall()[0][0]],
        answers(models["churn"], "score", rows),
    )
    message = refused(reader, UnknownCategory, "SELECT coded('golden')")
    assert "'golden'" in message
    assert "'plan'" in message


def test_a_model_that_raises_shows_no_values(reader):
    message = refused(reader, PredictionFailed, "SELECT texts('my secret')")
    assert "secret" not in message
    assert "'texts' (texts version 1)" in message
    assert "1 rows" in message
    assert reader.sql("SELECT texts('30'), texts('1')").fetchall() == [(True, False)]
