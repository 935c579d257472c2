"""What can be declared, under which names and with which types; and how a declaration is changed and taken back."""

from __future__ import annotations

import pytest

import sqlml
from sqlml.errors import BadColumn, BadDeclaration, EngineError, SqlmlError, TableCycle, TableExists, UnknownTable
from tables.small import DAILY, QUERY, ask, declare, fails, frame, root_of, same_scores, windows

# Each type that a query of DuckDB's can give: what comes back is what went in, or why it can't.
EXACT = {
    "true": "bool", "1::TINYINT": "int8", "1::SMALLINT": "int16", "1::INTEGER": "int32", "1::BIGINT": "int64",
    "255::UTINYINT": "int16", "65535::USMALLINT": "int32", "4294967295::UINTEGER": "int64",
    "18446744073709551615::UBIGINT": "decimal128(20, 0)", "0.1::FLOAT": "float", "0.1::DOUBLE": "double",
    "'nan'::DOUBLE": "double", "'-inf'::FLOAT": "float", "1.5": "decimal128(2, 1)",
    "12345678901234567890123456789012345.678::DECIMAL(38, 3)": "decimal128(38, 3)", "'text'": "string",
    "''": "string", "'a\\b''c''\n\t😀'": "string", "'\\x00\\xFF'::BLOB": "binary", "''::BLOB": "binary",
    "DATE '2024-02-29'": "date32[day]", "DATE '0001-01-01'": "date32[day]", "DATE '9999-12-31'": "date32[day]",
    "TIMESTAMP '2024-02-29 12:34:56.789012'": "timestamp[us]", "TIMESTAMP_S '2024-02-29 12:34:56'": "timestamp[us]",
    "TIMESTAMP_MS '2024-02-29 12:34:56.789'": "timestamp[us]", "TIMESTAMP '0001-01-01 00:00:00'": "timestamp[us]",
    "TIMESTAMPTZ '2024-02-29 12:34:56.789012+05:30'": "timestamp[us, tz=UTC]", "[1, NULL, 3]": "list<element: int32>",
    "[]::VARCHAR[]": "list<element: string>", "[[1], NULL, []]": "list<element: list<element: int32>>",
    "[1, 2]::INTEGER[2]": "list<element: int32>", "{'a': 1, 'b c': 'x'}": "struct<a: int32, b c: string>",
    "{'a': {'b': [1.5::DOUBLE]}}": "struct<a: struct<b: list<element: double>>>",
    "MAP {'a': 1, 'b': NULL}": "map<string, int32>", "MAP {1: [2]}": "map<int32, list<element: int32>>",
    "'b'::ENUM('a', 'b')": "string", "uuid()": "string", "'{\"a\": [1]}'::JSON": "string",
    "sum(1::HUGEINT) OVER ()": "decimal128(38, 0)",
}  # fmt: skip
# The same values, of the type that the table has.
AS_STORED = {
    "18446744073709551615::UBIGINT": "18446744073709551615::DECIMAL(20, 0)",
    "[1, 2]::INTEGER[2]": "[1, 2]",
    "sum(1::HUGEINT) OVER ()": "3::DECIMAL(38, 0)",
}
NO_COLUMN = [
    "TIMESTAMP_NS '2024-02-29 12:34:56.789012345'", "TIME '12:34:56'", "TIMETZ '12:34:56+02'", "INTERVAL '1' DAY",
    "NULL", "[NULL]", "{'a': INTERVAL '1' DAY}", "union_value(a := 1)",
]  # fmt: skip


@pytest.mark.parametrize("value", EXACT)
def test_a_type_is_stored_exactly(db, value):
    """Read by DuckDB and by Delta's own library."""
    declare(db, "", f"SELECT id, {value} AS x, risk_score(e) AS risk FROM events AS e WHERE id < 3")
    ask(db)
    stored = db.predictions.table("daily").to_arrow(["x"])
    assert str(stored.schema.field("x").type) == EXACT[value]
    if value == "uuid()":
        assert len(set(stored.column("x").to_pylist())) == 3
        return
    wanted = db.sql(f"SELECT {AS_STORED.get(value, value)} AS x").fetchall() * 3
    for rows in ("predictions.daily", "stored"):
        assert repr(db.sql(f"SELECT x FROM {rows}").fetchall()) == repr(wanted)
    assert stored.num_rows == 3


@pytest.mark.parametrize("value", NO_COLUMN)
def test_a_type_that_no_table_has(db, value):
    fails(
        BadColumn,
        "'x' can't be in a table.*CAST it",
        lambda: declare(db, "", f"SELECT id, {value} AS x, risk(e) FROM events AS e"),
    )
    fails(UnknownTable, "daily", lambda: ask(db))


def test_values_that_do_not_fit_the_type(db):
    """A sum of integers is declared as the widest decimal there is."""
    most = "170141183460469231731687303715884105727::HUGEINT"
    declare(db, "", f"SELECT sum({most}) AS x, max(risk_score(e)) AS r FROM events AS e WHERE id = 1")
    fails(EngineError, "(?i)cast|decimal", lambda: ask(db))
    assert frame(db, "FROM predictions.daily").empty


