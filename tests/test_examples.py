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


def test_quickstart(tmp_path, environment):
    said = run(tmp_path, environment, str(EXAMPLES / "quickstart.py"))
    assert "Chinstrap" in said
    assert "gentoo" in said
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, environment):
    """The notebook after it was run in the demo's folder."""
    folder = tmp_path_factory.mktemp("demo")
    run(folder, environment, "-m", "sqlml", "demo", ".", "--rows", "2000")
    code = (
        "import nbformat, sys\n"
        "from nbclient import NotebookClient\n"
        "notebook = nbformat.read(sys.argv[1], 4)\n"
        "NotebookClient(notebook, timeout=120, kernel_name='python3').execute()\n"
        "nbformat.write(notebook, 'ran.ipynb')\n"
    )
    # In a process of its own: a kernel's client warns of its own event loop.
    run(folder, environment, "-c", code, str(EXAMPLES / "analyst.ipynb"))
    return nbformat.read(folder / "ran.ipynb", 4)


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_the_notebook_draws_two_pictures(notebook):
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 2


def test_the_notebook_finds_sqlml_as_exact_as_the_model(notebook):
    said = "".join(output.get("text", "") for output in outputs(notebook))
    found = re.search(r"336,776 rows, ([\d,]+) with a NULL; largest relative difference (\S+)", said)
    assert int(found[1].replace(",", "")) > 1000
    assert float(found[2]) <= 1e-9


def test_the_notebook_warns_of_nothing(notebook):
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []


def test_the_notebook_is_kept_without_outputs():
    assert outputs(nbformat.read(EXAMPLES / "analyst.ipynb", 4)) == []


def test_no_example_asks_where_it_lies():
    for path in EXAMPLES.iterdir():
        assert "__file__" not in path.read_text(encoding="utf-8"), path.name
