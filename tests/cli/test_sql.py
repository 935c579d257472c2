"""`sqlml sql` and `sqlml explain`: what goes in, what comes out, and in which form."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest


def test_a_statement_prints_its_rows(run):
    assert [line.strip() for line in run("sql", "SELECT 42 AS answer").stdout.splitlines()] == [
        "answer",
        "──────",
        "42",
    ]


def test_json_is_one_array_of_objects(run):
    out = run("sql", "SELECT n, n > 1 AS large FROM range(1, 3) t(n)", "--output", "json").stdout
    assert json.loads(out) == [{"n": 1, "large": False}, {"n": 2, "large": True}]
    assert json.loads(run("sql", "SELECT 1 WHERE false", "--output", "json").stdout) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DATE '2020-01-31'", "2020-01-31"),
        ("DATE 'infinity'", "infinity"),
        ("TIMESTAMP '2020-01-31 10:00:00.5'", "2020-01-31 10:00:00.5"),
        ("TIMESTAMPTZ '2020-01-31 10:00:00+00'", "2020-01-31 10:00:00+00"),
        ("TIME '10:00:00'", "10:00:00"),
        ("INTERVAL 90 MINUTE", "01:30:00"),
        ("1.50::DECIMAL(5,2)", "1.50"),
        ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
        ("340282366920938463463374607431768211455::UHUGEINT", 340282366920938463463374607431768211455),
        ("sum(7)", 7),
        ("1.1::FLOAT", 1.1),
        ("0.1::DOUBLE + 0.2::DOUBLE", 0.30000000000000004),
        ("'nan'::DOUBLE", None),
        ("'-inf'::FLOAT", None),
        ("NULL", None),
        ("true", True),
        ("'é \"x\" \n'", 'é "x" \n'),
        ("'a'::BLOB", "a"),
        ("'b'::ENUM('a', 'b')", "b"),
        ("'1010'::BIT", "1010"),
        ("[1, NULL, 3]", [1, None, 3]),
        ("[1, 2]::INTEGER[2]", [1, 2]),
        ("[['nan'::DOUBLE]]", [[None]]),
        ("{'d': DATE '2020-01-31', 'n': [1.5::DECIMAL(3,1), NULL], 'x': NULL::DATE}",
         {"d": "2020-01-31", "n": ["1.5", None], "x": None}),
        ("MAP {1: 2.5::FLOAT, 2: NULL}", {"1": 2.5, "2": None}),
        ("MAP {DATE '2020-01-31': {'a': 1::HUGEINT}}", {"2020-01-31": {"a": 1}}),
        ("""'{"a": [1, null]}'::JSON""", {"a": [1, None]}),
        ("union_value(n := 3)", "3"),
    ],
)  # fmt: skip
def test_json_values(values, value, expected):
    assert values[value] == expected
    assert type(values[value]) is type(expected)


@pytest.fixture(scope="module")
def values():
    """Every value of the test above, asked for in one process."""
    import sqlml
    from sqlml.cli.outputs import objects
    from sqlml.cli.rows import Result

    class Values(dict):
        def __missing__(self, value):
            stream = io.StringIO()
            objects.write(Result(session, session.sql(f"SELECT {value} AS x")), stream)
            return json.loads(stream.getvalue())[0]["x"]

    with sqlml.connect(catalog="sqlite://") as session:
        yield Values()


def test_columns_of_one_name_stay_apart(rows):
    assert rows("SELECT 1 AS a, 2 AS a, 3 AS A") == [{"a": 1, "a_1": 2, "A": 3}]


def test_csv(run):
    out = run("sql", "SELECT 'a,b' AS x, NULL AS y, 'say \"z\"' AS z, '' AS e UNION ALL SELECT 'é', '1', 'l\nm', ' '",
              "--output", "csv").stdout  # fmt: skip
    assert out == 'x,y,z,e\n"a,b",,"say ""z""",""\né,1,"l\nm"," "\n'
    assert list(csv.reader(io.StringIO(out)))[1] == ["a,b", "", 'say "z"', ""]


def test_csv_of_one_null_is_a_record(run):
    out = run("sql", "SELECT NULL AS x", "--output", "csv").stdout
    assert list(csv.reader(io.StringIO(out))) == [["x"], [""]]


def test_csv_of_no_rows_has_a_header(run):
    assert run("sql", "SELECT 1 AS a, 2 AS b WHERE false", "--output", "csv").stdout == "a,b\n"


@pytest.mark.parametrize("output", ["csv", "json", "text"])
def test_a_file_holds_what_would_be_printed(run, project, output):
    statement = ("sql", "SELECT 1 AS a, 'ü' AS b", "--output", output)
    assert run(*statement, "--to", "out").stdout == ""
    assert (project / "out").read_text(encoding="utf-8") == run(*statement).stdout
    assert sorted(path.name for path in project.iterdir() if path.name != ".sqlml") == ["out", "sqlml.toml"]


def test_parquet(run, project):
    columns = "n, DATE '2020-01-31' AS d, INTERVAL 1 DAY AS i, n AS n, NULL AS z, {'a': n} AS s, sum(n) OVER () AS h"
    run("sql", f"SELECT {columns} FROM range(3) t(n)", "--output", "parquet", "--to", "out.parquet")
    table = pq.read_table(project / "out.parquet")
    assert table.column_names == ["n", "d", "i", "n_1", "z", "s", "h"]
    assert table["s"].to_pylist() == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert table["i"].to_pylist() == ["1 day"] * 3
    assert [int(value) for value in table["h"].to_pylist()] == [3, 3, 3]


