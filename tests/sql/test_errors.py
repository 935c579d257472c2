"""Each mistake gives its own error, in a sentence that names the thing."""

from __future__ import annotations

import pytest

from sqlml import errors
from sqlml.errors import SqlmlError

ROW = "tenure := 1, price := 2, plan := 'x', region := 'y'"
MISTAKES = [
    ("SELECT chrun(p) FROM people AS p", "UnknownFunction", ["'chrun'", "'churn'"]),
    ("SELECT churn_scor(p) FROM people AS p", "UnknownFunction", ["'churn_score'"]),
    ("SELECT predict('chrun', p) FROM people AS p", "UnknownFunction", ["'churn'"]),
    ("SELECT predict('', 1)", "UnknownFunction", ["''"]),
    ("SELECT predict(churn, p) FROM people AS p", "SyntaxMistake", ["in quotes", "'churn'"]),
    ("SELECT predict()", "SyntaxMistake", ["nothing"]),
    ("SELECT predict('churn')", "WrongCount", ["takes 4", "found 0"]),
    ("SELECT churn()", "WrongCount", ["tenure, price, plan, region"]),
    ("SELECT churn(1, 2)", "WrongCount", ["takes 4", "found 2"]),
    ("SELECT line(1, 2, 3)", "WrongCount", ["takes 2", "found 3"]),
    ("SELECT churn(tenure := 1, 2, 'x', 'y')", "MixedArguments", ["'churn'"]),
    ("SELECT churn(tenur := 1, price := 2, plan := 'x', region := 'y')", "UnknownArgument", ["'tenur'", "Did you mean 'tenure'"]),
    (f"SELECT churn({ROW}, more := 1)", "UnknownArgument", ["'more'"]),
    ("SELECT churn(price := 2, plan := 'x')", "MissingArguments", ["'tenure', 'region'"]),
    ("SELECT line(a := 1, a := 2, b := 3)", "RepeatedArgument", ["'a'"]),
    ("SELECT line({'a': 1, 'a': 2, 'b': 3})", "RepeatedArgument", ["'a'"]),
    ("SELECT line({'a': 1, 'A': 2, 'b': 3})", "AmbiguousColumn", ["'a' and 'A'"]),
    ("SELECT line(t) FROM (SELECT 1 AS a, 2 AS \"A\", 3 AS b) AS t", "AmbiguousColumn", ["'a' and 'A'"]),
    ("SELECT line(*) FROM pairs AS p JOIN pairs AS q USING (id)", "AmbiguousColumn", ["'p.a' and 'q.a'"]),
    ("SELECT line({'a': 1})", "MissingArguments", ["'b'"]),
    ("SELECT churn(pairs) FROM pairs", "MissingArguments", ["'tenure', 'price', 'plan', 'region'", "the row of 'pairs'"]),
    ("SELECT churn(t) FROM (SELECT 1 AS tenur, 2 AS price, 3 AS plan, 4 AS region) t", "MissingArguments", ["Did you mean 'tenur'"]),
    ("SELECT line(* EXCLUDE (a)) FROM pairs", "MissingArguments", ["'a'"]),
    ("SELECT line(* EXCLUDE (nope)) FROM pairs", "UnknownColumn", ["'nope'"]),
    ("SELECT line(* REPLACE (1 AS c)) FROM pairs", "UnknownColumn", ["'c'"]),
    ("SELECT line(* RENAME (c AS a)) FROM pairs", "UnknownColumn", ["'c'"]),
    ("SELECT line(* LIKE 'a%') FROM pairs", "SyntaxMistake", ["EXCLUDE", "'LIKE'"]),
    ("SELECT line(*)", "UnknownColumns", ["no table"]),
    ("SELECT line(q.*) FROM pairs", "UnknownColumns", ["'q.*'"]),
    ("SELECT line(*) FROM nowhere", "UnknownColumns", ["nowhere"]),
    ("SELECT line_score(1, 2)", "NoSuchOutput", ["regressor"]),
    ("SELECT line_proba(1, 2)", "NoSuchOutput", ["'line'"]),
    ("SELECT tier_score(people) FROM people", "NoSuchOutput", ["3 classes"]),
    ("SELECT predict_score('line', 1, 2)", "NoSuchOutput", ["regressor"]),
    ("SELECT predict('line@nope', 1, 2)", "UnknownModel", ["'nope'"]),
    ("SELECT predict('line/99', 1, 2)", "UnknownModel", ["99"]),
    ("SELECT predict('line/x', 1, 2)", "BadReference", ["models:/line/x"]),
    ("SELECT predict('line/', 1, 2)", "BadReference", ["models:/line/"]),
    ("SELECT predict('line@', 1, 2)", "BadReference", ["models:/line@"]),
    ("CREATE VIEW v AS SELECT predict('line/1', 1, 2)", "PinnedInView", ["predict('line/1', 1, 2)", "models:/line/1"]),
    ("CREATE TABLE t (x INT DEFAULT (predict('line@champion', 1, 2)))", "PinnedInView", ["models:/line/1"]),
    ("SELECT line(nowhere) FROM pairs", "EngineError", ["nowhere"]),
    ("SELECT line(1, 2) FROM nowhere", "EngineError", ["nowhere"]),
    ("SELECT line(*, 1) FROM pairs", "EngineError", ["star"]),
    ("SELECT line(a, b) OVER () FROM pairs", "EngineError", ["line is not an aggregate"]),
    ("SELECT line(DISTINCT a, b) FROM pairs", "EngineError", ["line"]),
    ("SELECT line(1, 2) FORM pairs", "EngineError", ["pairs"]),
    ("SELECT line(p) FROM pairs TABLESAMPLE 10% p LIMIT 0", "EngineError", ["line(p)"]),
    ("SHOW FUNCTIONS LIKE churn", "SyntaxMistake", ["in quotes"]),
    ("SHOW FUNCTIONS 'x'", "SyntaxMistake", ["'x'"]),
    ("DESCRIBE FUNCTION chrun", "UnknownFunction", ["'churn'"]),
    ("DESCRIBE FUNCTION churn line", "SyntaxMistake", ["'line'"]),
    ("DROP FUNCTION chrun", "UnknownFunction", ["'churn'"]),
    ("CREATE FUNCTION USING MODEL 'models:/line/1'", "SyntaxMistake", ["CREATE FUNCTION"]),
    ("CREATE FUNCTION f USING MODEL models", "SyntaxMistake", ["'models'"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line/1' OPTIONS (on_nul = 'pass')", "UnknownOption", ["'on_nul'", "Did you mean 'on_null'"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line/1' OPTIONS (on_null = 'pas')", "UnknownOption", ["'pas'", "Did you mean 'pass'"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line/1' OPTIONS (on_null = pass)", "SyntaxMistake", ["on_null"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line/1' OPTIONS (on_null = 'pass'", "SyntaxMistake", ["')'"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line/1' more", "SyntaxMistake", ["'more'"]),
    ("CREATE FUNCTION line USING MODEL 'models:/line/1'", "FunctionExists", ["'line'", "OR REPLACE"]),
    ("CREATE FUNCTION LINE USING MODEL 'models:/line/1'", "FunctionExists", ["'line'"]),
    ("CREATE FUNCTION line_score USING MODEL 'models:/line/1'", "NameTaken", ["'line'"]),
    ("CREATE FUNCTION sum USING MODEL 'models:/line/1'", "NameTaken", ["DuckDB"]),
    ("CREATE OR REPLACE FUNCTION length USING MODEL 'models:/line/1'", "NameTaken", ["DuckDB"]),
    ("CREATE FUNCTION predict USING MODEL 'models:/line/1'", "NameReserved", ["'predict'"]),
    ('CREATE FUNCTION "a b" USING MODEL \'models:/line/1\'', "NameReserved", ["'a b'"]),
    ('CREATE FUNCTION "x""; DROP TABLE pairs; --" USING MODEL \'models:/line/1\'', "NameReserved", ["letters"]),
    ("CREATE FUNCTION f USING MODEL 'line'", "BadReference", ["'line'"]),
    ("CREATE FUNCTION f USING MODEL 'models:/nothing/1'", "UnknownModel", ["nothing"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line@nope'", "UnknownModel", ["nope"]),
    ("CREATE FUNCTION f USING MODEL 'models:/line''; DROP TABLE pairs; --/1'", "ModelError", ["DROP TABLE"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "words"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_a_mistake(reader, models, text, kind, words):
    with pytest.raises(SqlmlError) as raised:
        reader.sql(text)
    assert isinstance(raised.value, getattr(errors, kind))
    assert kind == "ModelError" or type(raised.value).__name__ == kind
    for word in words:
        assert word in str(raised.value)
    assert "__sqlml" not in str(raised.value)
    # Nothing is left behind, in the catalog or the engine, and the session goes on.
    assert sorted(held.name for held in reader.functions()) == sorted(models)
    assert reader.sql("SELECT line(1, 1) IS NULL, count(*) FROM pairs").fetchall() == [(False, 200)]
    made = "SELECT count(*) FROM duckdb_functions() WHERE function_name IN ('f', 'f_score', 'a b')"
    assert reader.sql(made).fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT line('x', 1)", "BadCast"),
        ("SELECT line(struct_pack(a := 1))", "MissingArguments"),
        ("SELECT line([1, 2])", "WrongCount"),
        ("SELECT line(NULL)", "WrongCount"),
        ("SELECT strict(NULL, 1)", "NullArgument"),
    ],
)
def test_what_only_a_value_shows_comes_out_of_the_relation(reader, text, kind):
    with pytest.raises(Exception, match=kind) as raised:
        reader.sql(text).fetchall()
    error = reader.engine_error(raised.value)
    assert type(error).__name__ == kind
    assert str(error) in str(raised.value)
    assert reader.engine_error(ValueError("x")) is None


@pytest.mark.parametrize(
    "value",
    ["'; DROP TABLE pairs; --", '"; DROP TABLE pairs; --', "a\nb", "\\'; SELECT 1", "%s {0} {x}", "😀", "NULL", ""],
)
def test_what_users_write_stays_text(reader, value):
    quoted, name = value.replace("'", "''"), value.replace('"', '""') or "empty"
    assert reader.sql(f"SELECT '{quoted}', line(1, 1) IS NULL").fetchall() == [(value, False)]
    assert reader.sql(f'SELECT line("{name}") IS NULL FROM (SELECT 1 AS a, 2 AS b) AS "{name}"').fetchall() == [
        (False,)
    ]
    assert reader.sql(f'SELECT line(*) IS NULL FROM (SELECT 1 AS a, 2 AS b, 3 AS "{name}") AS t').fetchall() == [
        (False,)
    ]
    with pytest.raises(SqlmlError) as raised:
        reader.sql(f"SELECT predict('{quoted}', 1, 2)")
    assert type(raised.value).__name__ in ("UnknownFunction", "BadReference")
    assert reader.sql("SHOW FUNCTIONS LIKE '" + quoted + "'").fetchall() == []
    assert reader.sql("SELECT count(*) FROM pairs").fetchall() == [(200,)]
