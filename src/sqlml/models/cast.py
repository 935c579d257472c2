"""From what SQL gave to what the signature says: exact casts on Arrow arrays, or an error that names the value.

Arrow's own casts are not enough: `pyarrow` turns the decimal 0.7 of scale 10 into 0.7000000000000001, a DATE into
an INTEGER and 2 into true, without a word.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.errors import BadCast
from sqlml.models.description import Argument
from sqlml.types import ARROW

_EXACT_DOUBLE_DIGITS = 15
"""Every integer of so many decimal digits, and every power of ten up to 10^22, is a float64."""

_LARGEST_EXACT = 2**53


class _Refused(Exception):
    """Why a whole type or one value can't be cast; the caller knows the names."""


def cast_argument(values: pa.Array, argument: Argument, function: str) -> pa.Array:
    """The values as an array of the argument's type, NULL staying NULL.

    Args:
        values: any Arrow array that the engine gave.
        argument: which input of the model it is for.
        function: the SQL function's name, for messages.

    Raises:
        BadCast: a value that has no equal of the argument's type; it is named.

    Example:
        >>> cast_argument(pa.array(["1.5"]), Argument("x", "DOUBLE"), "f").to_pylist()
        [1.5]
    """
    target = ARROW[argument.type]
    if values.type == target:
        return values
    if values.null_count == len(values):
        return pa.nulls(len(values), target)
    if pa.types.is_dictionary(values.type):
        return cast_argument(values.cast(values.type.value_type), argument, function)
    if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        return cast_argument(values.cast(pa.string()), argument, function)
    try:
        return _TO[argument.type](values)
    except (_Refused, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError) as error:
        value, reason = _first_refused(values, argument.type, error)
        raise BadCast(
            function=function, argument=argument.name, type=argument.type, value=value, reason=reason
        ) from None


def _first_refused(values: pa.Array, type_: str, error: Exception) -> tuple[str, str]:
    for i in range(len(values)):
        one = values[i : i + 1]
        if one.null_count:
            continue
        try:
            _TO[type_](one)
        except (_Refused, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError) as reason:
            return _shown(one[0]), str(reason) if isinstance(reason, _Refused) else "is none"
    return "a value", str(error)


def _shown(value: pa.Scalar) -> str:
    text = str(value.as_py())
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"the text '{text}'" if pa.types.is_string(value.type) else f"{_type_name(value.type)} {text}"


def _type_name(type_: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_boolean, "the BOOLEAN"),
        (pa.types.is_date, "the DATE"),
        (pa.types.is_timestamp, "the TIMESTAMP"),
        (pa.types.is_time, "the TIME"),
        (pa.types.is_decimal, "the DECIMAL"),
        (pa.types.is_floating, "the DOUBLE"),
        (pa.types.is_integer, "the integer"),
        (pa.types.is_nested, "the nested value"),
    ):
        if test(type_):
            return name
    return "the value"


def _refuse_type(values: pa.Array) -> pa.Array:
    raise _Refused(f"is of a type that can't be cast to it ({values.type})")


def _to_double(values: pa.Array) -> pa.Array:
    type_ = values.type
    if pa.types.is_decimal(type_):
        return _decimal_to_double(values)
    if pa.types.is_integer(type_):
        try:
            return values.cast(pa.float64())
        except pa.ArrowInvalid:
            raise _Refused("is too large to be one exactly (beyond 2^53)") from None
    if pa.types.is_floating(type_):
        return values.cast(pa.float64())
    if pa.types.is_boolean(type_):
        return values.cast(pa.float64())
    if pa.types.is_string(type_):
        try:
            return pc.utf8_trim_whitespace(values).cast(pa.float64())
        except pa.ArrowInvalid:
            raise _Refused("is no number") from None
    return _refuse_type(values)


def _decimal_to_double(values: pa.Array) -> pa.Array:
    if not pa.types.is_decimal128(values.type):
        values = values.cast(pa.decimal128(38, values.type.scale))
    digits, scale = values.type.precision, values.type.scale
    if digits <= _EXACT_DOUBLE_DIGITS and values.buffers()[1] is not None:
        # The low words are the whole numbers here; one division of two exact float64 rounds once, correctly.
        words = np.frombuffer(values.buffers()[1], dtype="<i8")[::2]
        numbers = words[values.offset : values.offset + len(values)] / np.float64(10.0**scale)
        return pa.array(numbers, mask=values.is_null().to_numpy(zero_copy_only=False))
    if scale <= 0:
        largest = pc.max(pc.abs(values)).as_py()
        if largest is not None and largest > _LARGEST_EXACT:
            raise _Refused("is too large to be one exactly (beyond 2^53)")
    # Through text, whose parser rounds correctly; Arrow's direct cast multiplies by an inexact power of ten.
    return values.cast(pa.string()).cast(pa.float64())


