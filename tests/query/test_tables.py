"""Statements about prediction tables are read from the text: their clauses, and how they must not be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.errors import SyntaxMistake, UnknownOption
from sqlml.query.statements import CreateFunction, Query, keeps_text, mentions, read
from sqlml.query.tables import (
    Audit,
    Bound,
    CreatePredictionTable,
    DescribePredictionTable,
    DropPredictionTable,
    Incremental,
    RefreshPredictionTable,
    ShowPredictionTables,
)

DIALECTS = ("duckdb", "spark")
both = pytest.mark.parametrize("dialect", DIALECTS)

QUERY = "SELECT f.day, delay_risk_score(f) AS risk FROM flights AS f WHERE note <> 'a;b'"
FULL = f"""CREATE OR REPLACE PREDICTION TABLE delay_risk_daily
  PARTITIONED BY (flight_date, carrier)
  INCREMENTAL ON time_hour EVERY INTERVAL '1' DAY LOOKBACK INTERVAL '2 days' START TIMESTAMP '2013-01-01'
  KEY (year, month, day, carrier, flight, origin)
  SCHEDULE CRON '0 3 * * *' AT TIME ZONE 'America/New_York'
  AUDIT (not_null(risk), between(risk, -0.5, 1), min_rows(1), max_null_fraction(risk, 0.01), unique(a, b),
    accepted_values(carrier, 'AA', 'O''Hare', -3))
  OPTIONS (engine = 'Spark', retention = '90 days', comment = 'It''s; Mine', catch_up = 'LATEST', timeout = '1 hour',
    retries = '2')