ODD = [
    "two words",
    "a.b",
    "UPPER",
    'say "hi"',
    "it's",
    "select",
    "semi;colon",
    "größe",
    "😀",
    "1st",
    "%41",
    "a=b",
    "x/y",
    "*",
    "-- no",
    "{n}",
]


def test_odd_names_of_columns(db):
    columns = ", ".join(f"id + {i} AS " + '"' + name.replace('"', '""') + '"' for i, name in enumerate(ODD))
    declare(
        db, 'PARTITIONED BY ("größe")', f"SELECT id, {columns}, risk_score(e) AS risk FROM events AS e WHERE id < 4"
    )
    ask(db)
    held = frame(db)
    stored = db.predictions.table("daily").to_pandas().sort_values("id")
    for i, name in enumerate(ODD):
        assert held[name].tolist() == stored[name].tolist() == [id_ + i for id_ in range(4)]


@pytest.mark.parametrize("name", ["a=b", "x/y", "%41", "two words", "a:b", "it's"])
def test_names_that_no_folder_has(db, name):
    query = f'SELECT id, id AS "{name}", risk(e) AS late FROM events AS e'
    fails(BadDeclaration, "becomes the name of folders", lambda: declare(db, f'PARTITIONED BY ("{name}")', query))


@pytest.mark.parametrize("name", ["_", "Select", "x" * 120, "ALL_upper", '"quoted"', "predictions.named"])
def test_names_of_tables(db, world, source, name):
    declare(db, name=name)
    plain = name.strip('"').removeprefix("predictions.")
    ask(db, name=plain)
    for spelt in (plain, plain.upper(), plain.lower()):
        same_scores(world, frame(db, f'FROM predictions."{spelt}" ORDER BY id'), source)
    assert root_of(db, plain).name == plain.casefold()
    db.sql(f"DROP PREDICTION TABLE {name}")


@pytest.mark.parametrize("name", ["a-b", '"../up"', '"a b"', "größe", "a.b", "'text'", "1st", '""'])
def test_names_that_no_table_has(db, name):
    fails(SqlmlError, "a table's name|expect", lambda: declare(db, name=name))


@pytest.mark.parametrize("name", ["_model", "_SCORED_AT", "_run_id", "sqlml_run", "sqlml_window"])
def test_names_of_sqlmls_own(db, name):
    fails(
        BadDeclaration,
        "a name of sqlml's own",
        lambda: declare(db, "", f"SELECT id AS {name}, risk(e) AS r FROM events AS e"),
    )


WRONG = {
    "INCREMENTAL ON rik": "no column 'rik', which INCREMENTAL ON names.*Did you mean 'risk'",
    "PARTITIONED BY (nope)": "no column 'nope', which PARTITIONED BY names",
    "PARTITIONED BY (risk)": "'risk' is double",
    "PARTITIONED BY (ts)": r"'ts' is timestamp\[us\]",
    "INCREMENTAL ON risk": "INCREMENTAL ON takes a timestamp, a date or an integer",
    "INCREMENTAL ON id EVERY INTERVAL '1' DAY": "windows of integers",
    "INCREMENTAL ON ts EVERY 10": "windows of timestamps are intervals",
    "INCREMENTAL ON ts LOOKBACK 10": "windows of timestamps are intervals",
    "INCREMENTAL ON ts START 10": "it is no timestamp",
    "SCHEDULE CRON '61 * * * *'": "no cron expression",
    "SCHEDULE CRON '0 3 * * *' AT TIME ZONE 'Europe/Berlim'": "Did you mean 'Europe/Berlin'",
    "OPTIONS (retention = '90 parsecs')": "no interval",
}


@pytest.mark.parametrize("clauses", WRONG)
def test_a_declaration_that_can_not_be(db, clauses):
    """Nothing is written then."""
    fails(SqlmlError, WRONG[clauses], lambda: declare(db, clauses))
    assert db.sql("SHOW PREDICTION TABLES").fetchall() == []
    assert not (db.predictions.desk.folder / "daily").exists()


