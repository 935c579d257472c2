"""An environment that travels: packed here, unpacked elsewhere, while the first one is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sqlml"

BESIDE = [path for path in sys.path if path and Path(path) != SOURCE.parent]


@pytest.fixture
def environment(tmp_path):
    """A virtual environment with sqlml in it; what sqlml itself needs to start lies beside it."""
    venv.create(tmp_path / "made", with_pip=False, symlinks=True)
    site = next((tmp_path / "made" / "lib").iterdir()) / "site-packages"
    shutil.copytree(SOURCE, site / "sqlml", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "made", site


def asked(python, *arguments, **variables):
    site = next((Path(python).parents[1] / "lib").iterdir()) / "site-packages"
    beside = {"PYTHONPATH": os.pathsep.join([str(site), *BESIDE])}
    return subprocess.run(
        [str(python), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, **beside, **variables},
    )  # fmt: skip


def test_what_is_packed_runs_elsewhere(environment, tmp_path):
    pytest.importorskip("venv_pack", reason="the extra `pack` is not installed")
    folder, site = environment
    jars = site / "pyspark" / "jars"
    jars.mkdir(parents=True)
    (jars / "spark.jar").write_bytes(b"heavy")
    (site / "pyspark" / "worker.py").write_text("")
    archive = tmp_path / "env.tar.gz"
    done = asked(folder / "bin" / "python", "-m", "sqlml", "spark-env", "--to", archive, "--output", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["bytes"] == archive.stat().st_size
    assert Path(said["python"]).resolve() == (folder / "bin" / "python").resolve()
    with tarfile.open(archive) as held:
        names = held.getnames()
        held.extractall(tmp_path / "there", filter="fully_trusted")
    assert any(name.endswith("pyspark/worker.py") for name in names)
    assert not any(name.endswith(".jar") for name in names)
    folder.rename(tmp_path / "gone")
    code = "import sqlml, sqlml.errors; print(sqlml.errors.__file__)"
    found = asked(tmp_path / "there" / "bin" / "python", "-c", code, PYTHONPATH="")
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).is_relative_to(tmp_path / "there")
    assert [path.name for path in tmp_path.glob(".*env*")] == [], "nothing half-written stays"


def test_the_commands_name_the_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = asked(
        sys.executable, "-m", "sqlml", "spark-env", "--plan", "--to", "e.tar.gz", PYTHONPATH=str(SOURCE.parent)
    )
    assert done.returncode == 0, done.stderr
    assert not Path("e.tar.gz").exists()
    for word in ("--master yarn", "--master k8s://", "--master spark://"):
        assert word in done.stdout
    assert done.stdout.count("--archives e.tar.gz#sqlml_env") == 4
    assert done.stdout.count("--conf spark.pyspark.python=./sqlml_env/bin/python") == 4
    assert f"spark.pyspark.driver.python={sys.prefix}/bin/python" in done.stdout


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda folder, site: (folder / "conda-meta").mkdir(), "conda pack -o"),
        (lambda folder, site: shutil.rmtree(site / "sqlml"), "the code of 'sqlml' lies outside of it"),
    ],
)
def test_what_can_t_be_packed(environment, tmp_path, prepare, said):
    prepare(*environment)
    beside = os.pathsep.join([str(SOURCE.parent), *BESIDE])
    to = tmp_path / "env.tar.gz"
    done = asked(environment[0] / "bin" / "python", "-m", "sqlml", "spark-env", "--to", to, PYTHONPATH=beside)
    assert done.returncode == 1
    assert f"The environment at '{environment[0]}' can't be packed" in done.stderr
    assert said in done.stderr
    assert not to.exists()


def test_an_editable_package_is_named(environment, tmp_path):
    folder, site = environment
    held = site / "mine-1.dist-info"
    held.mkdir()
    (held / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (held / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    done = asked(folder / "bin" / "python", "-m", "sqlml", "spark-env", "--to", tmp_path / "env.tar.gz")
    assert done.returncode == 1
    assert "the code of 'mine' lies outside of it: install it there, without -e" in done.stderr


@pytest.mark.parametrize("arguments", [["--to", "env.zip"], ["--to", "env.tar"]])
def test_a_wrong_command_line(run, arguments):
    assert run("spark-env", *arguments, code=2).stderr
