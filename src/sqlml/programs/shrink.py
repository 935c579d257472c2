"""Trees without the splits that always go one way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sqlml.programs.program import Booleans, Floats, Trees
from sqlml.programs.spans import Span

TRACKED = 8
"""So many columns are followed down the branches; each costs a pass over the trees."""

CLASSES = 63
"""A column is followed where so few classes of its values are all that its splits tell apart: one bit each."""

Masks = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

OPEN, LEFT, RIGHT = 0, 1, 2


def shrunk(node: Trees, given: Span, followed: Booleans) -> Trees:
    """The same sums, to the last bit, of rows within the columns' spans.

    Args:
        node: the trees.
        given: what their columns can hold.
        followed: the columns of which a branch is known to narrow what can come below it.
    """
    if not len(node.feature):
        return node
    given = _compared(node, given)
    way = _ways(node, given)
    columns = _tracked(node, given, followed, way)
    if columns:
        way = _followed(node, way, *columns)
    return _without(node, way) if way.any() else node


def split_on(node: Trees, splits: Booleans | slice = slice(None)) -> Booleans:
    """The columns that its splits read, or some of them."""
    read = np.zeros(len(node.inputs), bool)
    read[node.feature[splits]] = True
    return read


def _compared(node: Trees, given: Span) -> Span:
    if node.compare == "float64":
        return given
    # Rounding keeps order: what lies between two numbers lies between them once rounded.
    sets = {column: np.unique(_rounded(values)) for column, values in given.sets.items()}
    return replace(given, low=_rounded(given.low), high=_rounded(given.high), sets=sets)


def _rounded(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def _ways(node: Trees, given: Span) -> npt.NDArray[np.int8]:
    """Which way each split goes for all that its column can hold, wherever it stands."""
    feature = node.feature
    missing = given.missing[feature]
    left = (given.high[feature] <= node.threshold) & ~(missing & ~node.missing_left)
    right = (given.low[feature] > node.threshold) & ~(missing & node.missing_left)
    grouped = node.set_of >= 0
    if grouped.any():
        absent = (given.low > given.high)[feature]
        left &= ~grouped | absent
        right &= ~grouped | absent
    way = np.where(left, LEFT, np.where(right, RIGHT, OPEN)).astype(np.int8)
    for column, values in given.sets.items():
        at = np.flatnonzero((feature == column) & grouped)
        for place in at.tolist():
            goes = _goes_left(node, place, values, bool(missing[place]))
            way[place] = LEFT if goes.all() else OPEN if goes.any() else RIGHT
    return way


def _goes_left(node: Trees, place: int, values: Floats, missing: bool) -> Booleans:
    """Whether each of the values goes left at a split, and at last a missing one."""
    if node.set_of[place] >= 0:
        start, end = node.set_starts[node.set_of[place]], node.set_starts[node.set_of[place] + 1]
        finite = np.isfinite(values)
        goes = finite & np.isin(np.trunc(np.where(finite, values, 0.0)), node.set_members[start:end])
    else:
        goes = values <= node.threshold[place]
    return np.append(goes, node.missing_left[place]) if missing else goes


def _tracked(
    node: Trees, given: Span, followed: Booleans, way: npt.NDArray[np.int8]
) -> tuple[Masks, Places, Places] | None:
    """For each split the classes of values that it sends left, the column it tracks (-1: none), and how many classes.

    A class is what no split of the column tells apart; a missing value is one of its own.
    """
    masks = np.zeros(len(node.feature), np.uint64)
    slot = np.full(len(node.feature), -1, np.int64)
    counts: list[int] = []
    wanted = followed & (given.missing | np.isin(np.arange(len(followed)), list(given.sets)))
    wanted[wanted] = split_on(node, way == OPEN)[wanted]
    for column in np.flatnonzero(wanted)[:TRACKED].tolist():
        at = np.flatnonzero(node.feature == column)
        values = _classes(node, given, column, at)
        if values is None:
            continue
        missing = bool(given.missing[column])
        goes = np.array([_goes_left(node, place, values, missing) for place in at.tolist()])
        masks[at] = goes.astype(np.uint64) @ (np.uint64(1) << np.arange(goes.shape[1], dtype=np.uint64))
        slot[at] = len(counts)
        counts.append(goes.shape[1])
    return (masks, slot, np.array(counts, np.int64)) if counts else None


def _classes(node: Trees, given: Span, column: int, at: Places) -> Floats | None:
    """One value for each class; None where there are too many."""
    if column in given.sets:
        values = given.sets[column]
    elif (node.set_of[at] >= 0).any():
        return None
    else:
        low, high = given.low[column], given.high[column]
        cuts = np.unique(node.threshold[at])
        # All that lies between two thresholds goes the way of the upper one.
        values = np.append(cuts[(cuts >= low) & (cuts < high)], high) if low <= high else np.empty(0)
    return values if len(values) < CLASSES else None


def _followed(
    node: Trees, known: npt.NDArray[np.int8], masks: Masks, slot: Places, counts: Places
) -> npt.NDArray[np.int8]:
    """Which way each split goes, for what can come to it down its branch."""
    way = known.copy()
    at: Places = node.roots[node.roots >= 0].astype(np.int64)
    held = np.tile((np.uint64(1) << counts.astype(np.uint64)) - np.uint64(1), (len(at), 1))
    seen = 0
    while len(at):
        seen += len(at)
        if seen > len(node.feature):
            # Two branches share a split, and may disagree about it.
            return known
        tracks = slot[at] >= 0
        here = np.where(tracks, held[np.arange(len(at)), slot[at]], np.uint64(0))
        to_left, to_right = here & masks[at], here & ~masks[at]
        way[at[tracks & (to_right == 0)]] = LEFT
        way[at[tracks & (to_left == 0) & (to_right != 0)]] = RIGHT
        below, bits = [], []
        for children, kept, closed in ((node.left, to_left, RIGHT), (node.right, to_right, LEFT)):
            goes = (children[at] >= 0) & (way[at] != closed)
            narrow = held[goes]
            rows = np.flatnonzero(tracks[goes])
            narrow[rows, slot[at[goes]][rows]] = kept[goes][rows]
            below.append(children[at[goes]].astype(np.int64))
            bits.append(narrow)
        at, held = np.concatenate(below), np.concatenate(bits)
    return way


def _without(node: Trees, way: npt.NDArray[np.int8]) -> Trees:
    """The trees in which each split that goes one way is its child; what is reached no more is gone."""
    splits = len(way)
    goes = np.arange(splits)
    gone = np.flatnonzero(way)
    goes[gone] = np.where(way[gone] == LEFT, node.left[gone], node.right[gone])
    on = gone[goes[gone] >= 0]
    while len(on):
        # Each step doubles how far a split looks ahead.
        further = goes[goes[on]]
        moves = further != goes[on]
        on, further = on[moves], further[moves]
        goes[on] = further
        on = on[further >= 0]
    # A leaf's place counts from the end, as ~leaf does.
    ends = np.concatenate([goes, ~np.arange(len(node.leaves))[::-1]])
    roots, left, right = ends[node.roots], ends[node.left], ends[node.right]
    alive = np.zeros(splits, bool)
    here = roots[roots >= 0]
    while len(here):
        alive[here] = True
        children = np.concatenate([left[here], right[here]])
        here = children[children >= 0]
        here = here[~alive[here]]
    left, right = left[alive], right[alive]
    moved = np.cumsum(alive) - 1
    used = np.zeros(len(node.leaves), bool)
    for children in (roots, left, right):
        used[~children[children < 0]] = True
    table = np.concatenate([moved, ~(np.cumsum(used) - 1)[::-1]]).astype(np.int32)
    return replace(
        node,
        feature=node.feature[alive],
        threshold=node.threshold[alive],
        left=table[left],
        right=table[right],
        missing_left=node.missing_left[alive],
        set_of=node.set_of[alive],
        roots=table[roots],
        leaves=node.leaves[used],
    )
