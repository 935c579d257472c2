"""When a screened sum is certainly beyond its bound: what trees add at most and at least, and what rounding does."""

from __future__ import annotations

import numpy as np

from sqlml.programs.program import Floats, Screened

RELATIVE = 1e-9
"""So much of the bound, of 1 where that is larger, a sum must lie beyond it."""

_LARGEST = {"float32": 1e36, "float64": 1e300}


def decidable(node: Screened) -> bool:
    """Whether any row can be decided: where adding up could overflow, it matters in which order."""
    most = _LARGEST[node.sum] / max(1, len(node.roots))
    finite = (np.abs(node.leaves) <= most).all() and (np.abs(node.base) <= most).all() and np.isfinite(node.divisor)
    return bool(finite) and node.divisor > 0.0 and len(node.roots) > 0


def leaf_ends(node: Screened) -> tuple[Floats, Floats]:
    """The lowest and the highest leaf of each tree, as wide as they are added up."""
    leaves = (node.leaves.astype(np.float32).astype(np.float64) if node.sum == "float32" else node.leaves)[:, 0]
    lowest, highest = np.full(len(node.roots), np.inf), np.full(len(node.roots), -np.inf)
    here, tree = node.roots, np.arange(len(node.roots))
    while len(here):
        ends = here < 0
        np.minimum.at(lowest, tree[ends], leaves[~here[ends]])
        np.maximum.at(highest, tree[ends], leaves[~here[ends]])
        inner = here[~ends]
        tree = np.concatenate([tree[~ends]] * 2)
        here = np.concatenate([node.left[inner], node.right[inner]])
    return lowest, highest


def slack(node: Screened, lowest: Floats, highest: Floats) -> float:
    """What another order of adding up can change a sum by, before it is divided; a few times over."""
    largest = np.maximum(np.abs(lowest), np.abs(highest)).sum() + abs(float(node.base[0]))
    unit = float(np.finfo(np.float32 if node.sum == "float32" else np.float64).eps)
    return float((4 * len(node.roots) + 32) * unit * largest)
