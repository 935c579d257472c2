"""`sqlml tables`, on Delta tables that real commands make and change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import duckdb
import pytest
from typer.testing import CliRunner

from sqlml.cli import app

DECLARED = """CREATE PREDICTION TABLE risks
  INCREMENTAL ON day EVERY INTERVAL '1' DAY
  {clauses}
AS SELECT id, day, a, b, late_score(e) AS risk FROM events AS e"""
SOURCES = '\n[sources]\nevents = "events.parquet"\n'


def write_events(days=3, where="TRUE"):
    """The Parquet file behind `events`: four rows a day."""
    rows = "i AS id, DATE '2024-01-01' + CAST(i // 4 AS INTEGER) AS day, (i % 5)::DOUBLE AS a, (i % 2)::DOUBLE AS b"
    duckdb.sql(f"COPY (SELECT {rows} FROM range({days * 4}) t(i) WHERE {where}) TO 'events.parquet'")


@pytest.fixture
def run(project):
    """Runs a command in this process, where the libraries are imported already, and checks its exit code."""

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, list(map(str, arguments)), prog_name="sqlml")
        assert done.exit_code == code, (arguments, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def source(registered):
    """A project with the function `late` and three days of `events`."""
    with (registered / "sqlml.toml").open("a") as settings:
        settings.write(SOURCES)
    write_events()
    return registered


@pytest.fixture
def declare(run, source):
    """Makes the table `risks`."""
    return lambda clauses="": run("sql", DECLARED.format(clauses=clauses))


@pytest.fixture
def objects(run):
    """Runs a command of the group and gives what its JSON says."""
    return lambda *arguments, **options: json.loads(run("tables", *arguments, "--output", "json", **options).stdout)


@pytest.fixture
def filled(run, declare):
    """The table `risks`, with three windows."""
    declare()
    return run("tables", "refresh", "risks")


def test_no_tables(run, objects):
    assert "CREATE PREDICTION TABLE" in run("tables", "list").stdout
    assert objects("list") == []
    assert objects("status") == []
    for command in ("show", "history", "files", "refresh", "optimize", "vacuum", "drop", "status"):
        assert "No prediction table is named 'risks'" in run("tables", command, "risks", code=1).stderr


def test_a_refresh_is_followed_and_told(filled, run, objects):
    lines = filled.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"[{i}/3] 2024-01-0{i}/2024-01-0{i + 1}" for i in (1, 2, 3)]
    assert "4 rows in" in lines[0]
    assert filled.stdout.startswith("risks: 3 windows published, 12 rows in ")
    assert "there is no window to compute" in run("tables", "refresh", "risks").stdout
    done = objects("refresh", "risks", "--from", "2024-01-02", "--to", "2024-01-04", "--jobs", "2")
    assert [(one["window_key"], one["outcome"], one["number"]) for one in done["runs"]] == [
        ("2024-01-02/2024-01-03", "published", 2),
        ("2024-01-03/2024-01-04", "published", 2),
    ]
    assert (done["published"], done["already"], done["rows"], done["kind"]) == (2, 0, 8, "range")
    assert run("tables", "refresh", "risks", "--full").stdout.startswith("risks: the whole table published, 12 rows")


def test_list_show_files_and_history(filled, run, objects, rows):
    (held,) = objects("list")
    assert (held["name"], held["windows"], held["rows"], held["needs_full"]) == ("risks", 3, 12, False)
    assert "risks" in run("tables", "list").stdout
    assert objects("list", "--like", "x%") == []
    about = objects("show", "RISKS")
    assert (about["incremental_on"], about["rows"], about["models"]) == ("day", 12, {"late": "late 1"})
    assert [one["name"] for one in about["columns"]][-3:] == ["_model", "_scored_at", "_run_id"]
    assert "late_score(e)" in run("tables", "show", "risks").stdout
    found = objects("files", "risks")
    assert {one["window"]: one["rows"] for one in found} == {f"2024-01-0{i}/2024-01-0{i + 1}": 4 for i in (1, 2, 3)}
    runs = {row["_run_id"] for row in rows("SELECT DISTINCT _run_id FROM predictions.risks")}
    assert {one["run_id"] for one in found} == runs
    assert "2024-01-01/2024-01-02" in run("tables", "files", "risks").stdout
    told = objects("history", "risks", "--limit", "2")
    assert [one["window_key"] for one in told["runs"]] == ["2024-01-03/2024-01-04", "2024-01-02/2024-01-03"]
    assert told["runs"][0]["versions"]["late"]["version"] == "1"
    assert told["runs"][0]["commit_version"] == 3
    assert [one["outcome"] for one in told["refreshes"]] == ["done"]
    shown = run("tables", "history", "risks").stdout
    assert shown.split()[:3] == ["window", "outcome", "rows"]
    assert "late 1" in shown


def test_status_tells_what_is_missing_failed_and_stale(declare, run, objects):
    declare("SCHEDULE CRON '0 3 * * *' AT TIME ZONE 'Europe/Berlin' AUDIT (between(id, 0, 9))")
    assert "failed" in run("tables", "refresh", "risks", code=1).stderr
    (held,) = objects("status")
    assert held["missing"] == ["2024-01-03/2024-01-04"]
    assert [one["window"] for one in held["failed"]] == ["2024-01-03/2024-01-04"]
    assert "between(id, 0, 9)" in held["failed"][0]["error"]
    assert (held["published"], held["stale"], held["problem"], held["next_slot"] is None) == (2, {}, None, False)
    shown = run("tables", "status", "risks").stdout
    assert "missing" in shown
    assert "between(id, 0, 9)" in shown
    run("sql", DECLARED.format(clauses="").replace("CREATE", "CREATE OR REPLACE") + " WHERE id >= 0")
    (held,) = objects("status", "risks")
    assert set(held["stale"].values()) == {"the query has changed"}
    assert "the query has changed" in run("tables", "status").stdout
    planned = objects("refresh", "risks", "--stale", "--plan")
    assert planned["windows"] == ["2024-01-01/2024-01-02", "2024-01-02/2024-01-03"]
    assert run("tables", "refresh", "risks", "--restate", "stale").stdout.startswith("risks: 2 windows published")
    assert run("tables", "refresh", "risks").stdout.startswith("risks: 1 window published")
    (held,) = objects("status", "risks")
    assert (held["missing"], held["stale"], held["failed"]) == ([], {}, [])


def test_status_says_why_it_can_t_say(filled, source, objects, run):
    (source / "events.parquet").unlink()
    assert objects("list")[0]["rows"] == 12, "what needs no data waits for none"
    (held,) = objects("status")
    assert "events" in held["problem"]
    assert (held["published"], held["missing"]) == (3, [])


def test_a_plan_computes_nothing(declare, run, objects):
    declare()
    shown = run("tables", "refresh", "risks", "--plan").stdout
    assert "3 windows would be computed" in shown
    assert "WHERE" in shown
    assert objects("refresh", "risks", "--plan")["windows"][0] == "2024-01-01/2024-01-02"
    assert objects("history", "risks") == {"runs": [], "refreshes": []}
    assert "It was never computed." in run("tables", "history", "risks").stdout


@pytest.mark.parametrize(
    "wrong",
    [
        ("--from", "2024-01-01"),
        ("--full", "--stale"),
        ("--full", "--from", "2024-01-01", "--to", "2024-01-02"),
        ("--resume",),
        ("--scheduled-for", "soon"),
        ("--jobs", "0"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(run, wrong):
    assert "Error" in run("tables", "refresh", "risks", *wrong, code=2).stderr


def test_a_range_is_resumed(declare, run, objects, source):
    declare("AUDIT (between(id, 0, 7))")
    span = ("--from", "2024-01-01", "--to", "2024-01-04")
    assert "1 of 3 windows" in run("tables", "refresh", "risks", *span, "--keep-failed", code=1).stderr
    assert list((source / "tables" / "risks" / "_quarantine").iterdir())
    write_events(where="id < 8")
    assert [one["window_key"] for one in objects("refresh", "risks", *span, "--resume")["runs"]] == [
        "2024-01-03/2024-01-04"
    ]


def test_a_moment_of_the_schedule_is_answered_once(declare, run, objects):
    declare()
    moment = ("--scheduled-for", "2024-01-04T03:00:00+01:00")
    first = objects("refresh", "risks", *moment)
    again = run("tables", "refresh", "risks", *moment).stdout
    assert f"refresh {first['refresh_id']} does the same, or has done it" in again
    assert objects("refresh", "risks", *moment)["done_by"] == first["refresh_id"]


def test_what_another_run_published_is_no_error(declare, run):
    """Two at once: between them each window is published once, and each says which run did it."""
    declare()
    arguments = [sys.executable, "-m", "sqlml", "tables", "refresh", "risks", "--output", "json"]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [json.loads(process.communicate(timeout=100)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    runs = [one for done in found for one in done["runs"]]
    published = {one["run_id"]: one["window_key"] for one in runs if one["outcome"] == "published"}
    if all(len(done["runs"]) == 3 for done in found):
        assert sorted(one["number"] for one in runs if one["outcome"] == "published") in ([1, 1, 1], [1, 1, 1, 2, 2, 2])
    for one in runs:
        assert one["outcome"] == "published" or published[one["published_by"]] == one["window_key"]


def test_runs_are_logged_as_json(declare, command):
    declare("AUDIT (between(id, 0, 7))")
    done = command("tables", "refresh", "risks", "--json-logs")
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stderr.splitlines() if "Compiling" not in line]
    assert [one["message"] for one in told[:-1]] == ["run started", "run published"] * 2 + ["run started", "run failed"]
    assert {one["table"] for one in told[:-1]} == {"risks"}
    assert told[1]["rows_out"] == 4
    assert "audit" in told[-2]["error"]
    assert told[-1]["error"] == "RefreshFailed"


@pytest.mark.parametrize(
    ("signal_", "code", "said", "jobs"),
    [(signal.SIGTERM, 143, "Terminated.", 1), (signal.SIGINT, 130, "Interrupted.", 2)],
)
def test_a_refresh_that_is_stopped_leaves_nothing_half(source, run, objects, rows, signal_, code, said, jobs):
    # Half a minute a window, which a signal can cut short after each of hundreds of vectors.
    rows_a_day = "SELECT id, day, a, b FROM 'events.parquet', range(200000) WHERE id < 8"
    duckdb.sql(f"COPY ({rows_a_day}) TO 'many.parquet'")
    os.replace("many.parquet", "events.parquet")
    slow = "list_sum(list_transform(range(5000), lambda y: (y * (e.id + 3)) % 7))"
    run("sql", DECLARED.format(clauses="").replace("a, b", f"{slow} AS s, a, b"))
    command = [sys.executable, "-m", "sqlml", "tables", "refresh", "risks", "--json-logs", "--jobs", str(jobs)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        started = 0
        while started < jobs and (line := process.stderr.readline()):
            started += "run started" in line
        assert started == jobs, "it ended by itself"
        time.sleep(0.3)
        process.send_signal(signal_)
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == code, rest
    assert said in rest
    told = objects("history", "risks")
    assert [one["outcome"] for one in told["refreshes"]] == ["failed"]
    assert [one["outcome"] for one in told["runs"]] == ["failed"] * jobs
    root = source / "tables" / "risks"
    assert list(root.glob("data/**/*.parquet")) == [], "no file of the run that was stopped is left"
    assert rows("SELECT * FROM predictions.risks") == []
    write_events()
    run("tables", "refresh", "risks")
    assert len(rows("SELECT * FROM predictions.risks")) == 12


def test_keyed_rows_are_put_together_and_taken_away(source, run, objects, rows):
    run("sql", DECLARED.format(clauses="KEY (id) OPTIONS (retention = '1 hour')"))
    run("tables", "refresh", "risks")
    duckdb.sql(
        "COPY (SELECT * REPLACE (DATE '2024-01-05' AS day) FROM 'events.parquet' WHERE id IN (0, 4)) TO 'late.parquet'"
    )
    os.replace("late.parquet", "events.parquet")
    run("tables", "refresh", "risks", "--from", "2024-01-05", "--to", "2024-01-06")
    everything = "SELECT * FROM predictions.risks ORDER BY id"
    before = rows(everything)
    planned = objects("optimize", "risks", "--plan")
    # How many threads had rows to write is the engine's affair.
    small = planned["files_before"]
    assert (planned["applied"], small >= 2, planned["files_after"]) == (False, True, 1)
    assert str(small) in run("tables", "optimize", "risks", "--plan").stdout
    assert f"{small} files became 1" in run("tables", "optimize", "risks").stdout
    assert rows(everything) == before
    assert "no small files" in run("tables", "optimize", "risks").stdout
    assert not objects("optimize", "risks")["applied"]
    assert objects("vacuum", "risks")["files"] == [], "the files are younger than an hour"
    assert "0 files, 0 B, would be taken away: --apply does it" in run("tables", "vacuum", "risks").stdout
    short = run("tables", "vacuum", "risks", "--retention", "30 minutes", code=1).stderr
    assert "keeps its older versions for 1 hours" in short
    assert "no interval" in run("tables", "vacuum", "risks", "--retention", "soon", code=1).stderr


def test_export(filled, run, objects, source):
    done = objects("export", "risks", "--to", "out", "--partition-by", "DAY")
    assert (done["rows"], done["files"], done["partitioned_by"]) == (12, 3, ["day"])
    assert sorted(path.name for path in (source / "out").iterdir()) == [f"day=2024-01-0{i}" for i in (1, 2, 3)]
    held = duckdb.sql(
        "SELECT count(*), min(day), count(DISTINCT _model.late.version) FROM 'out/**/*.parquet'"
    ).fetchall()
    assert [(count, str(day), versions) for count, day, versions in held] == [(12, "2024-01-01", 1)]
    assert "is there already" in run("tables", "export", "risks", "--to", "out", code=1).stderr
    older = run("tables", "export", "risks", "--to", "out", "--version", "1", "--overwrite").stdout
    assert older.startswith("risks at version 1 is in out: 4 rows in 1 files")
    wrong = run("tables", "export", "risks", "--to", "other", "--partition-by", "dya", code=1).stderr
    assert "Did you mean 'day'?" in wrong
    assert not (source / "other").exists()


def test_an_empty_table_is_exported_too(declare, run, objects, source):
    declare("PARTITIONED BY (day)")
    assert objects("export", "risks", "--to", "out")["rows"] == 0
    assert (source / "out").is_dir()
    assert "The table is empty." in run("tables", "files", "risks").stdout
    assert objects("status")[0]["missing"] == [f"2024-01-0{i}/2024-01-0{i + 1}" for i in (1, 2, 3)]


def test_drop(filled, run, objects, source):
    folder = source / "tables" / "risks"
    assert "add --yes" in run("tables", "drop", "risks", code=2).stderr
    assert run("tables", "drop", "risks", "--plan").stdout == f"Would drop risks, 3 windows of 12 rows in {folder}.\n"
    assert folder.is_dir()
    assert objects("drop", "risks", "--yes") == {"name": "risks", "path": str(folder), "rows": 12, "dropped": True}
    assert not folder.exists()
    assert len(objects("history", "risks")["runs"]) == 3, "its runs are remembered"


def test_who_holds_the_database_keeps_nobody_from_looking(filled, source, run):
    settings = source / "sqlml.toml"
    settings.write_text(settings.read_text().replace("[sqlml]\n", '[sqlml]\ndatabase = "held.duckdb"\n'))
    holder = "import duckdb, sys; held = duckdb.connect('held.duckdb'); print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", holder], **pipes) as process:
        assert process.stdout.readline() == "held\n"
        for command in ("list", "show risks", "history risks", "files risks", "optimize risks", "vacuum risks"):
            run("tables", *command.split())
        assert "held.duckdb" in run("tables", "refresh", "risks", code=1).stderr
        process.stdin.close()


def test_odd_names(source, run, objects):
    name, column = "Select", '"ri; sk %é"'
    run("sql", f'CREATE PREDICTION TABLE "{name}" AS SELECT id, late_score(e) AS {column} FROM events AS e')
    assert objects("refresh", name)["rows"] == 12
    assert objects("files", name)[0]["window"] == "all"
    assert objects("show", name.upper())["name"] == name
    assert objects("export", name, "--to", "out")["rows"] == 12
    assert objects("optimize", name)["applied"] is False
    assert objects("vacuum", name, "--apply")["files"] == []
    assert objects("status", name)[0]["missing"] == []
    assert objects("drop", name, "--yes")["dropped"]
