"""A fact table and two dimensions, as data frames of pandas and as tables of the engines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

CARRIERS = ["AA", "UA", "DL", "B6", "o'h"]
MAKERS = ["Airbus", "Boeing", "Cessna"]
ZONES = ["north", "south", "süd"]

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "facts": {
        "id": "BIGINT",
        "tail": "VARCHAR",
        "place": "VARCHAR",
        "carrier": "VARCHAR",
        "dist": "DOUBLE",
        "delay": "FLOAT",
        "seats": "INTEGER",
        "fuel": "BIGINT",
        "price": "DECIMAL(10,2)",
        "night": "BOOLEAN",
        "note": "VARCHAR",
    },
    "planes": {
        "tail": "VARCHAR",
        "maker": "VARCHAR",
        "age": "INTEGER",
        "weight": "DOUBLE",
        'say "hi"': "DOUBLE",
        "note": "VARCHAR",
    },
    "places": {"place": "VARCHAR", "zone": "VARCHAR", "altitude": "DOUBLE", "Wet Days": "INTEGER"},
}
"""The tables' columns, with their types in both engines. `note` is in two of them, and no model reads it."""

KEYS = {"planes": "tail", "places": "place"}
_ARROW = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DECIMAL(10,2)": pa.decimal128(10, 2),
    "BOOLEAN": pa.bool_(),
}

Rows = dict[str, pd.DataFrame]


def made(count: int = 2000, planes: int = 60, places: int = 25, seed: int = 0, holes: float = 0.0) -> Rows:
    """The three tables.

    Args:
        count: rows of the fact table.
        planes: rows of one dimension.
        places: rows of the other.
        seed: of what is drawn.
        holes: the share of NULLs, of NaNs, and of categories that no model has seen; keys have none.
    """
    random = np.random.default_rng(seed)
    tails = [f"N{i:03}" for i in range(planes)]
    codes = [f"P{i:02}" for i in range(places)]
    # The last keys of the dimensions join no fact.
    facts = pd.DataFrame(
        {
            "id": range(count),
            "tail": random.choice(tails[: max(1, planes - 2)], count),
            "place": random.choice(codes[: max(1, places - 2)], count),
            "carrier": random.choice(CARRIERS, count),
            "dist": np.round(random.uniform(0, 2000, count), 1),
            "delay": np.round(random.normal(10, 30, count)).astype("float32") / 4,
            "seats": random.integers(2, 400, count),
            "fuel": random.integers(-(10**6), 10**9, count),
            "price": np.round(random.uniform(0, 900, count), 2),
            "night": random.random(count) < 0.3,
            "note": random.choice(["", "NULL", "a%b", "late"], count),
        }
    )
    kinds = pd.DataFrame(
        {
            "tail": tails,
            "maker": random.choice(MAKERS, planes),
            "age": random.integers(0, 40, planes),
            "weight": np.round(random.uniform(1, 400, planes), 2),
            'say "hi"': random.normal(size=planes),
            "note": random.choice(["x", "y"], planes),
        }
    )
    sites = pd.DataFrame(
        {
            "place": codes,
            "zone": random.choice(ZONES, places),
            "altitude": np.round(random.uniform(-50, 3000, places), 1),
            "Wet Days": random.integers(0, 300, places),
        }
    )
    found = {"facts": facts, "planes": kinds, "places": sites}
    return {name: _holed(rows, name, random, holes) for name, rows in found.items()} if holes else found


def _holed(rows: pd.DataFrame, name: str, random: np.random.Generator, share: float) -> pd.DataFrame:
    rows = rows.astype(object)
    for column, type_ in COLUMNS[name].items():
        if column in ("id", "tail", "place"):
            continue
        gone = random.random(len(rows)) < share
        rows.loc[gone, column] = None
        if type_ in ("DOUBLE", "FLOAT"):
            rows.loc[random.random(len(rows)) < share / 2, column] = float("nan")
            rows.loc[random.random(len(rows)) < share / 4, column] = -0.0
        if column in ("carrier", "maker", "zone"):
            rows.loc[random.random(len(rows)) < share / 2, column] = "never seen"
            rows.loc[random.random(len(rows)) < share / 4, column] = ""
    return rows


def joined(count: int = 2000) -> pd.DataFrame:
    """What the models are fitted on: each fact with what the dimensions know of it."""
    held = made(count)
    found = held["facts"].merge(held["planes"], on="tail", suffixes=("", "_of_plane")).merge(held["places"], on="place")
    return found.drop(columns=["note", "note_of_plane"])


def arrow(rows: pd.DataFrame, name: str) -> pa.Table:
    """A table's rows with the types that its columns have; NaN stays NaN, None is NULL."""
    return pa.table({column: _array(rows[column].tolist(), type_) for column, type_ in COLUMNS[name].items()})


def _array(values: Sequence[Any], type_: str) -> pa.Array:
    if type_ in ("DOUBLE", "FLOAT"):
        # NaN is no NULL here, and everywhere else pandas' way to write one.
        return pa.array([None if value is None else float(value) for value in values], _ARROW[type_], from_pandas=False)
    values = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    if type_ == "DECIMAL(10,2)":
        return pa.array([None if value is None else Decimal(f"{value:.2f}") for value in values], _ARROW[type_])
    if type_ in ("INTEGER", "BIGINT"):
        return pa.array([None if value is None else int(value) for value in values], _ARROW[type_])
    return pa.array(values, _ARROW[type_])


def fill(db: Any, rows: Rows, *, keys: bool = True, suffix: str = "") -> None:
    """Make the tables in DuckDB; with `keys` by their keys' names, else without a constraint."""
    for name in ("facts", "planes", "places"):
        db.sql(f"DROP TABLE IF EXISTS {name}{suffix}")
    for name in ("planes", "places", "facts"):
        given = arrow(rows[name], name)
        columns = [
            f"{_quoted(column)} {type_}{_key(name, column) if keys else ''}" for column, type_ in COLUMNS[name].items()
        ]
        if keys and name == "facts":
            columns += [f"FOREIGN KEY ({key}) REFERENCES {other}{suffix} ({key})" for other, key in KEYS.items()]
        db.sql(f"CREATE TABLE {name}{suffix} ({', '.join(columns)})")
        db.sql(f"INSERT INTO {name}{suffix} FROM given")
        assert len(given) >= 0


def _key(name: str, column: str) -> str:
    if KEYS.get(name) == column or (name, column) == ("facts", "id"):
        return " PRIMARY KEY"
    return " NOT NULL" if name == "facts" and column in KEYS.values() else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
