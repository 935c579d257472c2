"""The arrays of the node `Trees`, put together tree by tree from what each library keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sqlml.models.readers.reading import Columns
from sqlml.programs.program import Booleans, Floats, Trees

Width = Literal["float32", "float64"]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """One tree: its splits, the first being the root, and its leaves.

    `left` and `right` are the place of a split, or ~leaf where negative. `sets` are the categories that go left, by
    the place of their split. `leaves` has the shape [leaves, 1] with the output it goes to, or [leaves, outputs].
    """

    feature: Places
    threshold: Floats
    left: Places
    right: Places
    missing_left: Booleans
    leaves: Floats
    output: int = -1
    sets: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Numbered:
    """The nodes of a tree that the root reaches: which of them are splits and leaves, and the splits' children."""

    splits: Places
    leaves: Places
    left: Places
    right: Places


def numbered(left: npt.ArrayLike, right: npt.ArrayLike) -> Numbered:
    """Number splits and leaves apart, where a library keeps both as nodes of one array and -1 is no child."""
    lefts, rights = np.asarray(left, np.int64), np.asarray(right, np.int64)
    seen = np.zeros(len(lefts), bool)
    level = np.zeros(1, np.int64)
    # A pruned tree keeps its dead nodes.
    while len(level):
        seen[level] = True
        inner = level[lefts[level] >= 0]
        level = np.concatenate([lefts[inner], rights[inner]])
    splits, leaves = np.flatnonzero(seen & (lefts >= 0)), np.flatnonzero(seen & (lefts < 0))
    places = np.zeros(len(lefts), np.int64)
    places[splits] = np.arange(len(splits))
    places[leaves] = ~np.arange(len(leaves))
    return Numbered(splits, leaves, places[lefts[splits]], places[rights[splits]])


def float32_below(thresholds: npt.ArrayLike) -> Floats:
    """The largest float32 at or below each threshold: a float32 is <= the one where it is <= the other."""
    exact = np.asarray(thresholds, np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    below: Floats = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float64)
    return below


def joined(
    trees: Sequence[Tree],
    columns: Columns,
    base: Floats,
    *,
    every_column: bool = False,
    base_last: bool = False,
    divisor: float = 1.0,
    compare: Width = "float64",
    total: Width = "float64",
) -> Trees:
    """One node for an ensemble.

    Args:
        trees: in the order in which they are added up.
        columns: what their `feature` counts.
        base: where the sums begin, one for each output.
        every_column: keep columns that no split looks at, because a Guard before them looks at all.
        base_last: add the base after the trees.
        divisor: of the sums.
        compare: how wide the columns are compared.
        total: how wide the sums are kept.
    """
    splits = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.leaves) for tree in trees)])

    def moved(places: Places, tree: int) -> Places:
        found: Places = np.where(places >= 0, places + splits[tree], ~(~places + leaves[tree]))
        return found

    feature = _together([tree.feature for tree in trees], np.int32)
    used = np.arange(len(columns)) if every_column else np.unique(feature)
    set_of, starts, members = _sets(trees, splits)
    roots = [splits[i] if len(tree.feature) else ~leaves[i] for i, tree in enumerate(trees)]
    return Trees(
        inputs=tuple(columns[place] for place in used),
        feature=np.searchsorted(used, feature).astype(np.int32),
        threshold=_together([tree.threshold for tree in trees], np.float64),
        left=_together([moved(tree.left, i) for i, tree in enumerate(trees)], np.int32),
        right=_together([moved(tree.right, i) for i, tree in enumerate(trees)], np.int32),
        missing_left=_together([tree.missing_left for tree in trees], np.bool_),
        set_of=set_of,
        set_starts=starts,
        set_members=members,
        roots=np.array(roots, np.int32),
        leaves=np.concatenate([tree.leaves for tree in trees]) if trees else np.empty((0, 1)),
        output_of=np.array([tree.output for tree in trees], np.int32),
        base=np.asarray(base, np.float64),
        base_last=base_last,
        divisor=divisor,
        compare=compare,
        sum=total,
    )


def _together(arrays: Sequence[npt.NDArray[Any]], dtype: type[Any]) -> npt.NDArray[Any]:
    return np.concatenate(arrays).astype(dtype) if arrays else np.empty(0, dtype)


def _sets(
    trees: Sequence[Tree], splits: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Which set each split has, where each set starts, and the members: equal sets are kept once."""
    set_of = np.full(int(splits[-1]), -1, np.int32)
    known: dict[tuple[int, ...], int] = {}
    for tree, start in zip(trees, splits, strict=False):
        for place, members in tree.sets.items():
            set_of[start + place] = known.setdefault(tuple(sorted(members)), len(known))
    starts = np.cumsum([0, *(len(members) for members in known)]).astype(np.int32)
    return set_of, starts, np.array([member for members in known for member in members], np.int32)
