"""The OPTIONS of a prediction table's declaration, read without a look at its query."""

from __future__ import annotations

from datetime import timedelta

from sqlml.errors import BadDeclaration, BadInterval
from sqlml.query.tables import CreatePredictionTable
from sqlml.tables.windows import Interval

RETENTION = timedelta(days=30)
_TIMEOUT = timedelta(hours=6)
_RETRIES = 2
_HOURS = {"second": 1 / 3600, "minute": 1 / 60, "hour": 1.0, "day": 24.0, "week": 168.0, "month": 720.0, "year": 8760.0}


def duration(text: str) -> timedelta:
    """How long something is, whatever the calendar: a month has 30 days; raises BadInterval.

    Example:
        >>> duration("90 days")
        datetime.timedelta(days=90)
    """
    interval = Interval.parse(text)
    if interval.unit is None:
        raise BadInterval(value=text, suggestion=" Name its unit, as '90 days'.")
    return timedelta(hours=interval.count * _HOURS[interval.unit])


def retention(statement: CreatePredictionTable) -> timedelta:
    """For how long a table's older versions can be read; raises BadInterval."""
    return _duration(statement, "retention", RETENTION)


def timeout(statement: CreatePredictionTable) -> timedelta:
    """How long one try of a refresh may take; raises BadInterval."""
    return _duration(statement, "timeout", _TIMEOUT)


def retries(statement: CreatePredictionTable) -> int:
    """How often a refresh that failed is tried again; raises BadDeclaration."""
    return _count(statement, "retries", _RETRIES)


def catch_up(statement: CreatePredictionTable) -> int | None:
    """How many missing windows a refresh computes; None: all; -1: the latest alone; raises BadDeclaration."""
    text = statement.options.get("catch_up", "all").casefold()
    if text == "all":
        return None
    return -1 if text == "latest" else _count(statement, "catch_up", 0)


def _duration(statement: CreatePredictionTable, key: str, otherwise: timedelta) -> timedelta:
    return duration(statement.options[key]) if key in statement.options else otherwise


def _count(statement: CreatePredictionTable, key: str, otherwise: int) -> int:
    text = statement.options.get(key)
    if text is None:
        return otherwise
    if not text.strip().isdecimal():
        raise BadDeclaration(table=statement.name, reason=f"{key} is '{text}', and must be a number")
    return int(text)
