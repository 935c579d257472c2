"""A loaded model, whatever its library: what can be asked of it, in one shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlml.models.description import Kind

Predict = Callable[[Any], Any]
"""From a data frame or a float64 matrix of n rows to n answers, or n rows of probabilities."""


@dataclass(frozen=True)
class Fitted:
    """A model in memory; `model` is the library's own object.

    `names` and `text_names` are the inputs it was fitted with and those among them that hold text, where its
    library kept them; `categories` are the values it has seen in them; `pandas_categories` those of its inputs that
    must arrive as a pandas category. `unknown_category` finds in an exception's message the value that was never
    seen. `takes_matrix` is False where the library needs columns with names or types.
    """

    library: str
    kind: Kind
    predict: Predict
    model: Any = None
    proba: Predict | None = None
    classes: Sequence[Any] | None = None
    names: Sequence[str] | None = None
    text_names: frozenset[str] = frozenset()
    categories: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    pandas_categories: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    unknown_category: re.Pattern[str] | None = None
    takes_matrix: bool = True
