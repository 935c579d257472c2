"""The model's own answers, and what it is to be the same as they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sql.fitted import Fitted

# Sums of floats may be added up in another order.
RELATIVE = 1e-9


def answers(held: Fitted, output: str = "predict", rows: pd.DataFrame | None = None) -> list[Any]:
    """The estimator's own answers to its rows, or to others: labels and numbers, or probabilities by label."""
    given = held.rows if rows is None else rows[list(held.rows.columns)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if output == "predict":
            return _plain(held.model.predict(given))
        chances = held.model.predict_proba(given)
    if output == "score":
        return _plain(chances[:, -1])
    return [dict(zip(_plain(held.model.classes_), row, strict=True)) for row in _plain(chances)]


def _plain(values: Any) -> list[Any]:
    found: list[Any] = np.asarray(values).tolist()
    return found


def same(got: Sequence[Any], wanted: Sequence[Any]) -> None:
    """As many, of one type each, in one order; texts and truth values equal, floats nearly."""
    assert len(got) == len(wanted)
    assert len(got), "nothing was compared"
    for one, other in zip(got, wanted, strict=True):
        if isinstance(other, dict):
            assert list(one) == list(other)
            same(list(one.values()), list(other.values()))
        elif isinstance(other, float) and one is not None:
            assert type(one) is float
            np.testing.assert_allclose(one, other, rtol=RELATIVE, atol=1e-12)
        else:
            assert (type(one), one) == (type(other), other)