def test_parquet_of_no_rows_has_its_columns(run, project):
    run("sql", "SELECT 1 AS a WHERE false", "--output", "parquet", "--to", "out.parquet")
    assert pq.read_schema(project / "out.parquet").names == ["a"]


def test_parquet_needs_a_file(run):
    assert "--to FILE" in run("sql", "SELECT 1", "--output", "parquet", code=2).stderr


def test_a_failed_statement_leaves_the_old_file(run, project):
    (project / "out.csv").write_text("old")
    late = "SELECT CASE WHEN n > 900000 THEN error('late') ELSE n END FROM range(1000000) t(n)"
    assert "late" in run("sql", late, "--output", "csv", "--to", "out.csv", code=1).stderr
    assert (project / "out.csv").read_text() == "old"
    assert not list(project.glob(".out*"))


def test_text_says_how_many_rows_are_left_out(run):
    out = run("sql", "FROM range(100)").stdout
    assert "(60 more rows" in out
    assert "(1 more row:" in run("sql", "FROM range(3)", "--max-rows", "2").stdout
    assert len(run("sql", "FROM range(100)", "--max-rows", "0").stdout.splitlines()) == 102


def test_text_shows_null_and_no_control_characters(run):
    out = run("sql", "SELECT NULL AS n, chr(27) || '[2J' AS x").stdout
    assert "NULL" in out
    assert "\x1b" not in out


def test_text_in_a_pipe_is_whole(run):
    wide = "x" * 500
    assert wide in run("sql", f"SELECT '{wide}' AS a, '{wide}' AS b").stdout


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input(run, arguments):
    assert "42" in run("sql", *arguments, stdin="SELECT\n42;\n").stdout


def test_a_file(run, project):
    (project / "q.sql").write_text("CREATE TABLE t AS SELECT 1 AS a;\n-- the answer\nSELECT a + 41 AS b FROM t;\n")
    assert "42" in run("sql", "--file", "q.sql").stdout


def test_a_statement_may_begin_with_a_comment(rows):
    assert rows("-- the answer\nSELECT 42 AS a") == [{"a": 42}]


def test_parameters(rows):
    assert rows("SELECT ? + 1 AS n, ? AS t", "--param", "41", "--param", "2024-01-01") == [{"n": 42, "t": "2024-01-01"}]
    assert rows("SELECT $n + 1 AS n, $t AS t", "--param", "n=41", "--param", 't="007"') == [{"n": 42, "t": "007"}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("SELECT 1", "--file", "sqlml.toml"),
        ("--file", "missing.sql"),
        ("  ",),
        ("SELECT 1", "--output", "xml"),
        ("SELECT 1", "--max-rows", "-1"),
        ("SELECT $a + ?", "--param", "a=1", "--param", "2"),
        ("SELECT 1", "--project", "missing"),
        ("SELECT 1", "--nonsense"),
    ],
)
def test_a_wrong_command_line(run, arguments):
    assert run("sql", *arguments, code=2).stdout == ""


def test_a_database_file_keeps_its_tables(run, rows, project):
    run("sql", "CREATE TABLE t AS SELECT 42 AS a", "--database", "x.duckdb")
    assert (project / "x.duckdb").is_file()
    assert rows("SELECT a FROM t", "--database", "x.duckdb") == [{"a": 42}]


def test_another_project(run, rows, tmp_path):
    other = tmp_path / "other"
    run("init", other)
    (other / "sqlml.toml").write_text('[sqlml]\ndatabase = "here.duckdb"\n')
    run("sql", "CREATE TABLE t AS SELECT 42 AS a", "--project", other)
    assert (other / "here.duckdb").is_file()


def test_an_error_is_one_sentence(run):
    done = run("sql", "SELECT * FROM nowhere", code=1)
    assert done.stderr.startswith("Error: Catalog Error")
    assert done.stdout == ""


def test_debug_shows_the_traceback(command):
    for arguments in (("--debug", "sql", "SELEC"), ("sql", "SELEC", "--debug")):
        done = command(*arguments)
        assert done.returncode == 1
        assert "Traceback" in done.stderr


def started(*arguments):
    command = [sys.executable, "-m", "sqlml", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_reader_that_leaves_ends_it_quietly(project):
    with started("sql", "FROM range(10000000)", "--output", "csv") as process:
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_ctrl_c_ends_it_at_once(project):
    forever = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range, b.range) = 7"
    with started("sql", forever) as process:
        time.sleep(4)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"Interrupted.\n"
        assert process.wait(30) == 130
        assert time.monotonic() - began < 10


def test_explain(run, models):
    assert "duckdb" in run("explain", "SELECT 42").stdout
    assert json.loads(run("explain", "SELECT 42", "--output", "json").stdout)
    assert run("sql", "SELECT 42", "--explain").stdout == run("explain", "SELECT 42").stdout
    assert json.loads(run("sql", "SELECT 42", "--explain", "--output", "json").stdout)


def test_a_plain_query_imports_no_model_library(project):
    script = (
        "import sys\nfrom sqlml.cli import app\n"
        "try:\n    app(['sql', 'SELECT 42 AS answer', '--output', sys.argv[1]])\n"
        "except SystemExit as e:\n    assert not e.code\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    heavy = {"mlflow", "sklearn", "pandas", "scipy", "skops", "prompt_toolkit", "numba"}
    heavy |= {"catboost", "lightgbm", "onnx", "onnxruntime", "xgboost"}
    for output, lazy in (("json", {"rich"}), ("text", set())):
        done = subprocess.run(
            [sys.executable, "-c", script, output], capture_output=True, text=True, check=True, env=os.environ
        )
        imported = set(eval(done.stderr.splitlines()[-1]))
        assert not imported & (heavy | lazy)
