"""What is logged as JSON is one object a line, whatever is in it, and errors come the same way."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import sqlml.cli
from sqlml.cli import app
from sqlml.cli.logs import JsonLines, configure, in_json
from sqlml.cli.options import JsonLogs
from sqlml.errors import EngineError, UnknownFunction

log = logging.getLogger("sqlml")


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    configure(False)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_line(capsys):
    configure(True)
    before = datetime.now(UTC)
    fields = {"event": "published", "table": "risk", "rows": 42, "seconds": 1.5, "window": ("a", "b"), "run_id": None}
    log.info("Published %s.", "risk", extra={"sqlml": fields})
    out, err = capsys.readouterr()
    (said,) = lines(err)
    assert out == ""
    assert list(said)[:4] == ["time", "level", "logger", "message"]
    assert (said["level"], said["logger"], said["message"]) == ("info", "sqlml", "Published risk.")
    assert {key: said[key] for key in fields} == fields | {"window": ["a", "b"]}
    assert said["time"].endswith("Z")
    assert before <= datetime.fromisoformat(said["time"]) <= datetime.now(UTC)


def test_any_value_and_any_text_is_one_line_of_json(capsys):
    configure(True)
    berlin = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    values = {
        "nan": float("nan"),
        "moment": berlin,
        "clock": datetime(2024, 1, 1),
        "day": date(2024, 1, 1),
        "path": Path("/a"),
        "number": Decimal("1.10"),
        "nested": {1: [berlin, float("inf")]},
        "message": "not this one",
        "level": "nor this",
    }
    log.warning("Two\nlines, \u2028 and \udc80 and 'quotes\"", extra={"sqlml": values})
    log.warning("%s", "x" * 100_000, extra={"sqlml": "no mapping"})
    err = capsys.readouterr().err
    first, second = lines(err)
    assert err.isascii()
    assert first["message"] == "Two\nlines, \u2028 and \udc80 and 'quotes\""
    assert (first["nan"], first["moment"], first["clock"]) == (
        "nan",
        "2024-01-01T00:00:00.000000Z",
        "2024-01-01 00:00:00",
    )
    assert (first["day"], first["path"], first["number"]) == ("2024-01-01", "/a", "1.10")
    assert first["nested"] == {"1": ["2024-01-01T00:00:00.000000Z", "inf"]}
    assert first["level"] == "warning"
    assert len(second["message"]) == 100_000


def test_a_logger_below_and_a_traceback(capsys):
    configure(True)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("sqlml.tables").exception("It broke.")
    (said,) = lines(capsys.readouterr().err)
    assert (said["logger"], said["level"]) == ("sqlml.tables", "error")
    assert said["traceback"].endswith("ValueError: why")


def test_without_a_field_of_the_record():
    record = logging.makeLogRecord({"name": "sqlml", "levelname": "INFO", "msg": "x", "exc_info": (None, None, None)})
    assert "traceback" not in json.loads(JsonLines().format(record))


def test_the_last_call_counts(capsys):
    configure(True)
    configure(True)
    assert in_json()
    log.info("once")
    assert len(lines(capsys.readouterr().err)) == 1
    configure(False)
    assert not in_json()
    assert (log.level, log.propagate) == (logging.NOTSET, True)
    log.info("never")
    assert capsys.readouterr().err == ""


def test_other_handlers_are_left_alone():
    mine = logging.NullHandler()
    log.addHandler(mine)
    log.setLevel(logging.DEBUG)
    try:
        configure(False)
        assert log.level == logging.DEBUG
        configure(True)
        configure(False)
        assert mine in log.handlers
    finally:
        log.removeHandler(mine)
        log.setLevel(logging.NOTSET)


def test_standard_error_that_is_closed_ends_nothing(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

    configure(True)
    monkeypatch.setattr(sys, "stderr", Closed())
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.warning("x")


def test_the_lines_of_two_processes_stay_whole():
    script = (
        "import logging, sys\nfrom sqlml.cli.logs import configure\nconfigure(True)\n"
        "for i in range(300): logging.getLogger('sqlml').info(sys.argv[1] * 3000)"
    )
    together = 'p=$1; shift; "$p" -c "$1" a & "$p" -c "$1" b & wait'
    done = subprocess.run(
        ["bash", "-c", together, "-", sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    said = lines(done.stderr)
    assert len(said) == 600
    assert {one["message"] for one in said} == {"a" * 3000, "b" * 3000}


# Errors


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UnknownFunction(name="f", suggestion=""), 1, "No function is named 'f'."),
        (EngineError(message="Parser Error: no\nLINE 1: x"), 1, "Parser Error: no\nLINE 1: x"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "'a.csv': Permission denied."),
        (KeyError("x"), 70, "KeyError: 'x' This is a bug in sqlml: --debug shows where."),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_an_error_is_a_line_of_json(monkeypatch, error, code, said):
    done = invoke(monkeypatch, error, "--json-logs")
    (line,) = lines(done.stderr)
    assert (done.exit_code, line["level"], line["message"]) == (code, "error", said)
    assert done.stdout == ""
    assert "traceback" not in line
    assert line.get("error") == (None if isinstance(error, KeyboardInterrupt) else type(error).__name__)


def test_with_debug_the_traceback_is_in_the_line(monkeypatch):
    monkeypatch.setenv("SQLML_DEBUG", "1")
    done = invoke(monkeypatch, UnknownFunction(name="f", suggestion=""), "--json-logs")
    (line,) = lines(done.stderr)
    assert "in fail" in line["traceback"]


def test_without_the_option_an_error_is_text_again(monkeypatch):
    error = UnknownFunction(name="f", suggestion="")
    invoke(monkeypatch, error, "--json-logs")
    assert invoke(monkeypatch, error).stderr == "Error: No function is named 'f'.\n"


def invoke(monkeypatch, error, *options):
    """A command that has the option, and fails."""
    command = typer.Typer()

    @command.command()
    def fail(json_logs: JsonLogs = False) -> None:
        raise error

    monkeypatch.setattr(sqlml.cli, "load", lambda name: typer.main.get_command(command))
    return CliRunner().invoke(app, ["sql", *options])
