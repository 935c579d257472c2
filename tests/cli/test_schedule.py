"""Tables are refreshed on time by real processes, and whatever goes wrong with one leaves nothing half done."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import sqlml as library
from sqlml.catalog import Catalog
from sqlml.cli import app, schedule_export
from sqlml.tables import delta

ENDLESS = "SELECT count(*) AS n FROM range(1000000) AS a, range(1000000) AS b WHERE a.range * b.range % 9 > 8"


@pytest.fixture(autouse=True)
def through_arrow(monkeypatch):
    """No test here calls a model: the native way into DuckDB would only be compiled anew in each test's home."""
    monkeypatch.setenv("SQLML_NATIVE", "off")


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    """A project whose tables have been due since long ago: declaring them takes a while."""
    folder = tmp_path_factory.mktemp("declared") / "project"
    folder.mkdir()
    (folder / "sqlml.toml").write_text("[sqlml]\n")
    source = folder.parent / "source.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3]}), source)
    tables = {
        "daily": ("", "SELECT range AS id FROM range(9)"),
        "report": ("OPTIONS (retries = '0')", "SELECT id, 2 * id AS twice FROM predictions.daily"),
        "broken": ("OPTIONS (retries = '1')", f"SELECT id FROM '{source}'"),
        "after_broken": ("", "SELECT id FROM predictions.broken"),
        "endless": ("OPTIONS (retries = '0', timeout = '4 seconds')", ENDLESS),
    }
    with library.connect(project=folder) as db:
        for name, (clauses, query) in tables.items():
            db.sql(f"CREATE PREDICTION TABLE {name} SCHEDULE CRON '0 0 1 1 *' {clauses} AS {query}")
        db.sql("CREATE PREDICTION TABLE by_hand AS SELECT id FROM predictions.daily")
    change(folder, "UPDATE prediction_tables SET created_at = '2020-06-01 00:00:00.000000'")
    source.unlink()
    return folder


@pytest.fixture
def scheduled(declared, project):
    """The project, with some of those tables."""

    def keep(*names):
        shutil.copytree(declared, project, dirs_exist_ok=True)
        change(project, f"DELETE FROM prediction_tables WHERE name NOT IN ({', '.join(map(repr, names))}, '')")
        change(project, f"UPDATE prediction_tables SET path = '{project}/tables/' || name")
        return project

    return keep


@pytest.fixture
def here(project):
    """Runs the command in this process, which is done sooner, and gives what it printed and what it logged."""

    def here(*arguments, code=0):
        done = CliRunner().invoke(app, ["schedule", *map(str, arguments)], prog_name="sqlml")
        assert done.exit_code == code, (done.stdout, done.stderr)
        return done

    return here


def change(folder, statement):
    connection = sqlite3.connect(folder / ".sqlml" / "catalog.db", timeout=30)
    with connection:
        connection.execute(statement)
    connection.close()


def refreshes(folder, name):
    """The outcomes of a table's refreshes, the oldest first, without the attempts' other details."""
    with Catalog.open(f"sqlite:///{folder}/.sqlml/catalog.db") as catalog:
        return [one.outcome for one in reversed(catalog.predictions.refreshes(name))]


def events(done):
    """What was logged as JSON, without what the refreshes themselves have logged."""
    found = [json.loads(line) for line in done.splitlines()]
    return [(one["event"], one.get("table")) for one in found if one["logger"] == "sqlml.schedule"]


def test_what_is_due(scheduled, here):
    scheduled("daily", "report", "by_hand")
    [daily, report] = json.loads(here("due", "--now", "2024-03-01", "--output", "json").stdout)
    assert daily == {
        "table": "daily",
        "due": "2024-01-01 00:00:00+00:00",
        "missed": 3,
        "after": [],
        "answered": None,
        "next": "2025-01-01 00:00:00+00:00",
        "cron": "0 0 1 1 *",
        "zone": "UTC",
    }
    assert (report["table"], report["after"]) == ("report", ["daily"])
    shown = here("due", "--now", "2020-07-01T03:00:00+02:00").stdout
    assert shown.endswith("\n\nNothing is due.\n")
    assert "2021-01-01 00:00:00Z" in shown
    assert "is no moment" in here("due", "--now", "tomorrow", code=2).stderr


def test_without_a_schedule_there_is_nothing_to_do(project, here, tmp_path, monkeypatch):
    assert here("due").stdout == "No prediction table has a schedule.\n"
    assert here("run", "--due").stderr == ""
    monkeypatch.chdir(tmp_path)
    assert "There is no sqlml.toml" in here("run", "--due", code=1).stderr
    assert "add --due" in here("run", "--table", "t", code=2).stderr


