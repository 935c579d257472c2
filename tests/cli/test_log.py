"""`sqlml log`: from a file to the registry, and what a file may be."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FITTED = """
import catboost, joblib, pandas as pd, skops.io, lightgbm, xgboost
from sklearn.linear_model import LogisticRegression
rows = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0] * 10, "b": [0.0, 1.0, 0.0, 1.0] * 10})
late = pd.Series([0, 0, 1, 1] * 10, name="late")
rows.assign(late=late).to_csv("data.csv", index=False)
rows.assign(late=late).to_parquet("data.parquet")
model = LogisticRegression().fit(rows, late)
skops.io.dump(model, "m.skops")
joblib.dump(model, "m.joblib")
options = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 1}
lightgbm.train(options, lightgbm.Dataset(rows, late), 3).save_model("m.txt")
xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows, late), 3).save_model("m.ubj")
small = {"iterations": 3, "verbose": 0, "allow_writing_files": False}
catboost.CatBoostClassifier(**small).fit(rows, late).save_model("m.cbm")
catboost.CatBoostRegressor(**small).fit(rows, late).save_model("number.cbm")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    done = subprocess.run([sys.executable, "-c", FITTED], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "broken.txt").write_text("tree\nversion=v4\n")
    (folder / "broken.skops").write_text("no zip")
    (folder / "m.exe").write_text("")
    return folder


def log(run, files, name, *options, data="data.csv", code=0):
    return run("log", files / name, "--name", "m", "--signature-from", files / data, *options, code=code)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["m.skops", "m.txt", "m.ubj", "m.cbm", pytest.param("number.cbm", marks=pytest.mark.long)]
)
def test_a_file_becomes_a_function(run, rows, files, name):
    made = json.loads(log(run, files, name, "--label", "late", "--alias", "champion", "--output", "json").stdout)
    assert (made["name"], str(made["version"]), made["needs_trust"]) == ("m", "1", False)
    run("functions", "register", "m", "models:/m@champion")
    low, high = rows("SELECT m(a := a, b := 0) >= 0 AS m FROM (VALUES (1), (4)) t(a)")
    assert low["m"] is high["m"] is True


@pytest.mark.long
def test_what_to_do_next_is_printed(run, files):
    out = log(run, files, "m.skops", "--label", "late", "--alias", "champion", data="data.parquet").stdout
    assert out.splitlines()[-1] == "Next: sqlml functions register m models:/m@champion"


@pytest.mark.long
def test_a_pickle_is_loaded_when_it_is_trusted(run, files):
    assert "--trust-pickle" in log(run, files, "m.joblib", code=1).stderr
    log(run, files, "m.joblib", "--label", "late", "--trust-pickle")


@pytest.mark.parametrize(
    ("name", "said"),
    [("m.exe", "'.skops'"), ("broken.skops", "can't be loaded"), ("data.csv", "'.skops'")],
)
def test_a_file_that_is_no_model(run, files, name, said):
    assert said in log(run, files, name, code=1).stderr


def test_rows_that_are_none(run, files):
    assert "'.csv'" in log(run, files, "m.skops", data="m.exe", code=1).stderr
    log(run, files, "nothing.skops", code=2)
