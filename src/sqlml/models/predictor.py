"""One version behind one function: Arrow arrays in, Arrow answers out, under the function's NULL policy."""

from __future__ import annotations

import itertools
import logging
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import ThreadpoolController

from sqlml.errors import (
    InfiniteArgument,
    NullArgument,
    PredictionFailed,
    SqlmlError,
    UnknownCategory,
)
from sqlml.models import feed
from sqlml.models.answers import predictions, probabilities
from sqlml.models.cast import cast_argument
from sqlml.models.description import Description
from sqlml.models.fitted import Fitted
from sqlml.types import ARROW, NullPolicy, Output, output_type

log = logging.getLogger("sqlml")


class _Quiet:
    """No warnings while any thread predicts: the names were checked already, and one a batch helps nobody.

    `warnings.catch_warnings` alone is the process's, not the thread's: of two threads in it, one would give the
    other its warnings back, or leave them off for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


class Predictor:
    """Answers batches. Safe to call from several threads; each call runs on the thread that made it."""

    def __init__(self, function: str, description: Description, fitted: Fitted, on_null: NullPolicy) -> None:
        self.function = function
        self.description = description
        self.fitted = fitted
        self.on_null = on_null
        self._batches = itertools.count(1)
        self._threads = ThreadpoolController()

    def __repr__(self) -> str:
        return f"<Predictor {self.function}: {self.description.title}>"

    def __call__(self, output: Output, given: Sequence[pa.Array]) -> pa.Array:
        """Answer one batch.

        Args:
            output: which of the model's outputs.
            given: an array an argument, in signature order, all of one length, of any type that casts.

        Returns:
            An array of that length, of the type that `output_type` says.

        Raises:
            DataError: a value that can't be cast or that the model refuses; the model's own failure.
        """
        batch = next(self._batches)
        arguments = self.description.arguments
        total = len(given[0])
        arrays = [
            cast_argument(array, argument, self.function)
            if argument.used
            else pa.repeat(pa.scalar(argument.neutral, ARROW[argument.type]), total)
            for array, argument in zip(given, arguments, strict=True)
        ]
        type_, _ = output_type(output, self.description.returns, self.description.classes)
        keep = self._answerable(arrays, total)
        if keep is not None:
            arrays = [array.filter(pa.array(keep)) for array in arrays]
        rows = len(arrays[0])
        # scikit-learn raises on an empty batch.
        try:
            answers = self._predict(output, arrays) if rows else pa.nulls(0, type_)
        except SqlmlError:
            raise
        except Exception as error:
            raise self._failure(error, arrays, batch) from error
        if keep is None:
            return answers
        places = pa.array(np.cumsum(keep) - 1, mask=~keep)
        return answers.take(places)

    def _answerable(self, arrays: Sequence[pa.Array], total: int) -> npt.NDArray[np.bool_] | None:
        """Which rows reach the model; None where all do."""
        if self.on_null == "pass":
            return None
        keep: npt.NDArray[np.bool_] | None = None
        for array, argument in zip(arrays, self.description.arguments, strict=True):
            missing = _missing(array)
            if missing is None:
                continue
            if self.on_null == "error":
                raise NullArgument(function=self.function, argument=argument.name, rows=int(missing.sum()), total=total)
            if argument.missing is None:
                keep = ~missing if keep is None else keep & ~missing
        return keep

    def _predict(self, output: Output, arrays: Sequence[pa.Array]) -> pa.Array:
        rows: Any = (
            feed.matrix(arrays) if self.description.feed == "matrix" else feed.frame(arrays, self.description.arguments)
        )
        with _QUIET, self._threads.limit(limits=1, user_api="openmp"):
            if output == "predict":
                return predictions(self.fitted.predict(rows), self.description.returns)
            assert self.fitted.proba is not None
            assert self.description.classes is not None
            return probabilities(output, np.asarray(self.fitted.proba(rows)), self.description.classes)

    def _failure(self, error: Exception, arrays: Sequence[pa.Array], batch: int) -> SqlmlError:
        """What a user may read of a library's exception: never its text, which may hold rows."""
        found = self.fitted.unknown_category and self.fitted.unknown_category.search(str(error))
        if found:
            return UnknownCategory(
                function=self.function,
                value=found["values"],
                argument=self._argument_with(found["values"], int(found["column"]), arrays),
            )
        for array, argument in zip(arrays, self.description.arguments, strict=True):
            if pa.types.is_floating(array.type):
                infinite = pc.sum(pc.is_inf(array)).as_py() or 0
                if infinite and isinstance(error, ValueError):
                    return InfiniteArgument(function=self.function, argument=argument.name, rows=infinite)
        title = self.description.title
        kind = type(error).__name__
        log.error("%s (%s) raised %s on its batch %d of %d rows", self.function, title, kind, batch, len(arrays[0]))
        log.debug("The traceback, which may hold values of rows:", exc_info=error)
        return PredictionFailed(function=self.function, model=title, error=kind, batch=batch, rows=len(arrays[0]))

    def _argument_with(self, values: str, column: int, arrays: Sequence[pa.Array]) -> str:
        """The argument that holds the refused value: the encoder's column number counts its own columns only."""
        for array, argument in zip(arrays, self.description.arguments, strict=True):
            if pa.types.is_string(array.type):
                present = pc.unique(array).to_pylist()
                if any(value is not None and repr(value) in values for value in present) and not any(
                    repr(value) in values for value in self.fitted.categories.get(argument.name, ())
                ):
                    return argument.name
        return self.description.arguments[min(column, len(self.description.arguments) - 1)].name


def _missing(array: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Where an array is NULL or NaN; None where it nowhere is."""
    if pa.types.is_floating(array.type):
        values = array.to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        return missing if missing.any() else None
    return array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
