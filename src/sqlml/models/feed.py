"""From Arrow arrays of the signature's types to what a library takes: one float64 matrix, or a pandas data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.models.description import Argument

if TYPE_CHECKING:
    import pandas as pd


def matrix(arrays: Sequence[pa.Array]) -> npt.NDArray[np.float64]:
    """Rows by arguments as float64, NULL as NaN."""
    # A column after the other, as in a data frame: linear algebra rounds the last bit differently the other way.
    rows = np.empty((len(arrays[0]), len(arrays)), dtype=np.float64, order="F")
    for i, array in enumerate(arrays):
        rows[:, i] = _numbers(array)
    return rows


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    # With a NULL among them integers come as float64 with NaN.
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def frame(arrays: Sequence[pa.Array], arguments: Sequence[Argument]) -> pd.DataFrame:
    """A data frame with the arguments' names, each column as pandas reads it, missing values as the model wants."""
    import pandas as pd

    columns = [_column(array, argument) for array, argument in zip(arrays, arguments, strict=True)]
    held = pd.concat(columns, axis=1) if len(columns) > 1 else columns[0].to_frame()
    held.columns = pd.Index([argument.name for argument in arguments])
    return held


def _column(array: pa.Array, argument: Argument) -> pd.Series[Any]:
    import pandas as pd

    if argument.categories is not None:
        values = array.to_pylist()
        known = list(argument.categories)
        unseen = {value for value in values if value is not None} - set(known)
        return pd.Series(pd.Categorical(values, categories=[*known, *sorted(unseen)]))
    if argument.missing == "none" and array.null_count:
        return pd.Series(array.to_numpy(zero_copy_only=False), dtype=object)
    if pa.types.is_boolean(array.type) and array.null_count:
        return pd.Series(_numbers(array))
    column: pd.Series[Any] = array.to_pandas()
    return column
