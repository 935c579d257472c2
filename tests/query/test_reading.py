"""Statements and calls are read from the text: what is one, how its arguments are written, what it can see."""

from __future__ import annotations

import pytest

from sqlml.errors import MixedArguments, RepeatedArgument, SyntaxMistake, UnknownOption
from sqlml.query.calls import Call, Names, Positions, Star, StructLiteral, find_calls
from sqlml.query.statements import (
    CreateFunction,
    DescribeFunction,
    DropFunction,
    ExplainPredict,
    Query,
    ShowFunctions,
    mentions,
    read,
)
from sqlml.query.text import closing, identifier, literal, numbered_placeholders, outermost, statements, tokenize

FUNCTIONS = {"f": ("f", "predict"), "f_score": ("f", "score"), "g": ("g", "predict")}


def calls(text: str) -> list[Call]:
    return find_calls(text, tokenize(text, "duckdb"), FUNCTIONS, "duckdb")


def written(text: str, span) -> str:
    return text[span.start : span.end]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('SELECT f(a), F_SCORE(b), "g"(1)', ["f(a)", "F_SCORE(b)", '"g"(1)']),
        ("SELECT f(g(1), f(2, 3))", ["f(g(1), f(2, 3))", "g(1)", "f(2, 3)"]),
        ("SELECT 'f(1)', $$f(1)$$, \"f(1)\", x.f(1) -- f(1)\n/* f(1) */", []),
        ("SELECT f, g FROM f", []),
        ("WITH f(a) AS (SELECT 1) SELECT * FROM f", []),
        ("SELECT * FROM (SELECT 1, 2) AS f(a, b)", []),
        ("INSERT INTO f (a) SELECT g(1)", ["g(1)"]),
        ("CREATE TABLE f (a INT)", []),
        ("COPY f (a) FROM 'x.csv'", []),
        ("CREATE TABLE x (i INT REFERENCES f (a))", []),
        ("EXPLAIN ANALYZE SELECT f(1)", ["f(1)"]),
        ("PREPARE p AS SELECT f(?)", ["f(?)"]),
        ("EXECUTE p(f(1))", ["f(1)"]),
        ("SELECT f(')', \"(\", '''(') FROM t", ["f(')', \"(\", '''(')"]),
        ("SELECT !! f(1) @@ ~~ nonsense (((", ["f(1)"]),
        ("SELECT f(1", []),
    ],
)
def test_what_is_a_call(text, found):
    assert [written(text, call.span) for call in calls(text)] == found


def test_the_forms_of_arguments():
    def only(arguments: str):
        return calls(f"SELECT f({arguments}) FROM t")[0].arguments

    assert isinstance(only("a := 1, B => 2"), Names)
    assert [name for name, _ in only('a := 1, "B c" => 2').fields] == ["a", "B c"]
    assert [name for name, _ in only("{'a': 1, b: [1, {'c': 2}], 'x:=y': 3}").fields] == ["a", "b", "x:=y"]
    assert isinstance(only("{'a': 1}"), StructLiteral)
    assert isinstance(only("{'a': 1}.a"), Positions)
    assert only("*") == Star(None)
    assert only('"my t".*').qualifier == "my t"
    star = only("t.* EXCLUDE (a, u.B) REPLACE (g(1) AS c) RENAME (d AS e)")
    assert star.exclude == {(None, "a"), ("u", "b")}
    assert (list(star.replace), star.rename) == (["c"], {"d": "e"})
    assert only("* EXCLUDE a REPLACE (1 AS b)").exclude == {(None, "a")}
    assert isinstance(only("a * b"), Positions)
    assert isinstance(only("2 * 3"), Positions)
    assert only("s.t").path == ("s", "t")
    assert only("a + 1").path is None
    assert only("'a'").path is None
    assert only("1").path is None
    assert len(only("a, (b, c), [d, e], {'x': 1, 'y': 2}, f(1, 2)".replace("f(", "h(")).expressions) == 5


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT f(a := 1, 2)", MixedArguments),
        ("SELECT f(a := 1, a := 2)", RepeatedArgument),
        ("SELECT f({'a': 1, 'a': 2})", RepeatedArgument),
        ("SELECT f({1, 2})", SyntaxMistake),
        ("SELECT f(* FOO (a)) FROM t", SyntaxMistake),
        ("SELECT predict(f, 1)", SyntaxMistake),
        ("SELECT predict('f' || 'g', 1)", SyntaxMistake),
    ],
)
def test_how_a_call_must_not_be_written(text, error):
    with pytest.raises(error):
        calls(text)


