"""`sqlml init` and `sqlml doctor`."""

from __future__ import annotations

import json
import os
import shutil
import tomllib

import pytest

from sqlml.cli.init import FILES
from sqlml.config import load_settings


def test_init_makes_a_project_that_works(run, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "project"
    out = run("init", folder).stdout
    assert all(f"made        {name}" in out for name in FILES)
    assert f"cd {folder}" in out
    assert (folder / "udfs").is_dir()
    assert (folder / "sql").is_dir()
    assert ".sqlml/" in (folder / ".gitignore").read_text()
    assert load_settings(folder).project == folder
    monkeypatch.chdir(folder)
    assert "42" in run("sql", "--file", "sql/example.sql").stdout
    assert "declares anything" in run("apply").stdout
    assert run("doctor").returncode == 0


def test_what_init_comments_out_is_valid(run, tmp_path):
    run("init", tmp_path / "p")
    written = (tmp_path / "p" / "sqlml.toml").read_text()
    bare = "\n".join(line.removeprefix("# ") if " = " in line else line for line in written.splitlines())
    (tmp_path / "p" / "sqlml.toml").write_text(bare)
    assert set(tomllib.loads(bare)["sqlml"]) == {"registry", "database", "catalog", "trust", "time_zone", "native"}
    load_settings(tmp_path / "p")


def test_init_never_overwrites(run, project):
    (project / ".gitignore").write_text("mine\n")
    (project / "udfs").mkdir()
    done = json.loads(run("init", "--output", "json").stdout)
    assert done["kept"] == ["sqlml.toml", "udfs/functions.sql", ".gitignore"]
    assert done["made"] == ["sql/example.sql"]
    assert (project / ".gitignore").read_text() == "mine\n"
    assert "echo '.sqlml/' >> .gitignore" in run("init").stdout
    assert json.loads(run("init", "--output", "json").stdout)["made"] == []


def test_init_plan_makes_nothing(run, tmp_path):
    assert "would make" in run("init", tmp_path / "p", "--plan").stdout
    assert not (tmp_path / "p").exists()


def test_init_where_nothing_can_be_made(run, project):
    (project / "file").write_text("")
    run("init", "file", code=2)
    assert run("init", "file/below", code=1).stderr.startswith("Error: '")


def found(run, **options):
    done = json.loads(run("doctor", "--output", "json", **options).stdout)
    return done, {check["name"]: check for check in done["checks"]}


def test_doctor_of_an_empty_project(run, project):
    done, checks = found(run)
    assert done["sound"]
    assert checks["registry"]["state"] == "note"
    assert "sqlml log" in done["next"]
    assert {check["state"] for check in checks.values()} <= {"ok", "note"}
    assert "optional" in checks["java"]["detail"]
    assert not (project / "mlflow.db").exists()
    assert not (project / ".sqlml").exists()
    out = run("doctor").stdout
    assert out.splitlines()[-1].startswith("Next step: ")


def test_doctor_says_where_a_setting_comes_from(run, project):
    (project / "sqlml.toml").write_text('[sqlml]\ntrust = "pickle"\ndatabase = "a.duckdb"\n')
    done, _ = found(run, SQLML_TRUST="data", MLFLOW_TRACKING_URI="sqlite:////nowhere/mlflow.db")
    origins = {value["key"]: (value["value"], value["from"]) for value in done["settings"]}
    assert origins["trust"] == ("data", "SQLML_TRUST")
    assert origins["database"] == (str(project / "a.duckdb"), "sqlml.toml")
    assert origins["registry"] == ("sqlite:////nowhere/mlflow.db", "MLFLOW_TRACKING_URI")
    assert origins["time_zone"] == ("UTC", "default")


def test_doctor_hides_passwords(run, project):
    done = run("doctor", "--output", "json", SQLML_CATALOG="postgresql://ann:secret@localhost:1/x", code=1)
    assert "secret" not in done.stdout + done.stderr


def test_doctor_of_a_sound_project(run, registered):
    done, checks = found(run)
    assert checks["registry"]["state"] == "ok"
    assert "1 functions, 1 versions" in checks["catalog"]["detail"]
    assert checks["artifacts"]["detail"].startswith("1 of 1")
    assert done["next"].startswith("sqlml sql")


def test_doctor_finds_a_changed_artifact(run, registered):
    (model,) = (registered / ".sqlml" / "artifacts").glob("*/MLmodel")
    model.chmod(0o644)
    model.write_text(model.read_text() + "\n")
    done, _ = found(run, code=1)
    assert any(check["name"] == "artifacts" and check["state"] == "broken" for check in done["checks"])
    assert "CREATE OR REPLACE" in done["next"]


@pytest.mark.parametrize(
    ("breakage", "check"),
    [("[sqlml]\nregistri = 'x'\n", "settings"), ("[sqlml]\ncatalog = 'nonsense'\n", "catalog"), ("[sqlml", "settings")],
)
def test_doctor_finds_broken_settings(run, project, breakage, check):
    (project / "sqlml.toml").write_text(breakage)
    done, checks = found(run, code=1)
    assert not done["sound"]
    assert checks[check]["state"] == "broken"


def test_doctor_finds_a_broken_catalog(run, project):
    run("sql", "SELECT 1")
    (project / ".sqlml" / "catalog.db").write_text("this is no database, and was one " * 100)
    for side in (project / ".sqlml").glob("catalog.db-*"):
        side.unlink()
    _, checks = found(run, code=1)
    assert checks["catalog"]["state"] == "broken"


def test_doctor_finds_a_registry_that_is_silent(run, project):
    _, checks = found(run, SQLML_REGISTRY="http://127.0.0.1:9", code=1)
    assert checks["registry"]["state"] == "broken"


def test_doctor_without_java(run, project):
    _, checks = found(run, PATH="/nonexistent", JAVA_HOME="")
    assert checks["java"]["state"] == "note"
    if shutil.which("java"):
        assert found(run)[1]["java"]["state"] == "ok"


def test_doctor_outside_a_project(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command("doctor", "--output", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["next"] == "sqlml init"
    assert os.listdir(tmp_path).count(".sqlml") == 0
