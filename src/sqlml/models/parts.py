"""The estimators that an estimator is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator


def parts(thing: Any) -> Iterator[BaseEstimator]:
    """An estimator and all that it holds, at any depth, each once."""
    yield from _parts(thing, set())


def _parts(thing: Any, seen: set[int]) -> Iterator[BaseEstimator]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    children: Any = ()
    if isinstance(thing, BaseEstimator):
        yield thing
        children = vars(thing).values()
    elif isinstance(thing, dict):
        children = thing.values()
    elif isinstance(thing, (list, tuple)):
        children = thing
    elif isinstance(thing, np.ndarray) and thing.dtype == object:
        children = list(np.ravel(thing))
    for child in children:
        yield from _parts(child, seen)
