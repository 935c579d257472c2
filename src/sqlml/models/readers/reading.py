"""What a reader of one estimator is given, and what it gives back: columns of a program that is being built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlml.models.description import Argument
from sqlml.programs.program import Builder, Ref

Columns: TypeAlias = tuple[Ref, ...]


class NoReader(Exception):
    """A model, or a step of one, that can't be a program: `step` names it, `reason` says why."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


@dataclass(frozen=True)
class Answers:
    """What an estimator answers, as columns; None where its class has no such method.

    `value` is `predict` of a regressor (a column an output), or of a clusterer; `label` is `predict` of a classifier
    as the place of the class in `classes`; `decision` is `decision_function`, one column where that is 1-dimensional.
    """

    value: Columns | None = None
    label: Columns | None = None
    probabilities: Columns | None = None
    decision: Columns | None = None
    classes: Sequence[Any] | None = None


Transforming: TypeAlias = Callable[["Reading", Any, Columns], Columns]
Predicting: TypeAlias = Callable[["Reading", Any, Columns], Answers]


class Reading:
    """A program in the making, and the way to the readers of inner estimators.

    The readers are found by the class's full name, `sklearn.linear_model._base.LinearRegression`: a subclass may
    answer otherwise, and has none. `arguments` are the function's own, by their column.
    """

    def __init__(
        self,
        graph: Builder,
        transformers: Mapping[str, Transforming],
        predictors: Mapping[str, Predicting],
        arguments: Mapping[Ref, Argument] | None = None,
    ) -> None:
        self.graph = graph
        self.arguments = arguments or {}
        self._transformers = transformers
        self._predictors = predictors
        self._answered: dict[tuple[int, Columns], Answers] = {}

    @property
    def categories(self) -> Mapping[Ref, tuple[Any, ...]]:
        """The values of the arguments that reach the model as pandas category columns."""
        return {ref: held.categories for ref, held in self.arguments.items() if held.categories is not None}

    def transform(self, estimator: Any, columns: Columns) -> Columns:
        """The columns that `estimator.transform` gives; raises NoReader."""
        reader = self._transformers.get(_name(estimator))
        if reader is None:
            raise NoReader(type(estimator).__name__, "no reader for its class")
        return reader(self, estimator, columns)

    def predict(self, estimator: Any, columns: Columns) -> Answers:
        """What `estimator.predict` and its like give; raises NoReader."""
        reader = self._predictors.get(_name(estimator))
        if reader is None:
            raise NoReader(type(estimator).__name__, "no reader for its class")
        # An estimator around it may ask for its label here and its probabilities there.
        asked = (id(estimator), columns)
        if asked not in self._answered:
            self._answered[asked] = reader(self, estimator, columns)
        return self._answered[asked]


def _name(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"
