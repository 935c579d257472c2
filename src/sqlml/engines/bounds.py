"""Bounds that statistics give, as floats."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any


def outward(value: Any, towards: float) -> float:
    """The float that a bound is, or the next one outside of it.

    Example:
        >>> outward(2**53 + 1, -math.inf), outward(Decimal("0.5"), math.inf)
        (9007199254740991.0, 0.5)
    """
    near = float(value)
    if isinstance(value, float) or Decimal(near) == Decimal(value):
        return near
    return math.nextafter(near, towards)
