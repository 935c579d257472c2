"""Whatever query hypothesis draws: rewritten, by all passes or by one, it answers what it answers as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import sqlml
from rewriting.comparing import error_of, fetched, same
from rewriting.drawing import Draw
from rewriting.tables import COLUMNS, arrow, fill, made
from rewriting.world import rewriting
from sqlml.query.passes import NAMES, dimensions, equal, limits, ranges, statistics

KINDS = ("keys", "keys", "free", "file")
WANTED = ("all", "all", *NAMES, *(f"-{name}" for name in NAMES))

few = settings(max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)
many = settings(max_examples=1000, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def eager() -> Iterator[None]:
    """Every pass thinks that small tables are worth it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "_SAMPLE", 2)
        patch.setattr(limits, "_most_rows", lambda *_: 10**9)
        patch.setattr(equal, "_FEWER", 2)
        patch.setattr(equal, "_SLOW", 0)
        patch.setattr(statistics, "_WORTH", 1.0)
        patch.setattr(dimensions, "_TIMES_SMALLER", 1)
        patch.setattr(ranges, "_NARROWER", 1.0)
        yield


class Tables:
    """The tables that queries are drawn over, made when they are first asked for."""

    def __init__(self, db: Any, folder: Any) -> None:
        self.db = db
        self._folder = folder
        self._made: set[str] = set()

    def names(self, seed: int, kind: str) -> dict[str, str]:
        """SQL of the three tables."""
        suffix = f"_{kind}_{seed}"
        if suffix not in self._made:
            self._made.add(suffix)
            fill(self.db, rows_of(seed, keys=kind == "keys"), keys=kind == "keys", suffix=suffix)
            for name in COLUMNS if kind == "file" else ():
                self.db.sql(f"COPY {name}{suffix} TO '{self._folder}/{name}{suffix}.parquet' (FORMAT parquet)")
        if kind == "file":
            return {name: f"'{self._folder}/{name}{suffix}.parquet'" for name in COLUMNS}
        return {name: f"{name}{suffix}" for name in COLUMNS}


def rows_of(seed: int, *, keys: bool) -> dict[str, pd.DataFrame]:
    """Small tables by a number; without keys, dimensions have rows twice and facts join nothing, or NULL."""
    random = np.random.default_rng(seed)
    count, holes = (
        (int(random.choice([0, 1, 7, 40, 150])), float(random.choice([0.0, 0.1, 0.4]))) if seed else (60, 0.1)
    )
    rows = made(count, int(random.choice([1, 3, 8])), int(random.choice([1, 2, 5])), seed, holes)
    if not keys:
        for name, key in (("planes", "tail"), ("places", "place")):
            rows[name] = pd.concat([rows[name], rows[name].head(1)], ignore_index=True)
            rows["facts"][key] = [
                [None, "none", value][min(2, int(drawn))]
                for value, drawn in zip(rows["facts"][key], random.integers(0, 12, count), strict=True)
            ]
    return rows


@pytest.fixture(scope="module")
def tables(rewriting_world, tmp_path_factory) -> Iterator[Tables]:
    with sqlml.connect(project=rewriting_world.folder, publish="needed", rewrites="always") as db:
        yield Tables(db, tmp_path_factory.mktemp("drawn"))


RANDOM = st.randoms(use_true_random=True)


def drawn(random: Random, tables: Tables, models: dict[str, Any], seeds: int) -> Draw:
    names = tables.names(random.randint(0, seeds), random.choice(KINDS))
    return Draw(random, models, names, '"', lambda text: answers(tables.db, text), qualify=True)


def answers(db: Any, text: str) -> list[Any]:
    """The first column of a query as it stands; nothing where it fails."""
    with rewriting(db, "none"):
        if error_of(db, text, "none") is not None:
            return []
        return [row[0] for row in fetched(db, text)]


