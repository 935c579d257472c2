"""Windows follow each other without a gap or an overlap, whatever the calendar does."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlml.errors import BadInterval, BadWindow
from sqlml.tables.windows import Interval, Window, Windows, due

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
UNITS = ["second", "minute", "hour", "day", "week", "month", "year"]
intervals = st.builds(Interval, st.integers(1, 40), st.sampled_from(UNITS))
moments = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31))


@given(intervals, st.sampled_from(ZONES), moments, st.none() | moments)
def test_a_moment_is_in_one_window(every, zone, value, anchor):
    place = ZoneInfo(zone)
    aware = [moment and moment.replace(tzinfo=place).astimezone(UTC) for moment in (value, anchor)]
    for kind, (given_value, begins) in (("timestamp", (value, anchor)), ("timestamptz", aware)):
        windows = Windows(kind, every, place, begins)
        at = windows.place(given_value)
        before, held, after = (windows[at + i] for i in (-1, 0, 1))
        assert held.start <= given_value < held.end
        assert (before.end, held.end) == (held.start, after.start)
        assert windows.of(held.start) == held
        if begins is not None:
            assert windows[0].start == begins


@given(st.integers(1, 10**6), st.integers(-(10**12), 10**12), st.none() | st.integers(-(10**6), 10**6))
def test_an_integer_is_in_one_window(count, value, anchor):
    held = Windows("integer", Interval(count, None), anchor=anchor).of(value)
    assert held.start <= value < held.end
    assert held.end - held.start == count
    assert (held.start - (anchor or 0)) % count == 0


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", [Interval(1, "day"), Interval(1, "hour"), Interval(1, "month"), Interval(1, "week")])
def test_ten_years_of_a_job_skip_and_double_nothing(zone, every):
    """A job that runs each night at half past two, local time, where that time is skipped or comes twice."""
    place = ZoneInfo(zone)
    begin = datetime(2015, 1, 1, tzinfo=place).astimezone(UTC)
    windows, done, order = Windows("timestamptz", every, place, begin), set(), []
    first = begin
    for day in range(0, 3653, 1 if every.unit != "hour" else 3):
        tick = (datetime(2015, 1, 1, 2, 30) + timedelta(days=day)).replace(tzinfo=place)
        # What is published stays so, and need not be gone through again.
        for now in (tick.astimezone(UTC), tick.replace(fold=1).astimezone(UTC)):
            for window in due(windows, first=first, until=now, done=done):
                done.add(window.key)
                order.append(window)
                first = window.end
    assert order[0].start == begin
    assert all(one.end == other.start for one, other in itertools.pairwise(order))
    assert len(done) == len(order)
    last = datetime(2025, 1, 1, tzinfo=place).astimezone(UTC)
    assert abs(order[-1].end - last) < timedelta(days=32)
    if every.unit == "day":
        assert {window.start.astimezone(place).time().hour for window in order} <= {0, 1}
        lengths = {window.end - window.start for window in order}
        assert (len(lengths) > 1) == (zone not in ("UTC", "Asia/Kolkata"))


def test_the_last_day_of_a_month():
    windows = Windows("date", Interval(1, "month"), anchor=date(2024, 1, 31))
    starts = [window.start for window in windows.between(date(2024, 1, 31), date(2024, 6, 1))]
    assert starts == [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30), date(2024, 5, 31)]


def test_days_of_a_zone():
    held = Windows("timestamptz", Interval(1, "day"), ZoneInfo("America/New_York"))
    spring = held.of(datetime(2013, 3, 10, 12, tzinfo=UTC))
    assert str(spring) == "[2013-03-10T05:00:00Z, 2013-03-11T04:00:00Z)"
    assert spring.end - spring.start == timedelta(hours=23)
    week = Windows("timestamp", Interval(1, "week")).of(datetime(2013, 3, 10, 12))
    assert week == Window(datetime(2013, 3, 4), datetime(2013, 3, 11))


def test_what_is_due():
    days = Windows("date", Interval(1, "day"))
    held = [days[days.place(date(2024, 1, 1)) + i] for i in range(10)]
    begin, end = held[0].start, held[-1].end
    assert due(days, first=begin, until=end, done=set()) == held
    assert due(days, first=begin, until=end, done=set(), most=3) == held[:3]
    published = {window.key for window in held}
    assert due(days, first=begin, until=end, done=published) == []
    assert due(days, first=begin, until=end, done=published, lookback=Interval(2, "day")) == held[-2:]
    gap = published - {held[4].key}
    assert due(days, first=begin, until=end, done=gap, lookback=Interval(1, "day"), most=1) == [held[4], held[9]]
    hours = Windows("timestamp", Interval(1, "day"))
    half = due(hours, first=datetime(2024, 1, 1), until=datetime(2024, 1, 2, 12), done=set())
    assert [window.start for window in half] == [datetime(2024, 1, 1)], "a window that is not over waits"


@pytest.mark.parametrize("text", ["", "day", "0 days", "-1 day", "1.5 hours", "1 fortnight", "1 day 2 hours"])
def test_what_is_no_interval(text):
    with pytest.raises(BadInterval, match="is no interval"):
        Interval.parse(text)


def test_a_near_unit_is_named():
    with pytest.raises(BadInterval, match="Did you mean 'month'"):
        Interval.parse("3", "mnth")


@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("integer", Interval(1, "day")),
        ("date", Interval(1, "hour")),
        ("date", Interval(5, None)),
        ("timestamp", Interval(5, None)),
    ],
)
def test_a_length_that_the_column_has_none_of(kind, every):
    with pytest.raises(BadWindow, match=f"'{every}' is no window of a column of the type {kind}"):
        Windows(kind, every)


@pytest.mark.parametrize(
    ("kind", "every", "value"),
    [
        ("integer", Interval(5, None), date(2024, 1, 1)),
        ("date", Interval(1, "day"), datetime(2024, 1, 1)),
        ("timestamp", Interval(1, "day"), datetime(2024, 1, 1, tzinfo=UTC)),
        ("timestamptz", Interval(1, "day"), datetime(2024, 1, 1)),
        ("integer", Interval(5, None), True),
    ],
)
def test_a_bound_of_another_type(kind, every, value):
    with pytest.raises(BadWindow, match="it is a"):
        Windows(kind, every).of(value)
