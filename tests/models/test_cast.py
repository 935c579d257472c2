"""Every source type against every target: the exact value, or BadCast that names the value and the argument."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sqlml.errors import BadCast
from sqlml.models.cast import cast_argument
from sqlml.models.description import Argument
from sqlml.types import ARROW

NAN = float("nan")
INFINITY = float("inf")
NOON = datetime.datetime(2013, 1, 2, 12, 30)
DAY = datetime.date(2013, 1, 2)
UTC = datetime.UTC
D38 = pa.decimal128(38, 0)
REFUSED = "refused"

# A value of each source type, and what it is as each target, in the order of TARGETS.
TARGETS = ["BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "TIMESTAMP"]
R = REFUSED
MATRIX: list[tuple[pa.DataType, Any, list[Any]]] = [
    (pa.bool_(), True, [True, 1, 1, 1.0, 1.0, "true", R, R]),
    (pa.int8(), 1, [True, 1, 1, 1.0, 1.0, "1", R, R]),
    (pa.int16(), -2, [R, -2, -2, -2.0, -2.0, "-2", R, R]),
    (pa.int32(), 7, [R, 7, 7, 7.0, 7.0, "7", R, R]),
    (pa.int64(), 2**31, [R, R, 2**31, 2.0**31, 2.0**31, "2147483648", R, R]),
    (pa.int64(), 2**53, [R, R, 2**53, 2.0**53, 2.0**53, "9007199254740992", R, R]),
    (pa.int64(), 2**53 + 1, [R, R, 2**53 + 1, R, R, "9007199254740993", R, R]),
    (pa.uint8(), 0, [False, 0, 0, 0.0, 0.0, "0", R, R]),
    (pa.uint32(), 2**32 - 1, [R, R, 2**32 - 1, 2.0**32, 2.0**32 - 1, "4294967295", R, R]),
    (pa.uint64(), 2**64 - 1, [R, R, R, R, R, "18446744073709551615", R, R]),
    (pa.float32(), 1.5, [R, R, R, 1.5, 1.5, "1.5", R, R]),
    (pa.float64(), 1.0, [True, 1, 1, 1.0, 1.0, "1.0", R, R]),
    (pa.float64(), -0.5, [R, R, R, -0.5, -0.5, "-0.5", R, R]),
    (pa.float64(), 1e300, [R, R, R, R, 1e300, "1e+300", R, R]),
    (pa.float64(), INFINITY, [R, R, R, INFINITY, INFINITY, "inf", R, R]),
    (pa.float64(), NAN, [None, None, None, NAN, NAN, "nan", R, R]),
    (pa.decimal128(4, 1), Decimal("3.0"), [R, 3, 3, 3.0, 3.0, "3.0", R, R]),
    (pa.decimal128(4, 1), Decimal("1.0"), [True, 1, 1, 1.0, 1.0, "1.0", R, R]),
    (pa.decimal128(4, 1), Decimal("3.5"), [R, R, R, 3.5, 3.5, "3.5", R, R]),
    (D38, Decimal(2**53), [R, R, 2**53, 2.0**53, 2.0**53, "9007199254740992", R, R]),
    (D38, Decimal(2**53 + 1), [R, R, 2**53 + 1, R, R, "9007199254740993", R, R]),
    (D38, Decimal(10**30), [R, R, R, R, R, "1" + "0" * 30, R, R]),
    (pa.string(), "1", [True, 1, 1, 1.0, 1.0, "1", R, R]),
    (pa.string(), " 2.50 ", [R, R, R, 2.5, 2.5, " 2.50 ", R, R]),
    (pa.string(), "3.0", [R, 3, 3, 3.0, 3.0, "3.0", R, R]),
    (pa.string(), "Yes", [True, R, R, R, R, "Yes", R, R]),
    (pa.string(), "nothing", [R, R, R, R, R, "nothing", R, R]),
    (pa.string(), "", [R, R, R, R, R, "", R, R]),
    (pa.string(), "2013-01-02 12:30:00", [R, R, R, R, R, "2013-01-02 12:30:00", R, NOON]),
    (pa.string(), "2013-01-02", [R, R, R, R, R, "2013-01-02", R, datetime.datetime(2013, 1, 2)]),
    (pa.string(), "2013-01-02T14:30:00+02:00", [R, R, R, R, R, "2013-01-02T14:30:00+02:00", R, NOON]),
    (pa.large_string(), "1", [True, 1, 1, 1.0, 1.0, "1", R, R]),
    (pa.string_view(), "1", [True, 1, 1, 1.0, 1.0, "1", R, R]),
    (pa.dictionary(pa.int8(), pa.string()), "1", [True, 1, 1, 1.0, 1.0, "1", R, R]),
    (pa.binary(), b"\x01", [R, R, R, R, R, R, b"\x01", R]),
    (pa.large_binary(), b"\x01", [R, R, R, R, R, R, b"\x01", R]),
    (pa.timestamp("us"), NOON, [R, R, R, R, R, "2013-01-02 12:30:00", R, NOON]),
    (pa.timestamp("s"), NOON, [R, R, R, R, R, "2013-01-02 12:30:00", R, NOON]),
    (pa.timestamp("us", "UTC"), NOON.replace(tzinfo=UTC), [R, R, R, R, R, "2013-01-02 12:30:00+00:00", R, NOON]),
    (pa.date32(), DAY, [R, R, R, R, R, "2013-01-02", R, datetime.datetime(2013, 1, 2)]),
    (pa.time64("us"), datetime.time(12, 30), [R, R, R, R, R, "12:30:00", R, R]),
    (pa.list_(pa.int64()), [1], [R, R, R, R, R, R, R, R]),
    (pa.struct([("x", pa.int64())]), {"x": 1}, [R, R, R, R, R, R, R, R]),
]
CASES = [
    pytest.param(source, value, target, wanted, id=f"{source} {value} to {target}")
    for source, value, each in MATRIX
    for target, wanted in zip(TARGETS, each, strict=True)
]


@pytest.mark.parametrize(("source", "value", "target", "wanted"), CASES)
def test_every_type_to_every_type(source, value, target, wanted):
    values = pa.array([None, value], pa.string()).cast(source) if pa.types.is_dictionary(source) else None
    values = pa.array([None, value], source) if values is None else values
    argument = Argument("weight", target)
    if isinstance(wanted, str) and wanted == REFUSED:
        with pytest.raises(BadCast) as caught:
            cast_argument(values, argument, "species")
        message = str(caught.value)
        assert message.startswith(f"'species': the argument 'weight' takes {target}, and ")
        assert pa.types.is_nested(source) or str(value) in message
        return
    got = cast_argument(values, argument, "species")
    assert got.type == ARROW[target]
    assert got[0].as_py() is None
    found = got[1].as_py()
    assert found == wanted or (found != found and wanted != wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_all_null_and_none_at_all(target):
    argument = Argument("x", target)
    assert cast_argument(pa.nulls(3), argument, "f").to_pylist() == [None] * 3
    for source, value, each in MATRIX:
        if not pa.types.is_dictionary(source) and each[TARGETS.index(target)] != REFUSED:
            assert len(cast_argument(pa.array([], source), argument, "f")) == 0
            assert cast_argument(pa.array([None, None], source), argument, "f").to_pylist() == [None, None]
            del value


@pytest.mark.parametrize(("precision", "scale"), [(4, 1), (15, 10), (18, 10), (18, 3), (38, 10), (38, 37), (15, 0)])
def test_decimals_are_the_nearest_double(precision, scale):
    pick = random.Random(precision * 100 + scale)
    whole = [pick.randrange(-(10**precision) + 1, 10**precision) for _ in range(500)]
    # The exact limit of whole numbers holds where there is no fraction.
    decimals = [Decimal(one).scaleb(-scale) for one in whole]
    values = pa.array([None, *decimals], pa.decimal128(precision, scale))[1:]
    got = cast_argument(values, Argument("x", "DOUBLE"), "f").to_pylist()
    assert got == [float(one) for one in decimals]


@pytest.mark.parametrize("type_", [pa.decimal32(5, 2), pa.decimal64(12, 2), pa.decimal256(60, 2)])
def test_narrow_and_wide_decimals(type_):
    values = pa.array([Decimal("0.07"), None, Decimal("-12.34")], type_)
    assert cast_argument(values, Argument("x", "DOUBLE"), "f").to_pylist() == [0.07, None, -12.34]


def test_decimals_in_a_slice_with_nulls():
    values = pa.array([Decimal("9.9"), Decimal("0.7"), None, Decimal("0.1")], pa.decimal128(10, 1)).slice(1)
    assert cast_argument(values, Argument("x", "DOUBLE"), "f").to_pylist() == [0.7, None, 0.1]


def test_the_same_type_is_the_same_array():
    values = pa.array([1.0])
    assert cast_argument(values, Argument("x", "DOUBLE"), "f") is values


def test_the_first_value_that_does_not_fit_is_the_one_named():
    with pytest.raises(BadCast) as caught:
        cast_argument(pa.array(["1", "2", "n/a", "x"]), Argument("age", "BIGINT"), "f")
    assert str(caught.value) == "'f': the argument 'age' takes BIGINT, and the text 'n/a' is no number."


def test_a_long_text_is_cut():
    with pytest.raises(BadCast) as caught:
        cast_argument(pa.array(["z" * 5000]), Argument("age", "DOUBLE"), "f")
    assert len(str(caught.value)) < 200


def test_floats_round_and_do_not_overflow():
    values = pa.array([0.1, 16777217.0])
    got = cast_argument(values, Argument("x", "FLOAT"), "f").to_pylist()
    assert got == [float(np.float32(0.1)), 16777216.0]
    with pytest.raises(BadCast, match="beyond its range"):
        cast_argument(pa.array([1e39]), Argument("x", "FLOAT"), "f")
