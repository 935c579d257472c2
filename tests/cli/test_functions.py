"""`sqlml functions`, `sync` and `apply`, on models of a real registry."""

from __future__ import annotations

import json

import pytest

CHAMPION = "models:/late@champion"


def test_no_functions(run):
    assert "sqlml functions register" in run("functions", "list").stdout
    assert json.loads(run("functions", "list", "--output", "json").stdout) == []


def test_register_list_show_drop(run, rows, models):
    done = run("functions", "register", "late", CHAMPION, "--on-null", "error")
    assert done.stdout == "late(a DOUBLE, b DOUBLE) -> VARCHAR: late version 1\n"
    assert rows("SELECT late(a := 4.0, b := 1.0) AS late, late_score(4.0, 1.0) > 0.5 AS p") == [
        {"late": "yes", "p": True}
    ]
    listed = run("functions", "list").stdout
    assert listed.split()[:6] == ["function", "arguments", "returns", "model", "version", "strategy"]
    assert "a DOUBLE, b DOUBLE" in listed
    (held,) = json.loads(run("functions", "list", "--output", "json").stdout)
    assert held["on_null"] == "error"
    assert held["classes"] == ["no", "yes"]
    shown = run("functions", "show", "LATE").stdout
    assert "rows compared" in shown
    assert json.loads(run("functions", "show", "late", "--output", "json").stdout) == held
    assert run("functions", "drop", "late", "--plan").stdout.startswith("Would drop")
    assert run("functions", "drop", "late").stdout == "Dropped late, which was late version 1.\n"
    assert json.loads(run("functions", "list", "--output", "json").stdout) == []


def test_list_like(run, registered):
    assert json.loads(run("functions", "list", "--like", "x%", "--output", "json").stdout) == []
    assert len(json.loads(run("functions", "list", "--like", "la%", "--output", "json").stdout)) == 1


@pytest.mark.long
def test_a_plan_registers_nothing(run, models):
    planned = json.loads(run("functions", "register", "late", CHAMPION, "--plan", "--output", "json").stdout)
    assert planned["action"] == "create"
    assert planned["arguments"] == [{"name": "a", "type": "DOUBLE"}, {"name": "b", "type": "DOUBLE"}]
    assert "a DOUBLE, b DOUBLE" in run("functions", "register", "late", CHAMPION, "--plan").stdout
    assert json.loads(run("functions", "list", "--output", "json").stdout) == []
    assert not list((models / ".sqlml").glob("artifacts/*"))


@pytest.mark.long
def test_a_taken_name(run, registered):
    assert "'late' exists" in run("functions", "register", "late", CHAMPION, code=1).stderr
    assert "'late' exists" in run("functions", "register", "late", CHAMPION, "--plan", code=1).stderr
    run("functions", "register", "late", "models:/late/2", "--replace")
    planned = run("functions", "register", "late", CHAMPION, "--replace", "--plan", "--output", "json").stdout
    assert json.loads(planned)["action"] == "change, from models:/late/2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nothing"), "No function is named 'nothing'"),
        (("drop", "nothing"), "No function is named 'nothing'"),
        (("register", "f", "models:/lat@champion"), "Did you mean 'late'?"),
        (("register", "f", "nonsense"), "is no model reference"),
        (("register", "f", CHAMPION, "--on-null", "sometimes"), "'sometimes'"),
        (("register", "f", CHAMPION, "--strategy", "magic", "--plan"), "'magic'"),
        (("register", "f", "models:/pickled/1"), "--trust-pickle"),
        (("register", "f", "models:/pickled/1", "--plan"), "--trust-pickle"),
    ],
)
def test_an_error_says_what_is_wrong(run, models, arguments, said):
    done = run("functions", *arguments, code=1)
    assert said in done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.long
def test_a_trusted_pickle(run, rows, models):
    run("functions", "register", "f", "models:/pickled/1", "--trust-pickle")
    assert rows("SELECT round(f(a := 2.0, b := 0.0)) AS f") == [{"f": 4.0}]


@pytest.mark.long
def test_a_pickle_that_one_command_trusts(run, rows, models):
    statement = "CREATE FUNCTION f USING MODEL 'models:/pickled/1'"
    assert "--trust-pickle" in run("sql", statement, code=1).stderr
    run("sql", statement, "--trust-pickle")
    assert rows("SELECT round(f(2.0, 0.0)) AS f") == [{"f": 4.0}]


@pytest.mark.long
def test_sync(run, registered, champion):
    assert json.loads(run("sync", "--output", "json").stdout) == []
    assert "at its alias's version" in run("sync").stdout
    champion(2)
    moved = {"function": "late", "model": "late", "alias": "champion", "previous": "1", "version": "2"}
    assert json.loads(run("sync", "late", "--output", "json").stdout) == [moved]
    assert json.loads(run("functions", "show", "late", "--output", "json").stdout)["version"] == "2"
    assert "No function is named" in run("sync", "nothing", code=1).stderr


@pytest.mark.long
def test_apply(run, models):
    (models / "udfs").mkdir()
    (models / "udfs" / "late.sql").write_text(f"CREATE FUNCTION late USING MODEL '{CHAMPION}';")
    (planned,) = json.loads(run("apply", "--plan", "--output", "json").stdout)
    assert (planned["action"], planned["name"], planned["file"]) == ("create", "late", "udfs/late.sql")
    assert json.loads(run("functions", "list", "--output", "json").stdout) == []
    assert "create" in run("apply").stdout
    assert json.loads(run("apply", "--output", "json").stdout)[0]["action"] == "unchanged"


def test_apply_without_a_project(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("apply")
    assert done.returncode == 1
    assert "sqlml init" in done.stderr


def test_a_table_of_functions_in_explain(run, registered):
    assert "late" in run("explain", "SELECT late(a, b) FROM (SELECT 1.0 AS a, 2.0 AS b)").stdout
    plan = json.loads(run("explain", "SELECT late(1.0, 2.0)", "--output", "json").stdout)
    assert "late" in json.dumps(plan)


@pytest.mark.long
def test_an_error_of_a_model_while_rows_are_read(run, registered):
    run("functions", "register", "strict", CHAMPION, "--on-null", "error")
    late = "SELECT strict(a := CASE WHEN n = 90000 THEN NULL ELSE 1.0 END, b := 0.0) AS f FROM range(100000) t(n)"
    for output in ("text", "json", "csv"):
        done = run("sql", late, "--output", output, code=1)
        assert done.stderr.startswith("Error: 'strict': the argument 'a' is NULL")