QUERIES = {
    "SELECT nope FROM events": "nope",
    "SELECT * FROM nowhere": "nowhere",
    "SELECT risk(1, 2, 3) AS r": "'risk' needs|takes",
    "SELECT": "(?i)syntax|select",
    "DELETE FROM events": "(?i)syntax|delete",
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_can_not_be(db, query):
    fails(SqlmlError, QUERIES[query], lambda: declare(db, "", query))
    assert db.sql("SHOW PREDICTION TABLES").fetchall() == []
    assert db.sql("SELECT count(*) FROM events").fetchall() == [(40,)]


def test_a_table_without_a_model(db, source):
    declare(db, query="SELECT id, ts FROM events")
    ask(db)
    assert frame(db).columns.tolist() == ["id", "ts", "_scored_at", "_run_id"]
    assert frame(db).id.tolist() == source.id.tolist()


def test_the_same_declaration_twice(db):
    declare(db)
    fails(TableExists, "daily", lambda: declare(db))
    fails(TableExists, "daily", lambda: declare(db, name="DAILY"))
    ask(db)
    declare(db, new=False)
    assert windows(ask(db)) == [], "what was there stays"


def test_a_replacement_that_fails_changes_nothing(db, world, source):
    declare(db)
    ask(db)
    fails(SqlmlError, "nope", lambda: declare(db, query="SELECT nope, ts FROM events", new=False))
    fails(BadDeclaration, "it is partitioned by", lambda: declare(db, f"PARTITIONED BY (id) {DAILY}", new=False))
    same_scores(world, frame(db), source)
    assert windows(ask(db, start="2024-03-01", end="2024-03-02")) == ["2024-03-01T00:00:00"]


def test_an_empty_table_gets_other_partitions(db):
    declare(db)
    declare(db, f"PARTITIONED BY (id) {DAILY}", new=False)
    assert ask(db).rows == 40
    assert len(list(root_of(db).rglob("id=7"))) == 1


def test_dropped_and_made_again(db, world, source):
    fails(UnknownTable, "daily", lambda: db.sql("DROP PREDICTION TABLE daily"))
    db.sql("DROP PREDICTION TABLE IF EXISTS daily")
    for _ in range(3):
        declare(db)
        assert frame(db).empty
        assert len(windows(ask(db))) == 5
        same_scores(world, frame(db), source)
        root = root_of(db)
        db.sql("DROP PREDICTION TABLE daily")
        assert not list(root.parent.iterdir())
        fails(SqlmlError, "daily", lambda: frame(db))
    assert len(db.sql("FROM sqlml.runs").fetchall()) == 15, "its runs are remembered"


def test_dropped_and_made_again_as_another_session_sees_it(db, project, world, source):
    with sqlml.connect(project=project) as other:
        declare(db)
        ask(db)
        same_scores(world, frame(other), source)
        db.sql("DROP PREDICTION TABLE daily")
        fails(SqlmlError, "daily", lambda: frame(other))
        declare(db, "")
        db.sql("DELETE FROM events WHERE id >= 10")
        ask(db)
        same_scores(world, frame(other), source[:10])


def test_a_folder_that_holds_something(db):
    folder = db.predictions.desk.folder / "daily"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    fails(BadDeclaration, "holds something already", lambda: declare(db))
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert db.sql("SHOW PREDICTION TABLES").fetchall() == []


def test_tables_that_read_each_other(db):
    declare(db, name="first")
    declare(db, query="SELECT id, ts, risk AS r FROM predictions.first", name="second")
    fails(
        TableCycle,
        "first.*second|second.*first",
        lambda: declare(db, query="SELECT id, ts, r FROM predictions.second", name="first", new=False),
    )
    fails(TableCycle, "third", lambda: declare(db, query="SELECT id, ts, 1 AS r FROM predictions.third", name="third"))
    assert ask(db, "first").rows == 40


def test_a_table_that_reads_another(db, world, source):
    """It reads one version of it, whatever comes to the other meanwhile."""
    declare(db, name="first")
    ask(db, "first")
    declare(db, query="SELECT id, ts, a, b, 2 * risk AS risk FROM predictions.first AS f", name="second")

    def more(run) -> None:
        if run.window_key.startswith("2024-03-01"):
            db.sql("UPDATE events SET a = 0, b = 0")
            ask(db, "first", start="2024-03-01", end="2024-03-06")

    ask(db, "second", progress=more)
    same_scores(world, frame(db, "SELECT id, risk / 2 AS risk FROM predictions.second ORDER BY id"), source)
    ask(db, "second", start="2024-03-01", end="2024-03-06")
    same_scores(
        world, frame(db, "SELECT id, risk / 2 AS risk FROM predictions.second ORDER BY id"), source.assign(a=0, b=0)
    )
    fails(UnknownTable, "frist", lambda: declare(db, query="SELECT * FROM predictions.frist", name="third"))


def test_shown_and_described(db):
    more = "LOOKBACK INTERVAL '2' DAY SCHEDULE CRON '0 3 * * *' AUDIT (min_rows(1)) OPTIONS (comment = 'so')"
    declare(db, f"PARTITIONED BY (id) {DAILY} {more}")
    ask(db)
    shown = db.sql("SHOW PREDICTION TABLES").to_arrow_table().to_pylist()
    assert [[row[name] for name in ("name", "windows", "rows", "schedule")] for row in shown] == [
        ["daily", 5, 40, "0 3 * * * UTC"]
    ]
    found = db.sql("DESCRIBE PREDICTION TABLE Daily").to_arrow_table().to_pylist()
    said = {(row["item"], row["name"]): row["value"] for row in found}
    assert said["column", "risk"] == "double"
    assert said["model", "risk"] == "risk 1"
    assert said["clause", "partitioned by"] == "id"
    assert said["clause", "incremental on"] == "ts"
    assert said["clause", "lookback"] == "2 days"
    assert said["clause", "audit"] == "min_rows(1)"
    assert said["option", "comment"] == "so"
    assert said["table", "rows"] == "40"
    assert said["query", ""] == QUERY
