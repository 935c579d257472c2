"""The demo's models: trained on a sample of the flights, measured on days that they have not seen, and logged.

Flights of one day share its weather and its queues, so that a random split would flatter: every third day is held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from sqlml.models.log import LoggedModel, log_model
from sqlml.session import Session

ALIAS = "champion"

_PLACES = ["carrier", "origin", "dest"]
_PLANE = ["plane_year", "seats"]
_NUMBERS = ["month", "weekday", "hour", "distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
FLIGHT_INPUTS = [*_PLACES, "engine", *_PLANE, *_NUMBERS]

_SIZES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
PENGUIN_INPUTS = ["island", "sex", *_SIZES]


class Trained(NamedTuple):
    """A fitted model, the rows it was fitted on, and how good it is on rows that it has not seen."""

    estimator: Any
    rows: Any
    measured: str


class Model(NamedTuple):
    """A model of the demo: the column it predicts, and what trains it on so many rows."""

    label: str
    train: Callable[[Session, int], Trained]


def train_and_log(session: Session, name: str, rows: int) -> tuple[LoggedModel, str]:
    """Train a model, and make it the champion in the session's registry; gives the version and how good it is."""
    label, train = MODELS[name]
    # On a busy machine two threads boost ten times slower than one: each waits for the other at every split.
    with threadpool_limits(limits=1, user_api="openmp"):
        trained = train(session, rows)
    logged = log_model(
        trained.estimator,
        name=name,
        signature_from=trained.rows,
        label=label,
        alias=ALIAS,
        registry=session.settings.registry_uri,
        tags={"held_out": trained.measured},
    )
    return logged, trained.measured


def _delay_risk(session: Session, rows: int) -> Trained:
    # The positive class is the last one in the alphabet.
    seen, unseen = _flights(session, rows)
    known, later = (np.where(held["arr_delay"] > 15, "late", "in time") for held in (seen, unseen))
    estimator = _over_flights(HistGradientBoostingClassifier(max_leaf_nodes=15, random_state=0))
    estimator.fit(seen[FLIGHT_INPUTS], known)
    auc = roc_auc_score(later == "late", estimator.predict_proba(unseen[FLIGHT_INPUTS])[:, 1])
    measured = f"AUC {auc:.3f} on {len(unseen):,} flights of other days"
    return Trained(estimator, seen[FLIGHT_INPUTS], measured)


def _arrival_delay(session: Session, rows: int) -> Trained:
    seen, unseen = _flights(session, rows)
    # A few flights come a day late: the median is what a passenger should expect, not the mean.
    boosting = HistGradientBoostingRegressor(loss="absolute_error", max_leaf_nodes=15, random_state=0)
    estimator = _over_flights(boosting).fit(seen[FLIGHT_INPUTS], seen["arr_delay"])
    error = mean_absolute_error(unseen["arr_delay"], estimator.predict(unseen[FLIGHT_INPUTS]))
    always = mean_absolute_error(unseen["arr_delay"], np.full(len(unseen), seen["arr_delay"].median()))
    measured = f"off by {error:.1f} minutes on these, where one guess for all is off by {always:.1f}"
    return Trained(estimator, seen[FLIGHT_INPUTS], measured)


def _species(session: Session, rows: int) -> Trained:
    penguins = session.sql("FROM penguins").df().astype(dict.fromkeys(_SIZES, float))
    unseen = np.arange(len(penguins)) % 3 == 0
    seen, rest = penguins[~unseen], penguins[unseen]
    encode = ColumnTransformer(
        [
            ("places", _one_hot("unknown"), ["island", "sex"]),
            ("sizes", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), _SIZES),
        ]
    )
    estimator = make_pipeline(encode, LogisticRegression(max_iter=1000)).fit(seen[PENGUIN_INPUTS], seen["species"])
    share = accuracy_score(rest["species"], estimator.predict(rest[PENGUIN_INPUTS]))
    always = (rest["species"] == seen["species"].mode()[0]).mean()
    measured = f"right for {share:.1%} of {len(rest)} others, the commonest one for {always:.1%}"
    return Trained(estimator, seen[PENGUIN_INPUTS], measured)


def _flights(session: Session, rows: int) -> tuple[Any, Any]:
    """A sample of the flights that arrived, and all flights of every third day, which is not in the sample."""
    wanted = ", ".join([*FLIGHT_INPUTS, "day", "arr_delay"])
    flights = session.sql(f"SELECT {wanted} FROM flights_ready WHERE arr_delay IS NOT NULL").df()
    # A column of whole numbers with NULLs would come as pandas's own kind, which no engine gives back.
    flights = flights.astype(dict.fromkeys(_PLANE, float))
    unseen = flights["day"] % 3 == 0
    seen = flights[~unseen]
    return seen.sample(min(rows, len(seen)), random_state=0), flights[unseen]


def _over_flights(boosting: Any) -> Pipeline:
    """Text one-hot encoded, a plane that is in no register taken for a middling one; boosting takes NULL weather."""
    encode = ColumnTransformer(
        [
            ("places", OneHotEncoder(handle_unknown="ignore", max_categories=12, sparse_output=False), _PLACES),
            ("engine", _one_hot("unknown"), ["engine"]),
            ("plane", SimpleImputer(strategy="median"), _PLANE),
        ],
        remainder="passthrough",
    )
    return make_pipeline(encode, boosting)


def _one_hot(missing: str) -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="constant", fill_value=missing),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )


MODELS: Mapping[str, Model] = {
    "delay_risk": Model("arrival", _delay_risk),
    "arrival_delay": Model("arr_delay", _arrival_delay),
    "species": Model("species", _species),
}
