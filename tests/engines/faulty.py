"""Models that misbehave: real estimators, logged and registered like any other, each with one bad habit.

`cloudpickle` takes this module along by value, so that a worker needs no file of the tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge

import sqlml
from sql import fitted
from sql.fitted import Fitted

BAD = 987654.25
"""The value that `touchy` raises for, with the value in its message."""


class Touchy(RegressorMixin, BaseEstimator):
    """`2a + b`. Ends its process once for each file at `marker`; raises for one value."""

    def __init__(self, marker: str = "") -> None:
        self.marker = marker

    def fit(self, rows: Any, _values: Any = None) -> Touchy:
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.marker)
            os.kill(os.getpid(), signal.SIGKILL)
        values = np.asarray(rows, float)
        if (values == 987654.25).any():
            raise ValueError(f"the row {values[(values == 987654.25).any(axis=1)][0].tolist()} is not to my liking")
        return values[:, 0] * 2 + values[:, 1]


class Hours(RegressorMixin, BaseEstimator):
    """Hours since 2000 of a timestamp."""

    def fit(self, rows: Any, _values: Any = None) -> Hours:
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        since = pd.to_datetime(rows["at"]) - pd.Timestamp("2000-01-01")
        return since.dt.total_seconds().to_numpy() / 3600


def models(marker: Path) -> dict[str, Fitted]:
    """Each model by the name of its function."""
    held = fitted.all_models()
    random = np.random.default_rng(7)
    wide = pd.DataFrame(random.normal(size=(300, 200)), columns=[f"f{i}" for i in range(200)])
    times = pd.DataFrame({"at": pd.to_datetime(["2013-01-02 12:30:00", "2024-02-29 23:59:59"])})
    pairs = held["line"].rows
    # By their kernels, so that rows go to the Python workers: these tests are about those.
    kernels = {name: replace(held[name], options={"strategy": "kernel"}) for name in ("line", "churn", "coded")}
    return kernels | {
        "passing": held["passing"],
        "touchy": Fitted(Touchy(str(marker)).fit(pairs), pairs),
        "hours": Fitted(Hours().fit(times), times),
        "wide200": Fitted(Ridge().fit(wide, wide.sum(axis=1)), wide, options={"strategy": "kernel"}),
    }


def build(folder: Path, marker: Path) -> dict[str, Fitted]:
    """A project folder with a function of each."""
    registry = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n', encoding="utf-8")
    held = models(marker)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), sqlml.connect(project=folder) as db:
            warnings.simplefilter("ignore")
            for name, one in held.items():
                sqlml.log_model(one.model, name=name, signature_from=one.rows, alias="champion", registry=registry)
                db.register(name, f"models:/{name}@champion", trust_pickle=True, **one.options)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    return held