@pytest.mark.parametrize(
    ("text", "aliases"),
    [
        ("SELECT f(t) FROM t", [["t"]]),
        ("SELECT f(t) FROM a AS t JOIN b USING (id), c", [["t", "b", "c"]]),
        ("SELECT (SELECT f(t) FROM u) FROM t", [["u"], ["t"]]),
        ("UPDATE t SET a = f(t)", [["t"]]),
        ("DELETE FROM t AS x USING u WHERE f(x) > 0", [["x"]]),
        ("MERGE INTO t USING u ON true WHEN MATCHED AND f(u) > 0 THEN UPDATE SET a = 1", [["t", "u"]]),
        ("SELECT f(t) FROM t SEMI JOIN u USING (id)", [["t"]]),
        ("SELECT f(1)", [[]]),
    ],
)
def test_what_a_call_can_see(text, aliases):
    (call,) = calls(text)
    assert call.scope is not None
    assert [[source.alias for source in level.sources] for level in call.scope] == aliases


def test_a_probe_never_calls_a_model():
    (call,) = [call for call in calls("WITH q AS (SELECT g(1) AS x, $1 AS y) SELECT f(*) FROM q") if call.target == "f"]
    (source,) = call.scope[0].sources
    assert "g(" not in source.probe
    assert "$1" not in source.probe


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("CREATE FUNCTION f USING MODEL 'models:/m/1'", CreateFunction("f", "models:/m/1", False, {})),
        (
            "create or replace function \"F\" using model 'models:/m@a' options (ON_NULL = 'PASS', comment = 'It''s; Mine')",
            CreateFunction("F", "models:/m@a", True, {"on_null": "pass", "comment": "It's; Mine"}),
        ),
        (
            "/* so */ DROP FUNCTION IF EXISTS f -- gone",
            DropFunction("f", True, "/* so */ DROP FUNCTION IF EXISTS f -- gone"),
        ),
        ("DROP FUNCTION s.f", Query("DROP FUNCTION s.f")),
        ("CREATE FUNCTION f(x) AS x + 1", Query("CREATE FUNCTION f(x) AS x + 1")),
        ("SHOW FUNCTIONS", ShowFunctions(None)),
        ("show functions like 'a%'", ShowFunctions("a%")),
        ("SHOW TABLES", Query("SHOW TABLES")),
        ("DESCRIBE FUNCTION f", DescribeFunction("f")),
        ("DESCRIBE f", Query("DESCRIBE f")),
        ("EXPLAIN PREDICT SELECT 1", ExplainPredict("SELECT 1")),
        ("EXPLAIN SELECT 1", Query("EXPLAIN SELECT 1")),
        ("SELECT 'unclosed", Query("SELECT 'unclosed")),
    ],
)
def test_statements_of_our_own(text, statement):
    assert read(text, "duckdb") == [statement]


def test_options_that_there_are_not():
    for option in ("nope = 'x'", "on_null = 'nope'", "strategy = 'gpu'"):
        with pytest.raises(UnknownOption):
            read(f"CREATE FUNCTION f USING MODEL 'm' OPTIONS ({option})", "duckdb")


def test_a_text_is_cut_at_its_semicolons_only():
    text = "SELECT ';' AS \";\"; -- ;\n SELECT $$;$$ /* ; */;;"
    assert [part for part in statements(text, tokenize(text, "duckdb"))] == [
        "SELECT ';' AS \";\"",
        "-- ;\n SELECT $$;$$ /* ; */",
    ]
    assert statements("-- nothing", tokenize("-- nothing", "duckdb")) == []


def test_a_text_that_mentions_nothing_is_not_read():
    names = frozenset(FUNCTIONS)
    for text in ("SELECT 1", "SELECT ff, predicted FROM functional", "CREATE VIEW v AS SELECT 1"):
        assert not mentions(text, names)
    for text in (
        "SELECT F(1)",
        "select predict_proba('f')",
        "FROM sqlml.runs",
        "SHOW FUNCTIONS",
        "DROP FUNCTION x",
        "FROM ML.PREDICT(x)",
    ):
        assert mentions(text, names)


def test_pieces_of_text():
    assert (identifier('a"b'), literal("a'b")) == ('"a""b"', "'a''b'")
    tokens = tokenize("f(a, (b), [c, {'d': 1}])", "duckdb")
    assert closing(tokens, 1) == len(tokens) - 1
    assert [token.text for token in outermost(tokenize("a (b [c]) d {e} f", "duckdb"))] == ["a", "d", "f"]
    text = "SELECT ?, '?', $1, \"?\" -- ?\n, ?"
    assert numbered_placeholders(
        "SELECT ?, '?', \"?\" /* ? */, ?", tokenize("SELECT ?, '?', \"?\" /* ? */, ?", "duckdb")
    ) == ("SELECT $1, '?', \"?\" /* ? */, $2")
    assert tokenize("'unclosed", "duckdb") is None
    assert tokenize(text, "duckdb")