def test_what_is_due_is_refreshed_once(scheduled, run):
    folder = scheduled("daily", "report", "by_hand")
    done = run("schedule", "run", "--due", "--json-logs")
    assert done.stdout == ""
    assert events(done.stderr) == [
        ("begun", "daily"),
        ("waiting", "report"),
        ("done", "daily"),
        ("begun", "report"),
        ("done", "report"),
    ]
    assert all(json.loads(line)["level"] == "info" for line in done.stderr.splitlines())
    assert [refreshes(folder, name) for name in ("daily", "report", "by_hand")] == [["done"], ["done"], []]
    again = run("schedule", "run", "--due")
    assert (again.stdout, again.stderr) == ("", "")
    with library.connect(project=folder) as db:
        assert db.sql("SELECT sum(twice) FROM predictions.report").fetchall() == [(72,)]


def test_nothing_due_costs_no_engine(scheduled):
    folder = scheduled("daily", "report")
    change(folder, f"UPDATE prediction_tables SET created_at = '{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}'")
    script = (
        "import sys\nfrom sqlml.cli import app\n"
        "try: app(['schedule', 'run', '--due'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    loaded = set(done.stderr.split())
    assert "sqlml.tables.scheduler" in loaded
    assert not {"duckdb", "deltalake", "mlflow", "pandas", "sklearn", "pyspark"} & loaded


@pytest.mark.long
def test_what_fails_holds_up_what_reads_it_until_it_is_healed(scheduled, run, tmp_path, declared):
    folder = scheduled("broken", "after_broken")
    failed = run("schedule", "run", "--due", "--wait", "0.1", code=1)
    assert failed.stderr.endswith("Error: These tables were due and were not refreshed: 'broken', 'after_broken'.\n")
    assert (
        "broken: failed for 2026-01-01 00:00 UTC at try 2, its last:" in failed.stderr or datetime.now(UTC).year > 2026
    )
    assert "after_broken: skipped" in failed.stderr
    assert refreshes(folder, "broken") == ["failed", "failed"]
    assert refreshes(folder, "after_broken") == []

    source = declared.parent / "source.parquet"
    pq.write_table(pa.table({"id": [4, 5]}), source)
    try:
        healed = run("schedule", "run", "--due", "--table", "after_broken", "--json-logs")
    finally:
        source.unlink()
    assert [one for one in events(healed.stderr) if one[0] == "done"] == [("done", "broken"), ("done", "after_broken")]


@pytest.mark.long
def test_what_takes_too_long_is_stopped(scheduled, run):
    folder = scheduled("endless")
    begun = time.monotonic()
    done = run("schedule", "run", "--due", "--json-logs", code=1)
    assert time.monotonic() - begun < 30
    assert [event for event, _ in events(done.stderr) if event] == ["begun", "timed_out", "failed"]
    assert refreshes(folder, "endless") == ["failed"]


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sqlml", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process, number=signal.SIGTERM):
    """What a process has logged, once it was told to end."""
    process.send_signal(number)
    _, logged = process.communicate(timeout=60)
    assert "Traceback" not in logged
    return logged


def until(condition, seconds=60):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_two_schedulers_do_each_slot_once(scheduled):
    folder = scheduled("daily", "report")
    both = [started("schedule", "run", "--json-logs", "--jobs", "2") for _ in range(2)]
    until(lambda: refreshes(folder, "report") == ["done"])
    logs = [ended(process) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [refreshes(folder, name) for name in ("daily", "report")] == [["done"], ["done"]]
    done = Counter(table for log in logs for event, table in events(log) if event == "done")
    assert done["daily"] <= 1
    assert len(list(delta.commits(folder / "tables" / "daily", -1))) == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=pytest.mark.long)]
)
def test_a_signal_stops_it_and_leaves_nothing_half(scheduled, run, number, code):
    folder = scheduled("endless")
    change(folder, "UPDATE prediction_tables SET text = replace(text, '4 seconds', '1 hour')")
    process = started("schedule", "run", "--json-logs")
    until(lambda: refreshes(folder, "endless") == ["running"])
    logged = ended(process, number)
    assert process.returncode == code
    assert [event for event, _ in events(logged)] == ["started", "begun", "stopping", "interrupted", "stopped"]
    assert refreshes(folder, "endless") == ["failed"]
    assert not list((folder / "tables" / "endless").rglob("*.parquet"))
    with Catalog.open(f"sqlite:///{folder}/.sqlml/catalog.db") as catalog:
        assert catalog.predictions.lock("endless", "another", 1) is None
    assert run("sql", "SELECT count(*) AS n FROM predictions.endless", "--output", "csv").stdout == "n\n0\n"


