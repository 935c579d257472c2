"""`sqlml plan` and `sqlml apply`: what the files would change, what CI is told, what is asked before data goes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

TABLE = "CREATE PREDICTION TABLE t {} AS\nSELECT late_score(r) AS risk\nFROM (SELECT 1.0 AS a, 0.0 AS b) AS r"


@pytest.fixture
def declared(registered):
    """A project whose files declare the table `t`, which calls a function that was made by hand."""
    (registered / "sql").mkdir()
    (registered / "sql" / "t.sql").write_text(TABLE.format("SCHEDULE CRON '0 3 * * *'"))
    (registered / "sql" / "question.sql").write_text("SELECT 42")
    return registered


def answer(folder, text):
    """`sqlml apply --prune` on a terminal, at which somebody types."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{text}\n".encode())
        return subprocess.run(
            [sys.executable, "-m", "sqlml", "apply", "--prune"],
            stdin=theirs, capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.long
def test_from_a_plan_to_what_is_there(run, rows, declared):
    (declared / "udfs").mkdir()
    # A version, and not an alias: the registry need not be asked each time where it is.
    (declared / "udfs" / "late.sql").write_text("CREATE FUNCTION late USING MODEL 'models:/late/1'")
    done = run("plan", "--check", "--output", "json", code=2)
    assert [(one["kind"], one["action"], one["name"], one["file"]) for one in json.loads(done.stdout)] == [
        ("function", "change", "late", "udfs/late.sql"),
        ("table", "create", "t", "sql/t.sql"),
    ]
    assert rows("SELECT name FROM sqlml.prediction_tables") == []
    assert "REFRESH PREDICTION TABLE t fills it" in run("apply").stdout
    assert rows("SELECT name, file FROM sqlml.prediction_tables") == [{"name": "t", "file": "sql/t.sql"}]
    assert run("plan", "--check").stdout.splitlines()[-1] == "2 unchanged"
    run("sql", "REFRESH PREDICTION TABLE t")
    (declared / "sql" / "t.sql").write_text(TABLE.format("SCHEDULE CRON '0 4 * * *'").replace("AS risk", "AS chance"))
    said = run("apply", "--plan").stdout
    assert run("plan").stdout == said
    assert "schedule: 0 3 * * * UTC -> 0 4 * * * UTC" in said
    assert "\nThe query of t:\n-SELECT late_score(r) AS risk\n+SELECT late_score(r) AS chance\n FROM (SELECT" in said
    assert said.splitlines()[-1] == "1 change, 1 unchanged"
    (change,) = [one for one in json.loads(run("apply", "--output", "json").stdout) if one["kind"] == "table"]
    assert {one["what"]: one["after"] for one in change["differences"]}["schedule"] == "0 4 * * * UTC"
    assert "-SELECT late_score(r) AS risk" in change["diff"]
    (declared / "sql" / "t.sql").write_text(TABLE.format("AUDIT (not_null(rsk))"))
    stopped = run("apply", code=1)
    assert stopped.stderr.startswith("Error: In 'sql/t.sql': 't' can't be declared so: its query has no column 'rsk'")
    assert stopped.stdout == ""


@pytest.mark.long
def test_what_no_file_declares_goes_once_it_is_said_so(run, rows, declared):
    run("apply")
    run("sql", "REFRESH PREDICTION TABLE t")
    (declared / "sql" / "t.sql").unlink()
    assert "kept: --prune drops it and its data" in run("apply").stdout
    assert "will be dropped" in run("plan", "--prune", "--check", code=2).stdout
    kept = answer(declared, "n")
    assert (kept.returncode, kept.stdout.strip()) == (1, "")
    assert "Drop the table t? The data of tables goes too." in kept.stderr
    assert len(rows("SELECT * FROM predictions.t")) == 1
    dropped = answer(declared, "y")
    assert dropped.returncode == 0, dropped.stderr
    assert rows("SELECT name FROM sqlml.prediction_tables") == []
    assert rows("SELECT name FROM sqlml.functions") == [{"name": "late"}]
    assert run("plan", "--check").stdout == "No file in udfs/ or sql/ declares anything.\n"
