"""A program that is not quite its model is never allowed to answer."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sqlml.models import compiling
from sqlml.models.compiling import compile_version
from sqlml.models.describe import Source, describe
from sqlml.models.probe import probe_rows
from sqlml.models.readers.program import read_program
from sqlml.models.readers.sklearn import fitted_estimator
from sqlml.programs.kernel import layout, lower
from sqlml.programs.kernel.loading import machine
from sqlml.programs.kernel.splits import Splits
from sqlml.programs.program import Encode, Linear, Program, Trees
from sqlml.programs.store import load

RANDOM = np.random.default_rng(11)
ROWS = pd.DataFrame({"a": RANDOM.normal(size=400), "b": RANDOM.normal(size=400), "c": RANDOM.choice(["x", "y"], 400)})
HOLED = ROWS[["a", "b"]].mask(RANDOM.random((400, 2)) < 0.2)
LABELS = np.where(ROWS.a + (ROWS.c == "x") + RANDOM.normal(size=400) > 0.5, "yes", "no")
ENCODED = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(handle_unknown="ignore"), ["c"]))
FITTED = {
    "logistic": (make_pipeline(ENCODED, LogisticRegression()).fit(ROWS, LABELS), ROWS),
    "boosted": (HistGradientBoostingClassifier(max_iter=8).fit(HOLED, LABELS), HOLED),
    "forest": (RandomForestRegressor(5, max_depth=5).fit(ROWS[["a", "b"]], ROWS.a * 2), ROWS[["a", "b"]]),
}


def tried(name, folder, model=None, rows=None):
    held, given = (model, rows) if model is not None else FITTED[name]
    fitted = fitted_estimator(held, name)
    types = {"f": "double", "O": "string", "s": "string", "T": "string"}
    inputs = [{"name": c, "type": types.get(given[c].dtype.kind, "string")} for c in given.columns]
    mlmodel = {"signature": {"inputs": json.dumps(inputs)}}
    source = Source(name, "1", None, None, "sklearn", {}, "skops", "sklearn", mlmodel)
    description = describe(source, fitted, folder, ())
    columns = probe_rows(description.arguments, fitted.categories, None)
    return compile_version(description, fitted, columns, folder / "programs", machine)


@pytest.mark.parametrize("name", FITTED)
def test_what_is_the_model_may_answer(name, tmp_path):
    outcome = tried(name, tmp_path)
    assert outcome.description.strategies == ("kernel", "python")
    ((proof, reason),) = outcome.proofs.values()
    assert (reason, proof.label_mismatches) == (None, 0)
    assert proof.rows > 1_000
    assert load(tmp_path / "programs", outcome.description.program).digest == outcome.description.program


def changed(program, kind, change):
    """The program, with the first node of a kind changed."""
    place = next(i for i, node in enumerate(program.nodes) if isinstance(node, kind))
    nodes = [*program.nodes]
    nodes[place] = change(nodes[place])
    return Program(tuple(nodes), program.heads)


def swapped(program):
    return Program(program.nodes, {**program.heads, "probabilities": program.heads["probabilities"][::-1]})


MISTAKES = {
    "a weight off by a millionth": (
        "logistic",
        lambda p: changed(p, Linear, lambda n: replace(n, weights=n.weights * (1 + 1e-6))),
    ),
    "a constant left out": ("logistic", lambda p: changed(p, Linear, lambda n: replace(n, bias=n.bias * 0.0))),
    "an unknown category taken for a known one": (
        "logistic",
        lambda p: changed(p, Encode, lambda n: replace(n, unknown=0.0)),
    ),
    "probabilities the wrong way round": ("logistic", swapped),
    "missing values sent the other way": (
        "boosted",
        lambda p: changed(p, Trees, lambda n: replace(n, missing_left=~n.missing_left)),
    ),
    "thresholds one step too low": (
        "boosted",
        lambda p: changed(p, Trees, lambda n: replace(n, threshold=np.nextafter(n.threshold, -np.inf))),
    ),
    "children the wrong way round": (
        "forest",
        lambda p: changed(p, Trees, lambda n: replace(n, left=n.right, right=n.left)),
    ),
    "thresholds compared in float64": (
        "forest",
        lambda p: changed(p, Trees, lambda n: replace(n, compare="float64")),
    ),
    "a sum that is no mean": ("forest", lambda p: changed(p, Trees, lambda n: replace(n, divisor=1.0))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_program_is_refused(mistake, tmp_path, monkeypatch):
    name, change = MISTAKES[mistake]
    monkeypatch.setattr(compiling, "read_program", lambda *given: change(read_program(*given)))
    outcome = tried(name, tmp_path)
    assert outcome.description.program is None
    assert outcome.description.strategies == ("python",)
    assert outcome.description.no_program.startswith("its program was refused: ")
    assert not list(tmp_path.glob("programs/*"))


def test_a_wrong_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(layout.APPLY_CODES, "sigmoid", layout.APPLY_CODES["tanh"])
    assert "a number differs" in tried("logistic", tmp_path).description.no_program


def test_ranks_that_are_off_by_one_are_refused(tmp_path, monkeypatch):
    emit = Splits._emit_number

    def off(self, feature, register):
        self.thresholds[feature] = np.nextafter(self.thresholds[feature], -np.inf)
        emit(self, feature, register)

    monkeypatch.setattr(Splits, "_emit_number", off)
    assert tried("boosted", tmp_path).description.no_program is not None


def test_weights_added_up_wrongly_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lower._Lowering, "_add_tables", lambda self, node, sums: None)
    assert tried("logistic", tmp_path).description.no_program is not None


def test_a_model_without_a_reader_says_which_step(tmp_path):
    model = make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(ROWS[["a", "b"]], LABELS)
    held = tried("neighbours", tmp_path, model, ROWS[["a", "b"]]).description
    assert (held.program, held.strategies) == (None, ("python",))
    assert held.no_program.startswith("KNeighborsClassifier: ")


def test_what_no_answer_depends_on_is_not_read(tmp_path):
    rows = ROWS.assign(idle=1.0)[["idle", "a", "b"]]
    model = LinearRegression().fit(rows, ROWS.a)
    model.coef_[0] = 0.0
    held = tried("idle", tmp_path, model, rows).description
    assert [argument.name for argument in held.taken] == ["a", "b"]
    assert held.arguments[0].neutral == 0.0
