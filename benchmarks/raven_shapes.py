"""The workloads of the Raven paper (SIGMOD 2022) by shape: tables, models and queries, all made from seeds.

How many tables, numbers, categories and values of each are the paper's; what stands in them is not. The fact tables
are made in parts of so many rows, each from a seed of its own, so that a longer table begins like a shorter one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

EDITION = 1
"""Raised with every change to what is made here, so that nothing older is taken for it."""
PART_ROWS = 200_000
TRAINED_ON = 100_000
NOISE = 0.3
"""Of the labels, in standard deviations of what they come from."""

Values = int | tuple[str, ...]
"""A category's values: how many, or which."""


class Number(NamedTuple):
    """Around `middle`; a `skewed` one has no negative values and a long tail."""

    middle: float = 0.0
    spread: float = 1.0
    skewed: bool = False


@dataclass(frozen=True)
class Table:
    """A table; a dimension has `rows`, and the fact `keys`: which column is the key of which table."""

    name: str
    key: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    categories: Mapping[str, Values] = field(default_factory=dict)
    rows: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)
    shares: tuple[float, ...] = ()
    """Of the label's classes but the first."""
    label: str = ""


@dataclass(frozen=True)
class Shape:
    """A workload. `inputs` are the models' arguments and the columns of `joined` that they get, written as in SQL.

    `queries` name the call of a model `{f}`, and a score that few rows have `{high}`.
    """

    name: str
    title: str
    fact: Table
    dimensions: tuple[Table, ...]
    joined: str
    inputs: Mapping[str, str]
    models: Mapping[str, float]
    queries: Mapping[str, str]
    never: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a foreign key, those values of its table that no row leads to."""

    @property
    def tables(self) -> tuple[Table, ...]:
        return (self.fact, *self.dimensions)

    def values(self, argument: str) -> tuple[str, ...] | None:
        """A category's values; None of a number."""
        alias, column = self.inputs[argument].split(".")
        known = {name: values for table in self.tables for name, values in table.categories.items()}
        if column not in known:
            return None
        lost = self.never.get(alias, ())
        return tuple(text for text in texts(column, known[column]) if text not in lost)


def texts(column: str, values: Values) -> tuple[str, ...]:
    if isinstance(values, tuple):
        return values
    return ("no", "yes") if values == 2 else tuple(f"{column}_{i:04}" for i in range(values))


# The tables


class Made(NamedTuple):
    """A table's columns, and what its rows add to the label."""

    columns: dict[str, Any]
    effect: np.ndarray


