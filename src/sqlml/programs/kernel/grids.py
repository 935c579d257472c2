"""Where to begin looking for a number's rank: cells of equal width over the thresholds, each with its first rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel.layout import FEW
from sqlml.programs.program import Floats

_CELLS = (256, 1024, 4096)
"""More cells have fewer thresholds each, and leave less of the cache to the rest."""


@dataclass(frozen=True)
class Grid:
    """A cell is trunc((x - low) * scale), x cut to low and high first; `cells` has the rank at which each begins.

    Within a cell so many halvings as `steps` find the rank; where `cells` is None, they find it among all thresholds.
    """

    low: float
    high: float
    scale: float
    cells: npt.NDArray[np.uint16] | None
    steps: int


def grid_of(thresholds: Floats) -> Grid:
    """The smallest grid that needs the fewest steps."""
    best = Grid(0.0, 0.0, 0.0, None, len(thresholds).bit_length())
    if len(thresholds) <= FEW:
        return best
    low, high = float(thresholds[0]), float(thresholds[-1])
    for count in _CELLS:
        with np.errstate(all="ignore"):
            scale = float(np.float64(count - 1) / (np.float64(high) - np.float64(low)))
            # As the machine does it, to the bit: then a threshold in a lower cell is below the number.
            cells = (thresholds - low) * scale
        if not (np.isfinite(scale) and np.isfinite(cells).all() and cells[-1] < count):
            return best
        places = cells.astype(np.int64)
        steps = int(np.bincount(places).max()).bit_length()
        if steps < best.steps:
            best = Grid(low, high, scale, np.searchsorted(places, np.arange(count)).astype(np.uint16), steps)
        if steps == 1:
            break
    return best
