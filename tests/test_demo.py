"""The demo, run as a user runs it, and its functions held against the models themselves on every row that it loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from skops.io import get_untrusted_types, load

import sqlml
from sqlml.cli import demo_data

SOURCE = Path(__file__).parents[1] / "src"
FLIGHTS = 336_776

pytestmark = pytest.mark.slow


def run_demo(folder, *arguments, **environment):
    held = {name: value for name, value in os.environ.items() if not name.startswith(("SQLML_", "MLFLOW_"))}
    return subprocess.run(
        [sys.executable, "-m", "sqlml", "demo", str(folder), *arguments],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=held | {"PYTHONPATH": str(SOURCE)} | environment,
    )


class Demo(NamedTuple):
    """A demo whose models were trained on few rows, what its two runs printed, and its artifacts after each."""

    folder: Path
    first: str
    second: str
    artifacts: list[dict[Path, int]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("somewhere") / "demo"
    said, artifacts = [], []
    for arguments in (["--rows", "5000"], []):
        done = run_demo(folder, *arguments)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
        artifacts.append({path: path.stat().st_mtime_ns for path in folder.glob("mlartifacts/**/*")})
    return Demo(folder, *said, artifacts)


@pytest.fixture(scope="module")
def session(demo):
    with sqlml.connect(project=demo.folder) as held:
        yield held


@pytest.fixture(scope="module")
def estimators(demo):
    """The models as scikit-learn has them, from the registry's own files."""
    found = [load(path, trusted=get_untrusted_types(file=path)) for path in demo.folder.glob("mlartifacts/**/*.skops")]
    return {
        "delay_risk": next(model for model in found if "late" in getattr(model, "classes_", ())),
        "species": next(model for model in found if "Adelie" in getattr(model, "classes_", ())),
        "arrival_delay": next(model for model in found if not hasattr(model, "classes_")),
    }


def inputs(session, table, estimator):
    """All rows of a table, in its order, as pandas has them; what is missing is NaN."""
    rows = session.sql(f"SELECT {', '.join(estimator.feature_names_in_)} FROM {table}").df()
    floats = [name for name in rows if str(rows[name].dtype) == "Int64"]
    return rows.astype(dict.fromkeys(floats, float))


def answers(session, calls, table):
    found = session.sql(f"SELECT {calls} FROM {table} AS t").fetchnumpy()
    return list(found.values())


def test_it_says_what_it_does_and_asks_its_questions(demo):
    said = demo.first
    assert "336,776 flights, 26,115 hours of weather, 3,322 planes, 344 penguins" in said
    assert re.findall(r"^(\d)\. ", said, re.MULTILINE) == list("123456")
    assert f"cd {demo.folder}" in said
    auc = float(re.search(r"delay_risk 1: AUC (\d\.\d+) on 107,489 flights", said)[1])
    assert 0.65 < auc < 0.8, "better would be a leak"


def test_all_of_it_lies_in_its_folder(demo):
    folder = demo.folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert {path.name for path in folder.iterdir()} == {
        ".gitignore", ".sqlml", "flights.duckdb", "mlartifacts", "mlflow.db", "sql", "sqlml.toml", "tables", "udfs",
    }  # fmt: skip


def test_no_model_needs_trust(demo):
    assert {path.suffix for path in demo.folder.glob("mlartifacts/**/model.*")} == {".skops"}


def test_every_flight_is_there_once(session):
    counts = "count(*), count(DISTINCT (time_hour, carrier, flight, origin, tailnum)), count(*) - count(pressure)"
    rows, flights, without = session.sql(f"SELECT {counts} FROM flights_ready").fetchall()[0]
    assert (rows, session.sql("SELECT count(*) FROM flights").fetchall()[0][0]) == (FLIGHTS, FLIGHTS)
    assert flights > FLIGHTS - 10
    assert without > 0, "NULLs are what the models must meet"


