"""What an error looks like from outside, and what it ends with."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

import sqlml.cli
from sqlml.cli import Command, app
from sqlml.errors import UnknownFunction


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UnknownFunction(name="f", suggestion=""), 1, "Error: No function is named 'f'.\n"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "Error: 'a.csv': Permission denied.\n"),
        (KeyError("x"), 70, "Error: KeyError: 'x' This is a bug in sqlml: --debug shows where.\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_an_error_becomes_a_line_and_a_code(monkeypatch, error, code, said):
    def fail() -> None:
        raise error

    monkeypatch.setattr(sqlml.cli, "load", lambda name: typer.main.get_command(_app(fail)))
    done = CliRunner().invoke(app, ["sql"])
    assert (done.exit_code, done.stderr) == (code, said)


def _app(command):
    app = typer.Typer()
    app.command()(command)
    return app


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sqlml.cli.COMMANDS, "demo", Command("no_such_library.at_all", "demo", "", "demo"))
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 1
    assert done.stderr == "Error: 'sqlml demo' needs the package 'no_such_library': pip install 'sqlml[demo]'.\n"


def test_a_wrong_command_is_given_the_nearest(run):
    assert "Did you mean 'shell'" in run("shel", code=2).stderr


def test_a_wrong_setting(run, project):
    (project / "sqlml.toml").write_text("[sqlml]\nregistri = 'x'\n")
    assert "Did you mean 'registry'?" in run("sql", "SELECT 1", code=1).stderr