AS {QUERY}"""


def one(text: str, dialect: str = "duckdb"):
    (statement,) = read(text, dialect)
    return statement


def created(clauses: str, dialect: str = "duckdb") -> CreatePredictionTable:
    return one(f"CREATE PREDICTION TABLE t {clauses} AS SELECT 1", dialect)


@both
def test_every_clause(dialect):
    assert one(FULL, dialect) == CreatePredictionTable(
        name="delay_risk_daily",
        replace=True,
        query=QUERY,
        partition_by=("flight_date", "carrier"),
        incremental=Incremental("time_hour", "1 DAY", "2 days", Bound("timestamp", "2013-01-01")),
        key=("year", "month", "day", "carrier", "flight", "origin"),
        cron="0 3 * * *",
        zone="America/New_York",
        audits=(
            Audit("not_null", ("risk",), ()),
            Audit("between", ("risk",), (-0.5, 1)),
            Audit("min_rows", (), (1,)),
            Audit("max_null_fraction", ("risk",), (0.01,)),
            Audit("unique", ("a", "b"), ()),
            Audit("accepted_values", ("carrier",), ("AA", "O'Hare", -3)),
        ),
        options={
            "engine": "spark",
            "retention": "90 days",
            "comment": "It's; Mine",
            "catch_up": "latest",
            "timeout": "1 hour",
            "retries": "2",
        },
        text=FULL,
    )


@both
def test_no_clause(dialect):
    text = "create prediction table predictions.T as select 1"
    assert one(text, dialect) == CreatePredictionTable("T", False, "select 1", text=text)


def test_the_clauses_stand_in_any_order():
    clauses = [
        "KEY (a)",
        "OPTIONS (comment = 'x')",
        "AUDIT (min_rows(1))",
        "SCHEDULE CRON '@daily'",
        "INCREMENTAL ON a START 1 EVERY 2",
        "PARTITIONED BY (b)",
    ]
    forward, backward = created(" ".join(clauses)), created(" ".join(reversed(clauses)))
    assert vars(forward) | {"text": ""} == vars(backward) | {"text": ""}
    assert forward.incremental == Incremental("a", "2", None, Bound("integer", "1"))


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("INTERVAL '1' DAY", "1 DAY"),
        ("INTERVAL '1 day'", "1 day"),
        ("INTERVAL 1 DAY", "1 DAY"),
        ("interval '15' minutes", "15 minutes"),
        ("1000", "1000"),
    ],
)
@both
def test_lengths(dialect, written, read_as):
    held = created(f"INCREMENTAL ON a EVERY {written} LOOKBACK {written}", dialect).incremental
    assert (held.every, held.lookback) == (read_as, read_as)


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        ("TIMESTAMP '2013-01-01'", Bound("timestamp", "2013-01-01")),
        ("timestamp_ntz '2013-01-01'", Bound("timestamp", "2013-01-01")),
        ("TIMESTAMP WITHOUT TIME ZONE '2013-01-01'", Bound("timestamp", "2013-01-01")),
        ("TIMESTAMPTZ '2013-01-01 00:00+02'", Bound("timestamptz", "2013-01-01 00:00+02")),
        ("TIMESTAMP WITH TIME ZONE '2013-01-01'", Bound("timestamptz", "2013-01-01")),
        ("TIMESTAMP /* so */ WITH TIME -- so\n ZONE '2013-01-01'", Bound("timestamptz", "2013-01-01")),
        ("TIMESTAMP_LTZ '2013-01-01'", Bound("timestamptz", "2013-01-01")),
        ("DATE '2013-01-01'", Bound("date", "2013-01-01")),
        ("'2013-01-01'", Bound("text", "2013-01-01")),
        ("42", Bound("integer", "42")),
        ("- 42", Bound("integer", "-42")),
    ],
)
@both
def test_bounds(dialect, written, bound):
    assert created(f"INCREMENTAL ON a START {written}", dialect).incremental.start == bound
    refresh = one(f"REFRESH PREDICTION TABLE t FROM {written} TO {written}", dialect)
    assert refresh == RefreshPredictionTable("t", bound, bound, False)


@pytest.mark.parametrize(("dialect", "mark"), [("duckdb", '"'), ("spark", "`")])
def test_columns_in_quotes(dialect, mark):
    odd = f"{mark}odd, (name{mark}"
    statement = created(f"PARTITIONED BY ({odd}) INCREMENTAL ON {odd} KEY (b, {odd}) AUDIT (not_null({odd}))", dialect)
    assert statement.partition_by == ("odd, (name",)
    assert statement.incremental.column == "odd, (name"
    assert statement.key == ("b", "odd, (name")
    assert str(statement.audits[0]) == 'not_null("odd, (name")'
    assert one(f"DESC PREDICTION TABLE {mark}risk{mark}", dialect) == DescribePredictionTable("risk")


def test_an_audit_as_text():
    written = "between(risk, 0, 1.5), accepted_values(carrier, 'O''Hare', 2), unique(a, b), min_rows(3)"
    assert ", ".join(map(str, created(f"AUDIT ({written})").audits)) == written


def test_the_query_is_what_was_written():
    query = "SELECT /* why */ 1 AS b\n  -- how\n  , '--' AS c FROM t"
    text = f"CREATE PREDICTION TABLE t KEY (b) /* here */ AS -- now\n {query}  -- a comment behind it"
    statement = one(text)
    assert (statement.query, statement.text) == (query, text)
    assert [two.query for two in read(f"{text}\n;{text}\n;", "duckdb")] == [query, query]


@both
@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("REFRESH PREDICTION TABLE t", RefreshPredictionTable("t", None, None, False)),
        ("refresh prediction table predictions.t full", RefreshPredictionTable("t", None, None, True)),
        ("SHOW PREDICTION TABLES", ShowPredictionTables(None)),
        ("show prediction tables like 'x%'", ShowPredictionTables("x%")),
        ("DESCRIBE PREDICTION TABLE t", DescribePredictionTable("t")),
        ("desc /* the */ prediction table PREDICTIONS.t -- so", DescribePredictionTable("t")),
        ("DROP PREDICTION TABLE t", DropPredictionTable("t", False)),
        ("DROP PREDICTION TABLE IF EXISTS t", DropPredictionTable("t", True)),
    ],
)
def test_the_other_statements(dialect, text, statement):
    assert read(f"{text};", dialect) == [statement]


@both
@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE prediction AS SELECT 1",
        "CREATE TABLE prediction_table (a INT)",
        "CREATE VIEW prediction AS SELECT 1",
        "SHOW TABLES",
        "DESCRIBE prediction",
        "DROP TABLE prediction",
        "REFRESH TABLE prediction",
        "SELECT 'CREATE PREDICTION TABLE t AS SELECT 1'",
        "-- CREATE PREDICTION TABLE t AS\nSELECT 1",
        "'CREATE' PREDICTION TABLE t",
        "EXPLAIN CREATE PREDICTION TABLE t AS SELECT 1",
        "SELECT prediction AS table_ FROM predictions.t",
        "SELECT 1 /* unclosed",
        "CREATE PREDICTION TABLE 'unclosed",
    ],
)
def test_what_stays_a_query(dialect, text):
    assert read(text, dialect) == [Query(text)]


def test_a_quoted_word_is_no_keyword():
    assert one('SHOW "functions"') == Query('SHOW "functions"')
    assert one('CREATE "prediction" TABLE t AS SELECT 1') == Query('CREATE "prediction" TABLE t AS SELECT 1')


MISTAKES = [
    ("CREATE PREDICTION TABLE", "expected a name, found the end of the statement."),
    ("CREATE PREDICTION TABLE daily-risk AS SELECT 1", "expected a name, found 'daily-risk'."),
    ('CREATE PREDICTION TABLE "../x" AS SELECT 1', "expected a name, found '\"../x\"'."),
    ("CREATE PREDICTION TABLE 't' AS SELECT 1", "expected a name, found ''t''."),
    ("CREATE PREDICTION TABLE 1t AS SELECT 1", "expected a name, found '1t'."),
    ("CREATE PREDICTION TABLE größe AS SELECT 1", "expected a name, found 'größe'."),
    ("CREATE PREDICTION TABLE other.t AS SELECT 1", "expected a name, found 'other.t'."),
    ("CREATE PREDICTION TABLE t", "expected AS and a query, found the end of the statement."),
    ("CREATE PREDICTION TABLE t SELECT 1", "expected AS and a query, found 'SELECT'."),
    ("CREATE PREDICTION TABLE t AS", "expected a query after AS, found the end of the statement."),
    ("CREATE PREDICTION TABLE t AS -- nothing", "expected a query after AS, found the end of the statement."),
    ("CREATE PREDICTION TABLE t (a INT) AS SELECT 1", "expected a clause, or AS and a query, found '('."),
    ("CREATE PREDICTION TABLE t KEY (a) KEY (b) AS SELECT 1", "expected KEY once, found 'KEY' again."),
    (
        "CREATE PREDICTION TABLE t SCHEDULE CRON '@daily' KEY (a) SCHEDULE CRON '@daily' AS SELECT 1",
        "expected SCHEDULE CRON once, found 'SCHEDULE CRON' again.",
    ),
    ("CREATE PREDICTION TABLE t KEY () AS SELECT 1", "expected a column's name, found ')'."),
    ("CREATE PREDICTION TABLE t KEY (a,, b) AS SELECT 1", "expected a column's name, found ','."),
    ("CREATE PREDICTION TABLE t KEY (a b) AS SELECT 1", "expected ',' or ')', found 'b'."),
    ("CREATE PREDICTION TABLE t KEY (a, A) AS SELECT 1", "expected each column once, found 'A' again."),
    ("CREATE PREDICTION TABLE t KEY (a AS SELECT 1", "expected ')', found the end of the statement."),
    ("CREATE PREDICTION TABLE t INCREMENTAL ON (a) AS SELECT 1", "expected a column's name, found '('."),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a EVERY 1 EVERY 2 AS SELECT 1",
        "expected EVERY once, found 'EVERY' again.",
    ),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a EVERY day AS SELECT 1",
        "expected INTERVAL '1' DAY, or a whole number, found 'day'.",
    ),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a EVERY 1.5 AS SELECT 1",
        "expected INTERVAL '1' DAY, or a whole number, found '1.5'.",
    ),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a EVERY INTERVAL '1' LOOKBACK 2 AS SELECT 1",
        "expected a unit such as DAY, found 'LOOKBACK'.",
    ),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a START now() AS SELECT 1",
        "expected a literal such as TIMESTAMP '2013-01-01', DATE '2013-01-01' or 42, found 'now'.",
    ),
    (
        "CREATE PREDICTION TABLE t INCREMENTAL ON a START TIMESTAMP 42 AS SELECT 1",
        "expected TIMESTAMP and a text in quotes, found '42'.",
    ),
    (
        "CREATE PREDICTION TABLE t SCHEDULE CRON daily AS SELECT 1",
        "expected a schedule in quotes, such as '0 3 * * *', found 'daily'.",
    ),
    (
        "CREATE PREDICTION TABLE t SCHEDULE CRON '@daily' AT TIME ZONE UTC AS SELECT 1",
        "expected a time zone in quotes, such as 'UTC', found 'UTC'.",
    ),
    (
        "CREATE PREDICTION TABLE t OPTIONS (comment) AS SELECT 1",
        "expected an option as name = 'value', found 'comment'.",
    ),
    (
        "CREATE PREDICTION TABLE t OPTIONS (retries = 2) AS SELECT 1",
        "expected an option as name = 'value', found 'retries = 2'.",
    ),
    (
        "CREATE PREDICTION TABLE t OPTIONS (comment = 'a', COMMENT = 'b') AS SELECT 1",
        "expected each option once, found 'comment' again.",
    ),
    (
        "CREATE PREDICTION TABLE t AUDIT () AS SELECT 1",
        "expected an audit such as not_null(column), found ')'.",
    ),
    ("CREATE PREDICTION TABLE t AUDIT (not_null) AS SELECT 1", "expected '(', found ')'."),
    ("CREATE PREDICTION TABLE t AUDIT (not_null(a) b) AS SELECT 1", "expected ',' or ')', found 'b'."),
    ("REFRESH PREDICTION TABLE t FROM 1", "expected TO, found the end of the statement."),
    ("REFRESH PREDICTION TABLE t FROM 1 TO 2 FULL", "expected FULL or FROM ... TO, found both."),
    ("REFRESH PREDICTION TABLE t FULL FROM 1 TO 2", "expected FULL or FROM ... TO, found both."),
    ("REFRESH PREDICTION TABLE t TO 2", "expected the end of the statement, found 'TO'."),
    ("SHOW PREDICTION TABLES LIKE x", "expected a pattern in quotes, found 'x'."),
    ("SHOW PREDICTION TABLES t", "expected the end of the statement, found 't'."),
    ("DESCRIBE PREDICTION TABLE t u", "expected the end of the statement, found 'u'."),
    ("DROP PREDICTION TABLE IF EXISTS", "expected a name, found the end of the statement."),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_how_a_statement_must_not_be_written(text, message):
    with pytest.raises(SyntaxMistake) as raised:
        read(text, "duckdb")
    name = "a table's name, of the letters a to z, digits and '_' and no digit first"
    statement = " ".join(text.split()[:3])
    assert str(raised.value) == f"In {statement}: {message.replace('a name', name)}"


@pytest.mark.parametrize(
    ("audit", "shape"),
    [
        ("not_null()", "not_null(column)"),
        ("not_null(a, b)", "not_null(column)"),
        ("not_null('a')", "not_null(column)"),
        ("between(a, 0)", "between(column, number, number)"),
        ("between(a, 0, 'b')", "between(column, number, number)"),
        ("between(a, 0, 1, 2)", "between(column, number, number)"),
        ("min_rows(a)", "min_rows(a whole number)"),
        ("min_rows(-1)", "min_rows(a whole number)"),
        ("min_rows(1.5)", "min_rows(a whole number)"),
        ("max_null_fraction(a, 1.5)", "max_null_fraction(column, a number from 0 to 1)"),
        ("max_null_fraction(a, -1)", "max_null_fraction(column, a number from 0 to 1)"),
        ("unique()", "unique(column, ...)"),
        ("unique(a, 1)", "unique(column, ...)"),
        ("accepted_values(a)", "accepted_values(column, value, ...)"),
        ("accepted_values(a, b)", "accepted_values(column, value, ...)"),
        ("unique(a b)", "unique(column, ...)"),
    ],
)
@both
def test_an_audit_with_other_arguments(dialect, audit, shape):
    with pytest.raises(SyntaxMistake) as raised:
        created(f"AUDIT (min_rows(0), {audit})", dialect)
    assert str(raised.value) == f"In CREATE PREDICTION TABLE: expected {shape}, found '{audit}'."


@pytest.mark.parametrize("numbers", ["0, 1", ".5, 1.5", "-.5, 1e3", "- 1, 0.25"])
@both
def test_numbers(dialect, numbers):
    (audit,) = created(f"AUDIT (between(a, {numbers}))", dialect).audits
    assert list(audit.values) == [float(number.replace(" ", "")) for number in numbers.split(",")]


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        (
            "PARTITION BY (a)",
            "no clause 'PARTITION BY': it takes 'PARTITIONED BY', 'INCREMENTAL ON', 'KEY', 'SCHEDULE CRON', 'AUDIT', "
            "'OPTIONS', 'AS'. Did you mean 'PARTITIONED BY'?",
        ),
        (
            "audits (min_rows(1))",
            "no clause 'AUDITS': it takes 'PARTITIONED BY', 'INCREMENTAL ON', 'KEY', 'SCHEDULE CRON', 'AUDIT', "
            "'OPTIONS', 'AS'. Did you mean 'AUDIT'?",
        ),
        (
            "AUDIT (notnull(a))",
            "no audit 'notnull': it takes 'not_null', 'between', 'min_rows', 'max_null_fraction', 'unique', "
            "'accepted_values'. Did you mean 'not_null'?",
        ),
        (
            "OPTIONS (engin = 'spark')",
            "no option 'engin': it takes 'engine', 'retention', 'comment', 'catch_up', 'timeout', 'retries'. "
            "Did you mean 'engine'?",
        ),
        ("OPTIONS (engine = 'sparc')", "no engine 'sparc': it takes 'duckdb', 'spark'. Did you mean 'spark'?"),
        ("OPTIONS (catch_up = 'some')", "no catch_up 'some': it takes 'all', 'latest' or a whole number in quotes."),
        ("OPTIONS (retries = '-1')", "no retries '-1': it takes a whole number in quotes."),
    ],
)
def test_what_there_is_not(clause, message):
    with pytest.raises(UnknownOption) as raised:
        created(clause)
    assert str(raised.value) == f"CREATE PREDICTION TABLE has {message}"


def test_a_function_statement_has_the_same_options_reader():
    text = "CREATE FUNCTION f USING MODEL 'm' OPTIONS (on_null = 'PASS', comment = 'It''s')"
    for dialect in DIALECTS:
        assert one(text, dialect) == CreateFunction("f", "m", False, {"on_null": "pass", "comment": "It's"})


@both
def test_no_engine_keeps_their_text(dialect):
    for text in (FULL, "REFRESH PREDICTION TABLE t", "DROP PREDICTION TABLE t"):
        assert not keeps_text(text, dialect)
    assert keeps_text("CREATE VIEW prediction AS SELECT 1", dialect)


def test_a_text_that_mentions_a_prediction_table_is_read():
    for text in (FULL, "show PREDICTION\ntables", "DROP prediction table t", "FROM Predictions.t"):
        assert mentions(text, frozenset())
    for text in ("SELECT prediction FROM t", "CREATE TABLE t AS SELECT 1", "FROM my_predictions"):
        assert not mentions(text, frozenset())


# A token, and whether its case says nothing.
WORDS = [
    *[("create", True), ("prediction", True), ("table", True), ("risk", False), ("partitioned", True), ("by", True)],
    *[("(", False), ("Day", False), (")", False), ("incremental", True), ("on", True), ("ts", False)],
    *[("every", True), ("interval", True), ("'1'", False), ("DAY", False), ("start", True), ("timestamp", True)],
    *[("with", True), ("time", True), ("zone", True), ("'2013-01-01'", False), ("schedule", True), ("cron", True)],
    *[("'0 3 * * *'", False), ("at", True), ("time", True), ("zone", True), ("'UTC'", False), ("audit", True)],
    *[("(", False), ("between", True), ("(", False), ("risk", False), (",", False), ("0", False), (",", False)],
    *[("1", False), (")", False), (")", False), ("as", True), ("SELECT 1", False)],
]
NOISE = st.lists(st.sampled_from([" ", "\n", "\t", "/* AS ; ' */", "-- KEY ( ' ;\n"]), min_size=1, max_size=3)


@given(st.data(), st.sampled_from(DIALECTS))
def test_layout_says_nothing(data, dialect):
    text = ""
    for word, is_keyword in WORDS:
        if is_keyword:
            word = "".join(data.draw(st.sampled_from([letter.upper(), letter])) for letter in word)
        text += word + "".join(data.draw(NOISE))
    plain = one(" ".join(word for word, _ in WORDS), dialect)
    assert vars(one(text, dialect)) | {"text": ""} == vars(plain) | {"text": ""}