def test_delay_risk_answers_as_the_model_does(session, estimators):
    model = estimators["delay_risk"]
    rows = inputs(session, "flights_ready", model)
    assert rows.isna().any(axis=1).sum() > 50_000
    proba = model.predict_proba(rows)
    label, score, late = answers(
        session, "delay_risk(t), delay_risk_score(t), delay_risk_proba(t)['late']", "flights_ready"
    )
    assert (label == model.predict(rows)).all()
    np.testing.assert_allclose(score, proba[:, 1], rtol=1e-9, atol=0)
    np.testing.assert_allclose(late, proba[:, 1], rtol=1e-9, atol=0)
    assert list(model.classes_) == ["in time", "late"]


def test_arrival_delay_answers_as_the_model_does(session, estimators):
    model = estimators["arrival_delay"]
    (minutes,) = answers(session, "arrival_delay(t)", "flights_ready")
    np.testing.assert_allclose(minutes, model.predict(inputs(session, "flights_ready", model)), rtol=1e-9, atol=0)


def test_species_answers_as_the_model_does(session, estimators):
    model = estimators["species"]
    rows = inputs(session, "penguins", model)
    assert rows.isna().any(axis=1).sum() == 11
    names = list(model.classes_)
    assert names == ["Adelie", "Chinstrap", "Gentoo"]
    label, *proba = answers(
        session, ", ".join(["species(t)", *(f"species_proba(t)['{name}']" for name in names)]), "penguins"
    )
    assert (label == model.predict(rows)).all()
    np.testing.assert_allclose(np.column_stack(proba), model.predict_proba(rows), rtol=1e-9, atol=0)


def test_the_prediction_table_holds_what_the_model_says_of_each_flight(demo, session):
    assert f"delay_risk_daily: {FLIGHTS:,} predictions in 12 windows" in demo.first
    keys = "time_hour, carrier, flight, tailnum, origin"
    table = f"SELECT {keys}, risk FROM predictions.delay_risk_daily ORDER BY ALL"
    asked = f"SELECT {keys}, delay_risk_score(f) AS risk FROM flights_ready AS f ORDER BY ALL"
    kept, now = (session.sql(text).to_arrow_table() for text in (table, asked))
    assert kept.num_rows == FLIGHTS
    assert kept == now.cast(kept.schema)


def test_what_its_files_declare_is_what_there_is(session):
    assert {change.action for change in session.plan_project()} == {"unchanged"}


def test_without_the_extra_there_is_no_prediction_table(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_data, "has_tables", lambda: False)
    made = demo_data.make_project(tmp_path)
    assert "sql/1_risk_by_carrier.sql" in made
    assert not [name for name in made if name in demo_data.OF_PREDICTED]
    assert "predictions." not in "".join(path.read_text() for path in tmp_path.glob("sql/*.sql"))


def test_a_second_run_uses_what_is_there(demo):
    assert demo.first.count("there already") == 0
    assert demo.second.count("there already") == 7
    assert "AUC" not in demo.second
    assert demo.artifacts[0] == demo.artifacts[1]


def test_another_project_is_left_alone(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "sqlml.toml").write_text("[sqlml]\n")
    done = run_demo(folder)
    assert done.returncode == 2
    assert "is another project" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["sqlml.toml"]


def test_a_setting_that_would_lead_elsewhere_is_refused(tmp_path):
    done = run_demo(tmp_path / "demo", SQLML_REGISTRY="sqlite:///elsewhere.db")
    assert done.returncode == 2
    assert "SQLML_REGISTRY is set" in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_file_that_was_changed_stays(tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "4_threshold.sql").write_text("-- Mine\nSELECT 1;\n")
    made = demo_data.make_project(tmp_path)
    assert "sql/4_threshold.sql" not in made
    assert "udfs/flights.sql" in made
    assert (tmp_path / "sql" / "4_threshold.sql").read_text() == "-- Mine\nSELECT 1;\n"
