"""What the readers of scikit-learn's ensembles of trees share: a fitted tree as arrays, and what trees refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.utils import get_tags

from sqlml.models.readers.reading import Columns, NoReader
from sqlml.models.readers.tree_arrays import Places, Tree, float32_below, numbered
from sqlml.programs.program import Builder, Floats, Guard

Leaves: TypeAlias = Callable[[Any, Places], Floats]
"""Of a `tree_` and the places of its leaves: what the leaves add, [leaves, 1 or outputs]."""


def tree_of(estimator: Any, leaves: Leaves, output: int = -1, features: npt.NDArray[Any] | None = None) -> Tree:
    """A fitted tree as arrays.

    Args:
        estimator: one of scikit-learn's tree classes.
        leaves: what its leaves add.
        output: where the leaves have one value, the output they go to.
        features: the columns that it was fitted on, where not on all.
    """
    held = estimator.tree_
    found = numbered(held.children_left, held.children_right)
    # There is no attribute for this one; trees of before 1.3 don't have it, and take no missing value.
    nodes = held.__getstate__()["nodes"][found.splits]
    feature = nodes["feature"].astype(np.int64)
    return Tree(
        feature=feature if features is None else np.asarray(features)[feature],
        threshold=float32_below(nodes["threshold"]),
        left=found.left,
        right=found.right,
        missing_left=nodes["missing_go_to_left"] > 0,
        leaves=leaves(held, found.leaves),
        output=output,
    )


def values(held: Any, places: Places) -> Floats:
    """What a regression tree's leaves answer, a column for each output."""
    found: Floats = held.value[places, :, 0]
    return found


def shares(held: Any, places: Places) -> Floats:
    """The shares of the classes in a classification tree's leaves."""
    found: Floats = held.value[places, 0, :]
    return found


def guarded(graph: Builder, estimator: Any, columns: Columns) -> Columns:
    """The columns, but for rows that a tree refuses: what float32 can't hold, and NaN unless it takes that."""
    if any(graph.is_text(ref) for ref in columns):
        raise NoReader(type(estimator).__name__, "a column of text reaches it")
    rule = "float32_or_missing" if get_tags(estimator).input_tags.allow_nan else "float32"
    before = graph.nodes[columns[0][0]] if columns else None
    # An ensemble of ensembles looks once.
    if isinstance(before, Guard) and before.rule in (rule, "float32") and len({place for place, _ in columns}) == 1:
        return columns
    return graph.add(Guard(inputs=columns, rule=rule))