def check(db: Any, draw: Draw, wanted: str) -> tuple[str, ...]:
    """Draw a query and compare; gives what was done to it."""
    query = draw.statement()
    note(query.text)
    if (failed := error_of(db, query.text, "none")) is not None:
        # A query that was drawn is one that the engine takes; what a model refuses may be asked less often.
        assert "sqlml" in failed or "'" in failed, failed
        return ("failed",)
    with rewriting(db, "none"):
        plain = fetched(db, query.text)
    with rewriting(db, wanted):
        plan = db.explain(query.text)
        note("\n".join((plan.sql, *plan.rewrites)))
        rewritten = fetched(db, query.text)
    same(rewritten, plain, query.ordered)
    return plan.rewrites


@given(random=RANDOM)
@few
def test_a_rewritten_query_answers_what_it_did(tables, rewriting_world, random):
    check(tables.db, drawn(random, tables, rewriting_world.models, 5), random.choice(WANTED))


@pytest.mark.long
@given(random=RANDOM)
@many
def test_many_rewritten_queries_answer_what_they_did(tables, rewriting_world, random):
    check(tables.db, drawn(random, tables, rewriting_world.models, 200), random.choice(WANTED))


def parts(db: Any, draw: Draw) -> None:
    """The rows of which a condition is true, false and unknown are all rows."""
    draw.sources()
    condition, item = draw.predicate(), draw.item()
    whole = f"SELECT {draw.id()}, {item} {draw.tail()}"
    texts = [
        f"SELECT {draw.id()}, {item} {draw.tail([held])}"
        for held in (f"({condition})", f"NOT ({condition})", f"({condition}) IS NULL")
    ]
    note("\n".join(texts))
    if draw._ctes or any(error_of(db, text, "none") is not None for text in (whole, *texts)):
        return
    with rewriting(db, "none"):
        wanted = fetched(db, whole)
    same([row for text in texts for row in fetched(db, text)], wanted)


@given(random=RANDOM)
@few
def test_three_answers_make_the_whole(tables, rewriting_world, random):
    parts(tables.db, drawn(random, tables, rewriting_world.models, 5))


@pytest.mark.long
@given(random=RANDOM)
@many
def test_three_answers_make_the_whole_many_times(tables, rewriting_world, random):
    parts(tables.db, drawn(random, tables, rewriting_world.models, 200))


@pytest.fixture(scope="module")
def spark_drawn(spark, rewriting_world, tmp_path_factory) -> Iterator[Any]:
    """A session of Spark with small tables as temporary views, most of them of Parquet files."""
    fresh, folder = spark.newSession(), tmp_path_factory.mktemp("drawn")
    for seed in range(4):
        for name, rows in rows_of(seed, keys=False).items():
            frame, file = fresh.createDataFrame(arrow(rows, name)), folder / f"{name}_{seed}.parquet"
            if seed:
                pq.write_table(arrow(rows, name), file, row_group_size=20)
                frame = fresh.read.parquet(str(file))
            frame.createOrReplaceTempView(f"{name}_{seed}")
    with sqlml.connect(fresh, project=rewriting_world.folder, publish="needed", rewrites="always") as db:
        yield db


def on_spark(db: Any, random: Random, models: dict[str, Any]) -> tuple[str, ...]:
    seed = random.randint(0, 3)
    names = {name: f"{name}_{seed}" for name in COLUMNS}
    draw = Draw(random, models, names, "`", lambda text: answers(db, text), qualify=False)
    return check(db, draw, random.choice(WANTED))


@pytest.mark.long
@pytest.mark.spark
@given(random=RANDOM)
@settings(few, max_examples=6)
def test_a_rewritten_query_answers_what_it_did_on_spark(spark_drawn, rewriting_world, random):
    on_spark(spark_drawn, random, rewriting_world.models)


@pytest.mark.spark
@pytest.mark.long
@given(random=RANDOM)
@settings(many, max_examples=100)
def test_many_rewritten_queries_answer_what_they_did_on_spark(spark_drawn, rewriting_world, random):
    on_spark(spark_drawn, random, rewriting_world.models)
