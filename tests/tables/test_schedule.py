"""A schedule skips no day and doubles none, whatever the clocks of its zone do."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sqlml.errors import BadCron, BadZone, TableCycle
from sqlml.tables.schedule import Fields, Schedule, backoff, due, missed, order

# In Havana and Beirut the clocks change at midnight, which comes twice or never.
ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"),
    *("America/Havana", "Asia/Beirut"),
]
HOUR = timedelta(hours=1)
BEGIN, END = date(2020, 1, 1), date(2030, 1, 1)

crons = st.sampled_from(
    [
        *("0 * * * *", "*/15 * * * *", "30 1-3 * * *", "*/20 0,2 * * *", "30 2 * * 0", "59 23 L * *", "0 0 29 2 *"),
        *("0 2 * * 5#3", "15 1 * 3,10 L7", "0 */2 * * *", "30 2 1,15 * mon", "* * * * *", "0 3 15W * *"),
    ]
)
moments = st.datetimes(datetime(2015, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC))


def ten_years(schedule: Schedule) -> list[datetime]:
    """All slots of ten years that begin and end at midnight of the zone."""
    zone = ZoneInfo(schedule.zone)
    first, last = (datetime(day.year, 1, 1, tzinfo=zone).astimezone(UTC) for day in (BEGIN, END))
    return list(schedule.slots(first - timedelta(seconds=1), last - timedelta(seconds=1)))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["0 0", "30 0", "0 1", "30 1", "45 1", "0 2", "15 2", "30 2", "0 3", "30 3", "59 23"])
def test_a_daily_schedule_is_due_once_each_day_of_ten_years(zone, at):
    schedule = Schedule.parse(f"{at} * * *", zone)
    slots = ten_years(schedule)
    days = Counter(slot.astimezone(ZoneInfo(zone)).date() for slot in slots)
    assert days == Counter(BEGIN + timedelta(days=number) for number in range((END - BEGIN).days))
    assert all(one < other for one, other in itertools.pairwise(slots))
    assert {slot.tzinfo for slot in slots} == {UTC}
    minute, hour = map(int, at.split())
    moved = [slot for slot in slots if (slot.astimezone(ZoneInfo(zone)).hour, slot.minute % 30) != (hour, minute % 30)]
    assert len(moved) <= 10, "at most once a year is it due at another time: where a jump skips its own"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("minute", [0, 30, 59])
def test_an_hourly_schedule_is_due_each_elapsed_hour_of_ten_years(zone, minute):
    slots = ten_years(Schedule.parse(f"{minute} * * * *", zone))
    between = Counter(other - one for one, other in itertools.pairwise(slots))
    # A jump of half an hour moves the minutes of the clock: two of them a year, and nothing to make up for.
    halves = {HOUR / 2, HOUR * 3 / 2} if zone == "Australia/Lord_Howe" else set()
    assert between.keys() - halves == {HOUR}
    assert sum(between[length] for length in halves) == (20 if halves else 0)
    assert abs(len(slots) - (END - BEGIN).days * 24) <= (10 if halves else 0)


@pytest.mark.parametrize(
    ("cron", "zone", "day", "found"),
    [
        ("30 2 * * *", "Europe/Berlin", (2024, 3, 31), ["03:00+0200"]),
        ("30 2 * * *", "Europe/Berlin", (2024, 10, 27), ["02:30+0200"]),
        ("0,30 1-3 * * *", "Europe/Berlin", (2024, 3, 31), ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            (2024, 10, 27),
            ["00:30+0200", "01:30+0200", "02:30+0200", "02:30+0100", "03:30+0100"],
        ),
        ("30 * * * *", "Europe/Berlin", (2024, 3, 31), ["00:30+0100", "01:30+0100", "03:30+0200", "04:30+0200"]),
        ("0 0 * * *", "America/Havana", (2024, 3, 10), ["01:00-0400"]),
        ("10 2 * * *", "Australia/Lord_Howe", (2024, 10, 6), ["02:30+1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", (2024, 4, 7), ["01:45+1100"]),
        ("0 2 * * *", "America/New_York", (2024, 3, 10), ["03:00-0400"]),
        ("0 1 * * *", "America/New_York", (2024, 11, 3), ["01:00-0400"]),
    ],
)
def test_the_days_of_a_change(cron, zone, day, found):
    begin = datetime(*day, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(seconds=1)
    slots = Schedule.parse(cron, zone).slots(begin, begin + timedelta(hours=22))
    assert [slot.astimezone(ZoneInfo(zone)).strftime("%H:%M%z") for slot in slots][: len(found)] == found


@given(crons, st.sampled_from(ZONES), moments, st.integers(0, 4 * 86400))
def test_what_comes_before_and_after_is_a_slot(cron, zone, moment, seconds):
    schedule = Schedule.parse(cron, zone)
    before, after = schedule.previous(moment), schedule.next(moment)
    assert before <= moment < after
    assert list(schedule.slots(before, after)) == [after]
    assert schedule.previous(after) == after
    assert schedule.previous(after - timedelta(microseconds=1)) == before
    assert schedule.next(before - timedelta(microseconds=1)) == before
    later = moment + timedelta(seconds=seconds)
    middle = moment + (later - moment) / 3
    whole = list(schedule.slots(moment, later))
    assert whole == [*schedule.slots(moment, middle), *schedule.slots(middle, later)]
    assert whole == sorted(set(whole))


def test_an_hour_that_comes_twice_on_two_days():
    """In Newfoundland the clocks went back from one minute past midnight, into the day before."""
    hourly = Schedule.parse("30 * * * *", "America/St_Johns")
    at = datetime(2010, 11, 7, 2, 30, 30, tzinfo=UTC)
    assert at.astimezone(ZoneInfo(hourly.zone)).date() == date(2010, 11, 7)
    found = [hourly.previous(at), hourly.next(at)]
    shown = [slot.astimezone(ZoneInfo(hourly.zone)).strftime("%d %H:%M%z") for slot in found]
    assert shown == ["06 23:30-0230", "06 23:30-0330"]
    assert found[1] - found[0] == HOUR


@given(st.sampled_from(ZONES), st.integers(0, 59), st.integers(0, 23), st.data())
def test_each_change_of_ten_years_from_any_second_near_it(zone, minute, hour, data):
    """A search that begins in the midst of a change finds what one from afar does."""
    place = ZoneInfo(zone)
    days = [datetime(BEGIN.year, 1, 1, tzinfo=place) + timedelta(days=number) for number in range(3653)]
    changes = [one for one, other in itertools.pairwise(days) if one.utcoffset() != other.utcoffset()]
    assume(changes)
    begin = data.draw(st.sampled_from(changes)).astimezone(UTC)
    at = begin + timedelta(seconds=data.draw(st.integers(0, 26 * 3600)))
    for cron in (f"{minute} {hour} * * *", f"{minute} * * * *", f"{minute}-59/7 0-3 * * *"):
        schedule = Schedule.parse(cron, zone)
        afar = list(schedule.slots(begin - timedelta(days=2), begin + timedelta(days=2)))
        assert list(schedule.slots(at, begin + timedelta(days=2))) == [slot for slot in afar if slot > at]
        assert schedule.previous(at) == [slot for slot in afar if slot <= at][-1]


@given(crons, st.sampled_from(ZONES), moments, st.integers(0, 10**6), st.integers(0, 10**6))
def test_missed_slots_collapse_into_the_newest(cron, zone, created, waited, late):
    schedule = Schedule.parse(cron, zone)
    last, now = created + timedelta(seconds=waited), created + timedelta(seconds=waited + late % 10**5)
    for done in (None, last):
        open_ones = list(schedule.slots(done or created, now))
        assert due(schedule, done, created, now) == (open_ones[-1] if open_ones else None)
        assert missed(schedule, done, created, now) == max(0, len(open_ones) - 1)


def test_what_is_due_is_due_once():
    nightly = Schedule.parse("0 3 * * *", "America/New_York")
    created = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert due(nightly, None, created, created + timedelta(hours=19)) is None
    slot = datetime(2024, 1, 2, 8, tzinfo=UTC)
    assert due(nightly, None, created, slot) == slot
    assert due(nightly, slot, created, slot + timedelta(hours=23)) is None
    week = slot + timedelta(days=7)
    assert due(nightly, slot, created, week + timedelta(hours=1)) == week
    assert missed(nightly, slot, created, week) == 6


def test_a_year_of_minutes_is_counted_while_one_waits():
    every = Schedule.parse("* * * * *", "Europe/Berlin")
    begin = datetime(2023, 1, 1, tzinfo=UTC)
    started = time.process_time()
    assert missed(every, None, begin, begin + timedelta(days=30)) == 30 * 24 * 60 - 1
    assert time.process_time() - started < 30


def test_fields():
    assert Schedule.parse("*/30 0-23 * * *").fields == Fields((0, 30), tuple(range(24)), None, None, None, {}, ())
    named = Schedule.parse("0 22-1 1,L jan,MAR mon-wed").fields
    assert named == Fields((0,), (0, 1, 22, 23), (1, -1), (1, 3), (1, 2, 3), {}, ())
    nth = Schedule.parse("0 0 * * 5#1,7#3,L7").fields
    assert (nth.weekdays, nth.nth) == ((), {5: (1,), 0: (3, -1)})
    assert Schedule.parse("0 0 15W * *").fields.nearest == (15,)
    assert Schedule.parse("5 4 * * 0-6").fields.any_day
    assert Schedule.parse("0 0-23 * * *").every_hour
    assert not Schedule.parse("0 1-23 * * *").every_hour


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("61 * * * *", r"'61' is no minute \(0-59\)"),
        ("0 24 * * *", r"'24' is no hour \(0-23\)"),
        ("0 0 0 * *", "'0' is no day of a month"),
        ("0 0 * jam *", r"'jam' is no month \(1-12 or jan-dec\)"),
        ("0 0 * * 8", "'8' is no day of a week"),
        ("0 0 31 2 *", r"it never comes"),
        ("* * * *", r"it has 4 fields and needs 5 \(minute, hour"),
        ("0 0 0 * * *", "it has 6 fields"),
        ("@daily", "it has 1 fields"),
        ("", "it has 0 fields"),
        ("R * * * *", "'R' is no minute"),
        ("H(0-3) * * * *", "is no minute"),
        ("0 0 * r *", "'r' is no month"),
        ("0 0 * * 1;2", "is no day of a week"),
        ("0 0 * * 5#3,1", "is no day of a week"),
    ],
)
def test_what_is_no_cron(cron, reason):
    with pytest.raises(BadCron, match=f"'.*' is no cron expression: .*{reason}"):
        Schedule.parse(cron)


@pytest.mark.parametrize("zone", ["", "America", "/etc/passwd", "../UTC", "CET+5", "Europe/Berlin\n", "Mars/Olympus"])
def test_what_is_no_zone(zone):
    with pytest.raises(BadZone, match="There is no time zone"):
        Schedule.parse("0 3 * * *", zone)


def test_a_near_zone_is_named():
    with pytest.raises(BadZone, match="Did you mean 'Europe/Berlin'"):
        Schedule.parse("0 3 * * *", "Europe/Berlim")


def test_the_text_of_a_schedule():
    schedule = Schedule.parse(" 0  3 * * MON ", "America/New_York")
    assert (schedule.cron, str(schedule)) == ("0 3 * * MON", "'0 3 * * MON' in America/New_York")
    assert Schedule.parse("0 3 * * *") == Schedule("0 3 * * *", "UTC")


def test_tables_come_after_what_they_read():
    reads = {"d": ["b", "c", "flights"], "c": ["a"], "b": ["a", "a"], "a": ["flights"], "e": []}
    assert order(reads) == [["a", "e"], ["b", "c"], ["d"]]
    assert order({}) == []


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 15)), max_size=12))
def test_every_table_comes_once_or_a_cycle_is_named(drawn):
    reads = {str(name): [str(other) for other in others] for name, others in drawn.items()}
    try:
        levels = order(reads)
    except TableCycle as error:
        ring = error.values["cycle"].split(" -> ")
        assert ring[0] == ring[-1] == min(ring)
        assert all(other in reads[one] for one, other in itertools.pairwise(ring))
        return
    place = {name: number for number, level in enumerate(levels) for name in level}
    assert sorted(name for level in levels for name in level) == sorted(reads)
    assert all(place[read] < place[name] for name in reads for read in reads[name] if read in reads)


@pytest.mark.parametrize(
    ("reads", "cycle"),
    [
        ({"a": ["b"], "b": ["a"]}, "a -> b -> a"),
        ({"c": ["a"], "b": ["c"], "a": ["b"]}, "a -> b -> c -> a"),
        ({"own": ["own"]}, "own -> own"),
    ],
)
def test_a_cycle_is_named(reads, cycle):
    with pytest.raises(TableCycle, match=f": {cycle}\\."):
        order(reads)


def test_the_wait_doubles_up_to_a_quarter_of_an_hour():
    assert [backoff(attempt) for attempt in range(1, 8)] == [30, 60, 120, 240, 480, 900, 900]
    assert backoff(10**6) == 900
    assert backoff(3, base=1, most=10) == 4
    drawn = [backoff(2, random=random.Random(seed)) for seed in range(100)]
    assert 30 <= min(drawn) < max(drawn) <= 60
    assert backoff(2, random=random.Random(1)) == backoff(2, random=random.Random(1))
