"""scikit-learn's encoders of categories and its imputers: text becomes numbers, what is missing becomes a value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sqlml.models.readers.reading import Columns, NoReader, Reading, Transforming
from sqlml.models.readers.sklearn_common import apply, arithmetic, guarded, numbers, step
from sqlml.programs.program import Encode, FillText, OneHot, Ref, Replace


def one_hot(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """OneHotEncoder: its categories' places, the infrequent ones together, one column each but for dropped ones."""
    found: list[Ref] = []
    for i, column in enumerate(columns):
        mapping = _mapping(estimator, i)
        places = np.arange(len(estimator.categories_[i])) if mapping is None else mapping
        unknown: float | None = None if estimator.handle_unknown == "error" else -1.0
        if estimator.handle_unknown in ("infrequent_if_exist", "warn") and mapping is not None:
            unknown = float(mapping.max())
        encoded = encode(reading, estimator, column, estimator.categories_[i], places, unknown)
        drop = estimator._drop_idx_after_grouping
        dropped = None if drop is None else drop[i]
        kept = [float(place) for place in range(int(places.max()) + 1) if place != dropped]
        found += reading.graph.add(OneHot(inputs=encoded, codes=np.array(kept))) if kept else ()
    return tuple(found)


def ordinal(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """OrdinalEncoder: its categories' places, NaN as it was told."""
    found: list[Ref] = []
    for i, column in enumerate(columns):
        mapping = _mapping(estimator, i)
        places = np.arange(len(estimator.categories_[i]), dtype=np.float64)
        if mapping is not None:
            # A missing value is no part of the groups.
            places[: len(mapping)] = mapping
        if i in estimator._missing_indices:
            places[estimator._missing_indices[i]] = estimator.encoded_missing_value
        unknown = None if estimator.handle_unknown == "error" else float(estimator.unknown_value)
        found += encode(reading, estimator, column, estimator.categories_[i], places, unknown)
    return tuple(found)


def _mapping(estimator: Any, place: int) -> Any:
    """From a category's place to its group's, where some are too rare to stand alone."""
    return estimator._default_to_infrequent_mappings[place] if estimator._infrequent_enabled else None


def target(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """TargetEncoder: the mean of the target in each category, a column for each class of three or more."""
    means = np.ravel(estimator.target_mean_)
    classes = len(means) if estimator.target_type_ == "multiclass" else 1
    found: list[Ref] = []
    for i, encoding in enumerate(estimator.encodings_):
        place = i // classes
        unknown = float(means[i % classes])
        found += encode(reading, estimator, columns[place], estimator.categories_[place], encoding, unknown)
    return tuple(found)


def encode(
    reading: Reading, estimator: Any, column: Ref, categories: Any, codes: Any, unknown: float | None
) -> Columns:
    """A category becomes its number; what is none of them becomes `unknown`, or is refused where that is None."""
    held = np.asarray(categories, object).tolist()
    text = reading.graph.is_text(column)
    empty = _missing_kind(reading, column) if text else "nan"
    missing = unknown
    keys: list[Any] = []
    given: list[float] = []
    for category, code in zip(held, np.asarray(codes, np.float64).tolist(), strict=True):
        if category is None or category != category:
            missing = code if empty == ("none" if category is None else "nan") else missing
        elif isinstance(category, str) != text:
            raise NoReader(step(estimator), "its categories are of another type than the argument")
        else:
            keys.append(category if text else float(category))
            given.append(code)
    if empty is None:
        missing = None
    (guarded_column,) = (column,) if text else guarded(reading.graph, (column,), "finite_or_missing")
    return reading.graph.add(
        Encode(
            inputs=(guarded_column,),
            keys=tuple(keys) if text else np.array(keys, np.float64),
            codes=np.array(given, np.float64),
            missing=missing,
            unknown=unknown,
        )
    )


def _missing_kind(reading: Reading, column: Ref) -> str | None:
    """How a missing text reaches the model: as NaN or None, or never."""
    return reading.arguments[column].missing if column in reading.arguments else None


def simple_imputer(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """SimpleImputer: its statistic where a value is missing, then where each was."""
    columns = _validated(reading, estimator, columns)
    filled: dict[Ref, Any] = {}
    for column, statistic in zip(columns, estimator.statistics_.tolist(), strict=True):
        if not _is_missing(statistic) or estimator.keep_empty_features:
            filled[column] = statistic
    kept = _filled_numbers(reading, estimator, filled) | _filled_texts(reading, estimator, filled)
    found = tuple(kept[column] for column in columns if column in kept)
    if not estimator.add_indicator:
        return found
    return found + _missing_of(reading, estimator, tuple(columns[i] for i in estimator.indicator_.features_))


def _validated(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """The columns, those of numbers guarded, where what is missing to the estimator is known."""
    texts = [column for column in columns if reading.graph.is_text(column)]
    others = tuple(column for column in columns if not reading.graph.is_text(column))
    value = estimator.missing_values
    if isinstance(value, str) or (value is None and others):
        raise NoReader(step(estimator), f"missing_values={value!r} is not known")
    for column in texts:
        kind = _missing_kind(reading, column)
        if kind is not None and kind != ("none" if value is None else "nan") and not _is_pandas_na(value):
            raise NoReader(step(estimator), f"missing_values={value!r} leaves a missing text as it is")
    rule = "finite_or_missing" if _is_missing(value) else "finite"
    kept = dict(zip(others, numbers(reading, estimator, others, rule), strict=True))
    return tuple(kept.get(column, column) for column in columns)


def _is_pandas_na(value: Any) -> bool:
    return type(value).__name__ == "NAType"


def _is_missing(value: Any) -> bool:
    return value is None or _is_pandas_na(value) or (isinstance(value, float) and math.isnan(value))


def _filled_numbers(reading: Reading, estimator: Any, filled: dict[Ref, Any]) -> dict[Ref, Ref]:
    held = {column: value for column, value in filled.items() if not reading.graph.is_text(column)}
    if any(isinstance(value, str) for value in held.values()):
        raise NoReader(step(estimator), "it fills a column of numbers with text")
    old = math.nan if _is_missing(estimator.missing_values) else float(estimator.missing_values)
    new = np.array([math.nan if value is None else float(value) for value in held.values()])
    if not held:
        return {}
    return dict(zip(held, reading.graph.add(Replace(inputs=tuple(held), old=old, new=new)), strict=True))


def _filled_texts(reading: Reading, estimator: Any, filled: dict[Ref, Any]) -> dict[Ref, Ref]:
    held = {column: value for column, value in filled.items() if reading.graph.is_text(column)}
    open_ = {column: value for column, value in held.items() if _missing_kind(reading, column) is not None}
    if not all(isinstance(value, str) for value in open_.values()):
        raise NoReader(step(estimator), "it fills a column of text with what is none")
    whole = {column: column for column in held}
    if not open_:
        return whole
    node = FillText(inputs=tuple(open_), texts=tuple(open_.values()))
    return whole | dict(zip(open_, reading.graph.add(node), strict=True))


def missing_indicator(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """MissingIndicator: 1 where a value is missing, of the columns where some was when it was fitted."""
    columns = _validated(reading, estimator, columns)
    if estimator.features == "missing-only" and estimator.error_on_new:
        seen = set(estimator.features_.tolist())
        _refuse_missing(reading, estimator, tuple(column for i, column in enumerate(columns) if i not in seen))
    return _missing_of(reading, estimator, tuple(columns[i] for i in estimator.features_))


def _refuse_missing(reading: Reading, estimator: Any, columns: Columns) -> None:
    """What was never missing when it was fitted is refused: the entry ties such nodes to the answer."""
    numeric = tuple(column for column in columns if not reading.graph.is_text(column))
    if numeric and not _is_missing(estimator.missing_values):
        raise NoReader(step(estimator), "error_on_new=True refuses a value other than NaN")
    guarded(reading.graph, numeric, "finite")
    for column in columns:
        if reading.graph.is_text(column):
            reading.graph.add(Encode(inputs=(column,), keys=(), codes=np.empty(0), missing=None, unknown=0.0))


def _missing_of(reading: Reading, estimator: Any, columns: Columns) -> Columns:
    """1 where a column is missing, else 0."""
    graph = reading.graph
    numeric = tuple(column for column in columns if not graph.is_text(column))
    if _is_missing(estimator.missing_values):
        marks = apply(graph, "is_missing", numeric)
    else:
        marks = arithmetic(graph, "equal", numeric, float(estimator.missing_values))
    marked = dict(zip(numeric, marks, strict=True))
    for column in columns:
        if graph.is_text(column):
            mark = Encode(inputs=(column,), keys=(), codes=np.empty(0), missing=1.0, unknown=0.0)
            (marked[column],) = graph.add(mark)
    return tuple(marked[column] for column in columns)


TRANSFORMERS: dict[str, Transforming] = {
    "sklearn.impute._base.MissingIndicator": missing_indicator,
    "sklearn.impute._base.SimpleImputer": simple_imputer,
    "sklearn.preprocessing._encoders.OneHotEncoder": one_hot,
    "sklearn.preprocessing._encoders.OrdinalEncoder": ordinal,
    "sklearn.preprocessing._target_encoder.TargetEncoder": target,
}
