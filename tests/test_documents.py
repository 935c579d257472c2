"""What the documents show is run: the README's program and commands, and the SQL of the reference."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READER = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def blocks(file, language):
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory):
    """The folder of somebody who has run the README's program."""
    folder = tmp_path_factory.mktemp("reader")
    program = blocks("README.md", "python")[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Chinstrap" in done.stdout
    assert "gentoo" in done.stdout
    return folder


@pytest.mark.long
def test_the_readme_s_prediction_table_is_filled_and_read(readers_folder):
    program = "".join(blocks("README.md", "python")[:2])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=readers_folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "sightings: 3 windows published, 344 rows" in done.stdout
    assert "[110 rows x 6 columns]" in done.stdout


def test_the_readme_s_commands_run(readers_folder):
    from palmerpenguins import load_penguins

    commands = next(block for block in blocks("README.md", "sh") if "sqlml init" in block)
    # The shell waits for somebody to type; the program's registry stands in for the team's.
    script = commands.replace("sqlml shell", "echo 'SELECT 1;' | sqlml shell")
    script = script.replace("cd my-project\n", "cd my-project && cp ../penguins.parquet .\n", 1)
    load_penguins().to_parquet(readers_folder / "penguins.parquet")
    registry = f"sqlite:///{readers_folder / 'mlflow.db'}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=readers_folder,
        capture_output=True,
        text=True,
        env={**READER, "SQLML_REGISTRY": registry},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"Adelie"') > 100


def test_every_link_of_the_documents_leads_somewhere():
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (file.parent / target).exists(), f"{file.name} links to {target}"
