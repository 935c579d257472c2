"""Every command says what it does to the user's data, shows an example, and stands in docs/cli.md."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sqlml.cli import COMMANDS, app, checks, load
from sqlml.cli.page import as_written

ROOT = Path(__file__).parents[2]
THERE = [name for name, command in COMMANDS.items() if importlib.util.find_spec(command.module)]
PATHS = [[name] for name in THERE] + [["functions", name] for name in ("list", "show", "register", "drop")]
PATHS += [
    ["tables", name]
    for name in ("list", "show", "history", "status", "files", "refresh", "optimize", "vacuum", "export", "drop")
]
PATHS += [["schedule", name] for name in ("due", "run", "export")]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def help_of(*path):
    done = CliRunner().invoke(app, [*path, "--help"], prog_name="sqlml")
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_a_command_has_an_example_that_can_be_copied(path):
    shown = help_of(*path)
    example = re.search(r"^  Example:\n((?:    .+\n)+)", shown, re.MULTILINE)
    assert example, shown
    assert f"sqlml {' '.join(path)}" in example[1]
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", THERE)
def test_the_list_of_commands_says_what_the_command_says(name):
    first = (as_written(load(name).callback) or load(name).help).splitlines()[0]
    assert first == COMMANDS[name].summary
    assert first in help_of()


def test_the_root_names_every_exit_code():
    shown = help_of()
    assert [int(code) for code in re.findall(r"^    (\d+)  ", shown, re.MULTILINE)] == [0, 1, 2, 70, 130, 143]


def test_no_arguments_print_the_help(command):
    done = command()
    assert "Commands:" in done.stdout + done.stderr


def test_the_page_is_fresh():
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    script = ROOT / "docs" / "generate_cli.py"
    done = subprocess.run(
        [sys.executable, script, "--print"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert written == done.stdout, "run 'python docs/generate_cli.py'"


def test_help_imports_no_model_library(project):
    script = (
        "import sys\nfrom sqlml.cli import app\ntry: app(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert not {"mlflow", "sklearn", "pandas", "prompt_toolkit"} & set(done.stderr.split())


def test_the_version(run):
    assert run("--version").stdout.startswith("sqlml")


def test_doctor_knows_the_packages_of_pyproject():
    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = held["optional-dependencies"]

    def names(requirements):
        found = {re.match(r"[\w.-]+", one)[0] for one in requirements}
        return found - {"sqlml"}

    assert set(checks.CORE) == names(held["dependencies"])
    assert set(checks.EXTRAS) == set(extras) - {"dev", "all"}
    for extra, packages in checks.EXTRAS.items():
        assert {name for either in packages for name in either} == names(extras[extra])