@pytest.mark.long
def test_a_table_is_refreshed_each_minute(scheduled):
    """Killed and begun again meanwhile: each slot that it is there for is done once."""
    folder = scheduled("daily", "report")
    change(folder, "UPDATE prediction_tables SET schedule = '* * * * *'")
    begun = datetime.now(UTC)
    change(folder, f"UPDATE prediction_tables SET created_at = '{begun:%Y-%m-%d %H:%M:%S.%f}'")
    process = started("schedule", "run")
    until(lambda: refreshes(folder, "report") == ["done"], 120)
    process.kill()
    process.communicate()
    process = started("schedule", "run")
    until(lambda: len(refreshes(folder, "report")) == 3, 300)
    ended(process)
    with Catalog.open(f"sqlite:///{folder}/.sqlml/catalog.db") as catalog:
        for name in ("daily", "report"):
            slots = [one.scheduled_for for one in catalog.predictions.refreshes(name) if one.outcome == "done"]
            assert len(set(slots)) == len(slots)
            assert all(slot > begun and slot.second == 0 for slot in slots)


# Files for others


def test_a_crontab(scheduled, here):
    folder = scheduled("daily", "report", "by_hand")
    shown = here("export", "--cron", "--to", "-").stdout
    [command] = {line.split(" * * * ")[-1] for line in shown.splitlines() if line.endswith("--table daily")}
    assert f"cd {folder} && " in command
    assert "by_hand" not in shown
    done = here("export", "--cron", "--to", "crontab.txt")
    assert (folder / "crontab.txt").read_text() == shown
    assert done.stdout == (
        "Wrote crontab.txt\nNext, which replaces the crontab that you have:\n  crontab crontab.txt\n"
        "or add its lines with 'crontab -e'.\n"
    )
    subprocess.run(["/bin/sh", "-c", command[command.index("cd ") :]], check=True, timeout=120, cwd="/")
    assert refreshes(folder, "daily") == ["done"]


def test_units_of_systemd(scheduled, here, tmp_path):
    folder = scheduled("daily", "report", "by_hand")
    other = tmp_path / "units" / "sqlml-project-other-x.service"
    here("export", "--systemd", "--to", tmp_path / "units")
    other.write_text("[Service]\nWorkingDirectory=/elsewhere\n")
    change(folder, "DELETE FROM prediction_tables WHERE name = 'report'")
    change(folder, "UPDATE prediction_tables SET schedule = NULL WHERE name = 'daily'")
    again = here("export", "--systemd", "--to", tmp_path / "units").stdout
    gone = again.split("gone:\n")[1]
    assert "disable --now sqlml-project-daily.timer sqlml-project-report.timer sqlml-project-report.service" in gone
    assert "other-x" not in again
    assert sorted(path.suffix for path in (tmp_path / "units").iterdir()) == [".service"] * 4 + [".timer"] * 2
    assert "name a folder" in here("export", "--systemd", "--to", "-", code=2).stderr


def test_dags_of_airflow(scheduled, here, tmp_path):
    folder = scheduled("daily", "report", "endless")
    with Catalog.open(f"sqlite:///{folder}/.sqlml/catalog.db") as catalog:
        known = {"run_id": None, "registry": "r", "digest": "d", "manifest": {}, "description": {}, "proofs": []}
        for name, alias in (("risk", "champion"), ("fixed", None)):
            version = catalog.add_version(model=name, version="1", **known)
            reference = f"models:/{name}@{alias}" if alias else f"models:/{name}/1"
            options = {"on_null": "pass", "strategy": "auto", "comment": None, "replace": False}
            catalog.put_function(name=name, reference=reference, alias=alias, version_id=version, **options)
    query = "SELECT predict(''RISK@champion'', a) AS a, fixed_score(t) AS b FROM t"
    change(folder, f"UPDATE prediction_tables SET query = '{query}' WHERE name = 'endless'")
    (tmp_path / "dags").mkdir()
    done = here("export", "--airflow", "--to", tmp_path / "dags", "--train", "python train.py")
    assert done.stdout.startswith(f"Wrote {tmp_path}/dags/sqlml_project.py\n")
    text = (tmp_path / "dags" / "sqlml_project.py").read_text()
    compile(text, "dags", "exec")
    assert re.findall(r"sqlml sync (\w+)", text) == ["risk"]
    assert "seconds=4," in text
    assert "python train.py" in text
    assert "--train" in here("export", "--cron", "--to", "-", "--train", "x", code=2).stderr
    assert "choose one" in here("export", "--to", "-", code=2).stderr


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError):
        schedule_export.write_all(tmp_path, {"a": "1", "b": "2"})
    real = Path.write_text

    def full(path, text, **options):
        if text == "2":
            raise OSError(28, "No space left on device", str(path))
        return real(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        schedule_export.write_all(tmp_path, {"a": "1", "c": "2"})
    assert os.listdir(tmp_path) == ["b"]


def test_the_command_keeps_the_environment(monkeypatch, tmp_path):
    """A Python of an environment is a link: what it leads to is a Python without sqlml."""
    for name in ("real", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "real" / "python").touch()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "real" / "python")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert schedule_export._command() == (str(tmp_path / "bin" / "python"), "-m", "sqlml")
    (tmp_path / "bin" / "sqlml").touch()
    assert schedule_export._command() == (str(tmp_path / "bin" / "sqlml"),)