def _to_float(values: pa.Array) -> pa.Array:
    doubles = _to_double(values)
    floats = doubles.cast(pa.float32())
    overflown = pc.and_(pc.is_inf(floats), pc.invert(pc.is_inf(doubles)))
    if pc.any(overflown).as_py():
        raise _Refused("is beyond its range")
    return floats


def _to_integer(width: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    def cast(values: pa.Array) -> pa.Array:
        type_ = values.type
        if pa.types.is_integer(type_) or pa.types.is_decimal(type_):
            try:
                return values.cast(width)
            except pa.ArrowInvalid:
                whole = pa.types.is_integer(type_) or type_.scale <= 0
                raise _Refused("is beyond its range" if whole else "is not whole, or beyond its range") from None
        if pa.types.is_floating(type_):
            # NaN is a missing value, which an integer column holds as NULL.
            known = pc.if_else(pc.is_nan(values), pa.scalar(None, type_), values)
            try:
                return known.cast(width)
            except pa.ArrowInvalid:
                raise _Refused("is not whole, or beyond its range") from None
        if pa.types.is_boolean(type_):
            return values.cast(width)
        if pa.types.is_string(type_):
            trimmed = pc.utf8_trim_whitespace(values)
            try:
                return trimmed.cast(width)
            except pa.ArrowInvalid:
                return cast(_to_double(trimmed))
        return _refuse_type(values)

    return cast


def _to_boolean(values: pa.Array) -> pa.Array:
    type_ = values.type
    if pa.types.is_string(type_):
        lowered = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        is_true = pc.is_in(lowered, pa.array(["true", "t", "1", "yes", "y"]))
        is_false = pc.is_in(lowered, pa.array(["false", "f", "0", "no", "n"]))
        if not pc.all(pc.or_(pc.or_(is_true, is_false), pc.is_null(values)), min_count=0).as_py():
            raise _Refused("is neither true nor false")
        return pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), is_true)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        doubles = _to_double(values)
        known = pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)
        if not pc.all(pc.or_(pc.equal(known, 0.0), pc.equal(known, 1.0)), min_count=0).as_py():
            raise _Refused("is neither 0 nor 1")
        return pc.equal(known, 1.0)
    return _refuse_type(values)


def _to_text(values: pa.Array) -> pa.Array:
    type_ = values.type
    if pa.types.is_floating(type_):
        # Arrow writes 1.0 as '1'; SQL and Python write '1.0'.
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    if pa.types.is_nested(type_) or pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return _refuse_type(values)
    if pa.types.is_timestamp(type_) or pa.types.is_time(type_):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _to_blob(values: pa.Array) -> pa.Array:
    if pa.types.is_large_binary(values.type) or pa.types.is_binary_view(values.type):
        return values.cast(pa.binary())
    return _refuse_type(values)


def _to_timestamp(values: pa.Array) -> pa.Array:
    type_ = values.type
    target = ARROW["TIMESTAMP"]
    if pa.types.is_timestamp(type_):
        # With a zone the instant is kept, in UTC; without one the wall clock is.
        return (values.cast(pa.timestamp("us", "UTC")) if type_.tz else values).cast(target)
    if pa.types.is_date(type_):
        return values.cast(target)
    if pa.types.is_string(type_):
        trimmed = pc.utf8_trim_whitespace(values)
        try:
            return trimmed.cast(target)
        except pa.ArrowInvalid:
            try:
                return trimmed.cast(pa.timestamp("us", "UTC")).cast(target)
            except pa.ArrowInvalid:
                raise _Refused("is no timestamp") from None
    return _refuse_type(values)


_TO: dict[str, Callable[[pa.Array], pa.Array]] = {
    "BOOLEAN": _to_boolean,
    "INTEGER": _to_integer(pa.int32()),
    "BIGINT": _to_integer(pa.int64()),
    "FLOAT": _to_float,
    "DOUBLE": _to_double,
    "VARCHAR": _to_text,
    "BLOB": _to_blob,
    "TIMESTAMP": _to_timestamp,
}