def seeded(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def attributes(table: Table, count: int, random: np.random.Generator) -> Made:
    """Numbers and categories: some values are far more frequent than others, and each is there."""
    columns: dict[str, Any] = {}
    effect = np.zeros(count)
    for name, number in table.numbers.items():
        unit = random.normal(size=count)
        weight, bend = seeded(table.name, name).normal(size=2)
        effect += weight * unit + bend * np.sin(2 * unit)
        plain, skewed = number.middle + number.spread * unit, number.middle * np.exp(number.spread * unit)
        columns[name] = pa.array(np.round(skewed if number.skewed else plain, 4))
    for name, values in table.categories.items():
        known = texts(name, values)
        codes = (len(known) * random.random(count) ** 3).astype(np.int32)
        codes[random.permutation(count)[: len(known)]] = np.arange(len(known))[:count]
        effect += seeded(table.name, name).normal(size=len(known))[codes]
        columns[name] = pa.DictionaryArray.from_arrays(codes, pa.array(known))
    return Made(columns, effect)


def dimension(table: Table) -> Made:
    made = attributes(table, table.rows, seeded(table.name))
    return Made({table.key: pa.array(np.arange(table.rows)), **made.columns}, made.effect)


def part(shape: Shape, dimensions: Mapping[str, Made], number: int) -> Made:
    """A part of the fact without its label."""
    random, fact = seeded(shape.name, number), shape.fact
    made = attributes(fact, PART_ROWS, random)
    columns, effect = {fact.key: pa.array(np.arange(PART_ROWS) + number * PART_ROWS)}, made.effect
    for key, name in fact.keys.items():
        kept = np.ones(len(dimensions[name].effect), dtype=bool)
        for column in dimensions[name].columns.values():
            if pa.types.is_dictionary(column.type):
                lost = pa.array(shape.never.get(key.removesuffix("_id")[0], ()), pa.string())
                kept &= ~np.isin(column.dictionary.to_numpy(False), lost.to_numpy(False))[column.indices]
        chosen = np.flatnonzero(kept)[(kept.sum() * random.random(PART_ROWS) ** 1.5).astype(int)]
        columns[key], effect = pa.array(chosen), effect + dimensions[name].effect[chosen]
    effect = effect + NOISE * effect.std() * random.logistic(size=PART_ROWS)
    return Made(columns | made.columns, effect)


def write_tables(shape: Shape, folder: Path, rows: int) -> None:
    """The files that aren't there yet."""
    dimensions = {table.name: dimension(table) for table in shape.dimensions}
    for name, made in dimensions.items():
        write(folder / name / "000.parquet", made.columns)
    missing = [i for i in range(rows // PART_ROWS) if not (folder / shape.fact.name / f"{i:03}.parquet").exists()]
    if missing:
        first = part(shape, dimensions, 0).effect
        limits = np.quantile(first, 1 - np.cumsum(shape.fact.shares[::-1])[::-1])
    for i in missing:
        made = part(shape, dimensions, i)
        classes = np.searchsorted(limits, made.effect) + (len(limits) > 1)
        write(folder / shape.fact.name / f"{i:03}.parquet", made.columns | {shape.fact.label: pa.array(classes)})


def write(target: Path, columns: Mapping[str, Any]) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(dict(columns)), target.with_suffix(".new"), store_schema=False)
        target.with_suffix(".new").rename(target)


# The models


def fitted(shape: Shape, model: str, rows: pd.DataFrame, label: pd.Series) -> Any:
    """A model trained on one thread."""
    kind = {
        "gbt": lambda: lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1),
        "lr": lambda: LogisticRegression(max_iter=200),
        "mlp": lambda: MLPClassifier((48,), max_iter=8, random_state=0),
        "tree": lambda: DecisionTreeClassifier(max_depth=9, min_samples_leaf=20, random_state=0),
        "rf": lambda: RandomForestClassifier(
            100, max_depth=10, min_samples_leaf=5, max_features=0.05, n_jobs=1, random_state=0
        ),
    }[model.rpartition("_")[2]]()
    known = {name: shape.values(name) for name in shape.inputs}
    categories = {name: values for name, values in known.items() if values is not None}
    if not categories:
        return kind.fit(rows, label)
    encoder = OneHotEncoder(
        categories=[np.array(sorted(values), dtype=object) for values in categories.values()], handle_unknown="ignore"
    )
    numbers = [name for name in known if name not in categories]
    encoded = make_column_transformer((StandardScaler(), numbers), (encoder, list(categories)))
    return make_pipeline(encoded, kind).fit(rows, label)


# The workloads


def same_names(alias: str, table: Table) -> dict[str, str]:
    return {name: f"{alias}.{name}" for name in (*table.numbers, *table.categories)}


def credit() -> Shape:
    numbers = {f"v{i}": Number() for i in range(1, 29)} | {"amount": Number(60, 1.2, skewed=True)}
    fact = Table("credit", "transaction_id", numbers, shares=(0.01,), label="fraud")
    return Shape(
        "credit",
        "one table, 29 numbers",
        fact,
        (),
        "credit AS c",
        same_names("c", fact),
        {"credit_gbt": 0.8},
        {
            "base": "SELECT count(*), sum(c.amount) FROM {joined} WHERE c.amount > 20 AND {f} > {high}",
            "selective": "SELECT count(*), sum(c.amount) FROM {joined} WHERE c.v14 < -2.3 AND {f} > {high}",
            "guarded": "SELECT count(*), sum(c.amount) FROM {joined} WHERE sqrt(c.amount) > 25 AND {f} > {high}",
            "twice": "SELECT count(*), avg({f}) FROM {joined} WHERE {f} > {high}",
            "topk": "SELECT c.transaction_id, {f} AS score FROM {joined} ORDER BY score DESC LIMIT 100",
        },
    )


def hospital() -> Shape:
    numbers = {
        "hematocrit": Number(12, 2), "neutrophils": Number(10, 4), "sodium": Number(138, 3),
        "glucose": Number(142, 30), "bloodureanitro": Number(14, 0.4, skewed=True), "creatinine": Number(1.1, 0.2),
        "bmi": Number(30, 2), "pulse": Number(73, 12), "respiration": Number(6.5, 0.6),
        "secondarydiagnoses": Number(2, 0.5, skewed=True),
    }  # fmt: skip
    flags = (
        "dialysisrenalendstage", "asthma", "irondef", "pneum", "substancedependence", "psychologicaldisordermajor",
        "depress", "psychother", "fibrosisandother", "malnutrition", "hemo",
    )  # fmt: skip
    categories = {"rcount": ("0", "1", "2", "3", "4", "5+"), "gender": ("F", "M"), **dict.fromkeys(flags, 2)}
    days = np.array([0.9**day for day in range(17)])
    fact = Table(
        "patients", "encounter", numbers, categories, shares=tuple((days / days.sum())[1:]), label="lengthofstay"
    )
    return Shape(
        "hospital",
        "one table, 10 numbers and 13 categories, 40 encoded, 17 classes",
        fact,
        (),
        "patients AS p",
        same_names("p", fact),
        {"hospital_lr": 15, "hospital_mlp": 15},
        {
            "base": "SELECT {f} AS days, count(*) FROM {joined} WHERE p.asthma = 'yes' GROUP BY days ORDER BY days",
            "selective": "SELECT count(*), sum(p.bmi) FROM {joined}"
            " WHERE p.rcount = '5+' AND p.dialysisrenalendstage = 'yes' AND {f} > {high}",
            "guarded": "SELECT count(*), sum(p.bmi) FROM {joined}"
            " WHERE sqrt(p.glucose) > 13.5 AND p.rcount LIKE '%+' AND {f} > {high}",
            "twice": "SELECT count(*), avg({f}) FROM {joined} WHERE {f} > {high}",
            "topk": "SELECT p.encounter, {f} AS days FROM {joined} ORDER BY days DESC LIMIT 100",
        },
    )


def expedia() -> Shape:
    hotels = Table(
        "hotels",
        "hotel_id",
        {
            "prop_review": Number(3.8, 0.6), "prop_location1": Number(2.9, 1.5),
            "prop_location2": Number(0.13, 0.8, skewed=True), "prop_historical_price": Number(110, 0.5, skewed=True),
        },
        {"prop_market": 336, "prop_country": 144, "prop_chain": 134, "prop_stars": 6, "prop_brand": 2},
        rows=12_000,
    )  # fmt: skip
    searches = Table(
        "searches",
        "search_id",
        {"visitor_usd": Number(140, 0.6, skewed=True), "visitor_distance": Number(900, 1.2, skewed=True)},
        {
            "destination": 2980, "visitor_country": 190, "site": 36, "stay": 35, "ahead": 29, "hour": 24, "month": 12,
            "device": 10, "adults": 9, "children": 8, "rooms": 8, "saturday": 2, "known_visitor": 2,
        },
        rows=40_000,
    )  # fmt: skip
    fact = Table(
        "listings",
        "listing_id",
        {"price_usd": Number(130, 0.6, skewed=True), "position": Number(17, 5)},
        {"promotion": 2, "random_order": 2},
        keys={"hotel_id": "hotels", "search_id": "searches"},
        shares=(0.3,),
        label="booked",
    )
    return Shape(
        "expedia",
        "3 tables, 8 numbers and 20 categories, 3,979 encoded",
        fact,
        (hotels, searches),
        "listings AS l JOIN hotels AS h ON l.hotel_id = h.hotel_id JOIN searches AS s ON l.search_id = s.search_id",
        same_names("l", fact) | same_names("h", hotels) | same_names("s", searches),
        {"expedia_lr": 0.8, "expedia_tree": 0.8},
        {
            "base": "SELECT count(*), avg({f}) FROM {joined}"
            " WHERE h.prop_country IN ('prop_country_0000', 'prop_country_0002')",
            "selective": "SELECT count(*), sum(l.price_usd) FROM {joined}"
            " WHERE s.destination = 'destination_0003' AND {f} > {high}",
            "guarded": "SELECT count(*), sum(l.price_usd) FROM {joined}"
            " WHERE sqrt(l.price_usd) > 18 AND h.prop_market LIKE '%_0001' AND {f} > {high}",
            "twice": "SELECT count(*), avg({f}) FROM {joined} WHERE {f} > {high}",
            "topk": "SELECT l.listing_id, {f} AS score FROM {joined} ORDER BY score DESC LIMIT 100",
        },
    )


def flights() -> Shape:
    airlines = Table(
        "airlines", "airline_id", {}, {"airline_country": 166, "alliance": 6, "active": 2, "low_cost": 2}, rows=540
    )
    airports = Table(
        "airports",
        "airport_id",
        {"altitude": Number(300, 1, skewed=True)},
        {"city": 3050, "country": 226, "dst": 7, "kind": 5},
        rows=3_170,
    )
    fact = Table(
        "flights",
        "flight_id",
        {"distance": Number(1_000, 0.7, skewed=True), "dep_hour": Number(13, 4)},
        {"codeshare": 2},
        keys={"airline_id": "airlines", "origin_id": "airports", "destination_id": "airports"},
        shares=(0.4,),
        label="delayed",
    )
    columns = (*airports.numbers, *airports.categories)
    ends = {f"{end}_{name}": f"{end[0]}.{name}" for end in ("origin", "destination") for name in columns}
    return Shape(
        "flights",
        "4 tables, 4 numbers and 13 categories, 6,756 encoded",
        fact,
        (airlines, airports),
        "flights AS f JOIN airlines AS a ON f.airline_id = a.airline_id"
        " JOIN airports AS o ON f.origin_id = o.airport_id JOIN airports AS d ON f.destination_id = d.airport_id",
        same_names("f", fact) | same_names("a", airlines) | ends,
        {"flights_lr": 0.8, "flights_rf": 0.5},
        {
            "base": "SELECT f.airline_id, count(*), avg({f}) FROM {joined} WHERE o.country = 'country_0000'"
            " GROUP BY f.airline_id ORDER BY f.airline_id",
            "selective": "SELECT count(*), sum(f.distance) FROM {joined}"
            " WHERE d.country = 'country_0005' AND {f} > {high}",
            "guarded": "SELECT count(*), sum(f.distance) FROM {joined}"
            " WHERE sqrt(f.distance) > 50 AND a.airline_country LIKE '%_0000' AND {f} > {high}",
            "twice": "SELECT count(*), avg({f}) FROM {joined} WHERE {f} > {high}",
            "topk": "SELECT f.flight_id, {f} AS score FROM {joined} ORDER BY score DESC LIMIT 100",
        },
        never={"d": ("city_3049", "country_0225")},
    )


SHAPES: Mapping[str, Shape] = {shape.name: shape for shape in (credit(), hospital(), expedia(), flights())}
