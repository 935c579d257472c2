"""The examples, run as a user runs them: from a folder of the user's, not from where they lie."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment():
    """No setting of the machine's, and the package from its source."""
    held = {name: value for name, value in os.environ.items() if not name.startswith(("SQLML_", "MLFLOW_"))}
    return held | {"PYTHONPATH": str(ROOT / "src")}


def run(folder, environment, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_quickstart(tmp_path, environment):
    said = run(tmp_path, environment, str(EXAMPLES / "quickstart.py"))
    assert "Chinstrap" in said
    assert "gentoo" in said
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory, environment):
    """The demo's folder, in which the notebooks are run."""
    folder = tmp_path_factory.mktemp("demo")
    run(folder, environment, "-m", "sqlml", "demo", ".", "--rows", "2000")
    return folder


def ran(demo, environment, name):
    """A notebook after it was run."""
    code = (
        "import nbformat, sys\n"
        "from nbclient import NotebookClient\n"
        "notebook = nbformat.read(sys.argv[1], 4)\n"
        "NotebookClient(notebook, timeout=120, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, 'ran.ipynb')\n"
    )
    # In a process of its own: a kernel's client warns of its own event loop.
    run(demo, environment, "-c", code, str(EXAMPLES / name))
    return nbformat.read(demo / "ran.ipynb", 4)


@pytest.fixture(scope="module")
def notebook(demo, environment):
    return ran(demo, environment, "analyst.ipynb")


@pytest.fixture(scope="module")
def predictions(demo, environment):
    return ran(demo, environment, "predictions.ipynb")


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.long
def test_the_notebook_draws_two_pictures(notebook):
    assert sum(map(is_picture, outputs(notebook))) == 2


@pytest.mark.long
def test_the_notebook_finds_sqlml_as_exact_as_the_model(notebook):
    said = "".join(output.get("text", "") for output in outputs(notebook))
    found = re.search(r"336,776 rows, ([\d,]+) with a NULL; largest relative difference (\S+)", said)
    assert int(found[1].replace(",", "")) > 1000
    assert float(found[2]) <= 1e-9


@pytest.mark.long
def test_the_notebook_warns_of_nothing(notebook):
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []


@pytest.mark.long
def test_the_notebook_of_tables_draws_four_pictures_each_with_a_sentence_below(predictions):
    drawn = [cell.outputs for cell in predictions.cells if any(map(is_picture, cell.get("outputs", [])))]
    assert len(drawn) == 4
    for shown in drawn:
        assert is_picture(shown[0])
        assert re.fullmatch(r"[A-Z][^\n]+\.\n", shown[1].text)


def is_picture(output):
    return "image/png" in output.get("data", {})


@pytest.mark.long
def test_the_notebook_of_tables_restates_a_quarter_by_a_second_version(predictions):
    said = "".join(output.get("text", "") for output in outputs(predictions))
    assert "None of the 365 days is missing" in said
    assert "delay_risk: version 1 -> 2" in said
    assert "12 windows are stale" in said
    assert "delay_risk_daily: 3 windows published, 84,292 rows" in said
    assert re.search(r"called the riskiest, so many were late: \d+% by version 1, \d+% by version 2", said)


@pytest.mark.long
def test_the_notebook_of_tables_warns_of_nothing(predictions):
    assert [output.text for output in outputs(predictions) if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", ["analyst.ipynb", "predictions.ipynb"])
def test_notebooks_are_kept_without_outputs(name):
    assert outputs(nbformat.read(EXAMPLES / name, 4)) == []


def test_no_example_asks_where_it_lies():
    for path in EXAMPLES.iterdir():
        assert "__file__" not in path.read_text(encoding="utf-8"), path.name
