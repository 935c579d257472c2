"""What a query says of an input: which values it can still have, and whether one may be missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

SHOWN = 4
"""More values than these are counted, not named."""


@dataclass(frozen=True)
class Domain:
    """What the values of an input can be.

    `missing`: a NULL or NaN may be among them. `values`: the only present values (texts, or numbers); None: any.
    `low`, `high`: closed bounds of present numbers.

    Example:
        >>> Domain(missing=False, values=(1.0, 2.0, 9.0)).within(Domain(high=5.0))
        Domain(missing=False, values=(1.0, 2.0), low=-inf, high=5.0)
    """

    missing: bool = True
    values: tuple[str, ...] | tuple[float, ...] | None = None
    low: float = -math.inf
    high: float = math.inf

    def within(self, other: Domain) -> Domain:
        """Where both hold."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        held = self.values if other.values is None else other.values
        if self.values is not None and other.values is not None:
            held = tuple(value for value in self.values if value in set(other.values))  # type: ignore[assignment]
        if held is not None:
            kept = [value for value in held if isinstance(value, str) or low <= value <= high]
            held = tuple(kept)  # type: ignore[assignment]
        return Domain(self.missing and other.missing, held, low, high)

    @property
    def nothing(self) -> bool:
        """Whether no value is left, and no missing one: no row is in it."""
        return not self.missing and not self.present

    @property
    def present(self) -> bool:
        """Whether any value is left that is not missing."""
        if self.values is None:
            return self.low <= self.high
        return any(isinstance(value, str) or self.low <= value <= self.high for value in self.values)


def shown(domain: Domain, name: str) -> str:
    """A domain in words.

    Example:
        >>> print(shown(Domain(missing=False, values=("AA",)), "carrier"))
        carrier is 'AA'
        >>> print(shown(Domain(missing=False, high=500.0), "distance"))
        distance is at most 500 and not NULL
        >>> print(shown(Domain(values=()), "distance"))
        distance is NULL
    """
    if domain.nothing:
        return f"{name} has no value left"
    if not domain.present:
        return f"{name} is NULL"
    said = _values(domain)
    if said:
        return f"{name} is {said}{' or NULL' if domain.missing else ''}"
    if domain.low == -math.inf and domain.high == math.inf:
        return f"{name} is anything" if domain.missing else f"{name} is not NULL"
    bounds = [
        f"{words} {_value(bound)}"
        for words, bound in (("at least", domain.low), ("at most", domain.high))
        if math.isfinite(bound)
    ]
    return f"{name} is {' and '.join(bounds)}{' or NULL' if domain.missing else ' and not NULL'}"


def _values(domain: Domain) -> str:
    if domain.values is None:
        return _value(domain.low) if domain.low == domain.high else ""
    texts = [_value(value) for value in domain.values]
    if len(texts) == 1:
        return texts[0]
    more = [f"{len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    texts = [*texts[:SHOWN], *more]
    return f"{', '.join(texts[:-1])} or {texts[-1]}"


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value)).removesuffix(".0")
