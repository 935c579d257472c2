"""Tables by the day of a zone, on the days on which its clocks change: no row is missed, and none is there twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sqlml
from tables.small import ask, commits, declare, frame, root_of, same_scores, whole

HALF = timedelta(minutes=30)
# The zone, the local day on which its clocks change, and how many half hours that day has.
CHANGES = [
    ("Europe/Berlin", "2024-03-31", 46),
    ("Europe/Berlin", "2024-10-27", 50),
    ("America/New_York", "2024-03-10", 46),
    ("America/New_York", "2024-11-03", 50),
    ("Asia/Kolkata", "2024-03-31", 48),
    ("Asia/Kolkata", "2024-10-27", 48),
    ("Australia/Lord_Howe", "2024-04-07", 49),
    ("Australia/Lord_Howe", "2024-10-06", 47),
]


def half_hours(zone: str, day: str) -> pd.DataFrame:
    """A row each half hour of UTC, from the midnight before the day to the second one after it, local time."""
    place = ZoneInfo(zone)
    middle = datetime.fromisoformat(day)
    first, last = ((middle + timedelta(days=i)).replace(tzinfo=place).astimezone(UTC) for i in (-1, 2))
    moments = [first + HALF * i for i in range((last - first) // HALF)]
    random = np.random.default_rng(0)
    count = len(moments)
    return pd.DataFrame(
        {"id": np.arange(count), "z": moments, "a": random.normal(size=count), "b": random.normal(size=count)}
    )


def local_days(rows: pd.DataFrame, zone: str) -> pd.Series:
    return rows.z.dt.tz_convert(zone).dt.strftime("%Y-%m-%d")


def put(db: sqlml.Session, rows: pd.DataFrame) -> None:
    """Make the table `readings` of rows whose moments have a zone."""
    moments = pa.array([moment.to_pydatetime() for moment in rows.z], pa.timestamp("us", tz="UTC"))
    held = pa.table({"z": moments, **{name: rows[name].to_numpy() for name in ("id", "a", "b")}})
    db.sql("CREATE TABLE readings AS FROM held")
    assert held.num_rows == len(rows)


def filled(db: sqlml.Session, zone: str, day: str, column: str, clauses: str) -> pd.DataFrame:
    rows = half_hours(zone, day)
    put(db, rows)
    declare(
        db, f"{clauses} SCHEDULE CRON '30 2 * * *' AT TIME ZONE '{zone}'",
        f"SELECT id, {column} AS ts, a, b, risk_score(r) AS risk FROM readings AS r",
    )  # fmt: skip
    return rows


COLUMNS = {"z": "a moment", "timezone('{zone}', z)": "what the clock on the wall shows"}


@pytest.mark.parametrize("column", COLUMNS, ids=["moments", "wall"])
@pytest.mark.parametrize(("zone", "day", "count"), CHANGES)
def test_a_job_of_each_night(db, world, zone, day, count, column):
    """It runs at half past two, local time, twice where that time comes twice, and at noon by chance."""
    rows = filled(db, zone, day, column.format(zone=zone), "INCREMENTAL ON ts")
    days, done = local_days(rows, zone), []
    for i in range(4):
        local = datetime.fromisoformat(day) + timedelta(days=i - 1, hours=2, minutes=30)
        ticks = [local, local.replace(fold=1), local.replace(hour=12)]
        for now in (tick.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for tick in ticks):
            done += ask(db, now=now).runs
            over = rows[days < f"{local:%Y-%m-%d}"]
            same_scores(world, frame(db), over)
    assert [run.rows_out for run in done] == [48, count, 48]
    assert [run.outcome for run in done] == ["published"] * 3
    key = (
        "strftime(timezone('UTC', ts), '%Y-%m-%dT%H:%M:%SZ')" if column == "z" else "strftime(ts, '%Y-%m-%dT%H:%M:%S')"
    )
    starts = {run.window_key.split("/")[0] for run in done}
    first = db.sql(
        f"SELECT {key}, _run_id FROM predictions.daily QUALIFY row_number() OVER (PARTITION BY _run_id ORDER BY id) = 1"
    )
    assert {start for start, _ in first.fetchall()} == starts
    assert ask(db, now=datetime(2025, 1, 1, tzinfo=UTC)).runs == ()


@pytest.mark.parametrize(("zone", "day", "count"), CHANGES)
def test_windows_of_elapsed_time(db, world, zone, day, count):
    """Every three hours, whatever the clocks do; the last one waits, as it isn't over on the third midnight."""
    rows = filled(db, zone, day, "z", "INCREMENTAL ON ts EVERY INTERVAL '3' HOUR LOOKBACK INTERVAL '3' HOUR")
    end = rows.z.max().to_pydatetime() + HALF
    now = rows.z.min().to_pydatetime()
    while now < end:
        now = min(now + timedelta(hours=11), end)
        ask(db, now=now)
        held = frame(db)
        assert held.id.is_unique
        assert (pd.DatetimeIndex(held.ts) < now).all()
        assert len(held) >= (rows.z < now - timedelta(hours=3)).sum()
    ask(db, now=end + timedelta(hours=3))
    same_scores(world, frame(db), rows)
    made = [(one["app_id"], one["number"]) for one in commits(root_of(db))]
    assert len(set(made)) == len(made)
    assert len(rows) == 96 + count


def test_years_by_the_month(db, world):
    """Ten years of one row a day: the whole of each month, whatever its zone makes of it."""
    place = ZoneInfo("America/New_York")
    first = datetime(2014, 1, 1, 0, 30, tzinfo=place).astimezone(UTC)
    moments = [first + timedelta(days=i) for i in range(3652)]
    rows = pd.DataFrame({"id": range(3652), "z": moments, "a": 0.5, "b": np.linspace(-1, 1, 3652)})
    put(db, rows)
    declare(
        db, "INCREMENTAL ON ts EVERY INTERVAL '1' MONTH SCHEDULE CRON '0 0 1 * *' AT TIME ZONE 'America/New_York'",
        "SELECT id, z AS ts, a, b, risk_score(r) AS risk FROM readings AS r",
    )  # fmt: skip
    assert len(ask(db).runs) == 120
    same_scores(world, frame(db), rows)
    month = "date_trunc('month', timezone('America/New_York', ts))::TIMESTAMP"
    began = f"timezone('UTC', timezone('America/New_York', {month}))"
    whole(db, column=f"strftime({began}, '%Y-%m-%dT%H:%M:%SZ')")
