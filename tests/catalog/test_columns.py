"""Columns built by hand are what Arrow itself makes of the same values."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from sqlml.catalog.columns import column, table
from sqlml.catalog.views import SCHEMAS

EAST = timezone(timedelta(hours=5, minutes=30))
ARGUMENTS = pa.list_(pa.struct([("name", pa.string()), ("type", pa.string()), ("required", pa.bool_())]))
CASES = [
    (pa.string(), ["", "é", None, "x" * 1000, "\x00"]),
    (pa.int64(), [0, -1, None, 2**63 - 1, -(2**63)]),
    (pa.float64(), [0.0, -0.5, None, math.inf, -math.inf]),
    (pa.bool_(), [True, False, None, True, True, True, True, True, True, None]),
    (
        pa.timestamp("us", tz="UTC"),
        [datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None, datetime(2262, 1, 1, tzinfo=EAST)],
    ),
    (pa.list_(pa.string()), [["a", None], None, [], ["b"]]),
    (ARGUMENTS, [[{"name": "a", "type": "DOUBLE", "required": True}, None], None, [], [{"name": "b"}]]),
]


@pytest.mark.parametrize(("type_", "values"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_column_is_what_arrow_makes(type_, values):
    for part in (values, values * 50, [], [None], [value for value in values if value is not None]):
        made = column(part, type_)
        made.validate(full=True)
        assert made.equals(pa.array(part, type_))
        assert made.null_count == part.count(None)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_view_can_be_built(name):
    made = table([{}, {}], SCHEMAS[name])
    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist([{}, {}], schema=SCHEMAS[name]))


def test_half_a_surrogate_pair_is_replaced():
    assert column(["a\ud800"], pa.string()).to_pylist() == ["a?"]
