"""What Spark's Parquet files say of a table prunes its models, as long as they are the same files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import sqlml
from rewriting.comparing import agree, fetched, rewriting, same
from rewriting.tables import arrow, made
from sqlml.engines.spark_facts import SparkFacts
from sqlml.engines.spark_footers import File, distinct, domains
from sqlml.programs.prune import Domain

pytestmark = pytest.mark.spark
PRUNED = "SELECT id, boost(dist, seats, seats, seats) AS y FROM short"
"""A query whose model is smaller for a table of short flights."""


@pytest.fixture(scope="module")
def db(spark, rewriting_world) -> Iterator[Any]:
    with sqlml.connect(
        spark.newSession(), project=rewriting_world.folder, publish="needed", rewrites="always"
    ) as session:
        yield session


@pytest.fixture
def short(db, tmp_path) -> Any:
    """A file of short flights, as the view `short`."""
    path = tmp_path / "short.parquet"
    rows = arrow(made()["facts"], "facts")
    pq.write_table(rows.filter(pc.less(rows["dist"], 300.0)), path, row_group_size=500)
    view(db, path)
    return path


def view(db: Any, path: Any, name: str = "short") -> None:
    db._engine.session.read.parquet(str(path)).createOrReplaceTempView(name)


def test_a_filter_becomes_ranges(db, short):
    pq.write_table(arrow(made()["places"], "places"), short)
    view(db, short, "places")
    text = "SELECT place FROM places WHERE odd(`Wet Days`, altitude, altitude) > 700"
    assert "can't come there unless" in " ".join(agree(db, text).rewrites)


def test_a_file_written_anew_is_never_answered_by_the_old_one_s_model(db, short):
    assert "the table's statistics" in str(db.explain(PRUNED).rewrites)
    lazily = db.sql(PRUNED)
    rows = arrow(made()["facts"], "facts")
    # With the size that Spark knows it would read none of the new rows.
    pq.write_table(rows.filter(pc.greater_equal(rows["dist"], 300.0)), short)
    with pytest.raises(Exception, match="short has changed since the statement was planned: run it again") as failed:
        lazily.collect()
    assert isinstance(db.engine_error(failed.value), sqlml.SqlmlError)
    view(db, short)
    agree(db, PRUNED)


@pytest.mark.long
def test_a_plan_that_was_kept_follows_the_files(db, short):
    rows = arrow(made()["facts"], "facts")
    for count in (0, 1, 100, 2000):
        pq.write_table(rows.slice(0, count), short, row_group_size=64)
        view(db, short)
        agree(db, PRUNED)
    db._engine.session.sql("SELECT * FROM short WHERE dist > 100").createOrReplaceTempView("long")
    agree(db, PRUNED.replace("short", "long"))


@pytest.mark.long
def test_a_view_that_takes_a_table_s_place_is_seen(db, short):
    engine = db._engine
    assert engine.facts("short").is_stored
    engine.session.sql("SELECT * FROM short WHERE rand() < 0.5").createOrReplaceTempView("short_drawn")
    assert not engine.facts("short_drawn").is_stored
    view(db, short, "short_drawn")
    assert engine.facts("short_drawn").is_stored


def test_what_footers_say(tmp_path):
    nothing = pa.nulls(4, pa.int32())
    tables = [
        {"A": [1, 2, 3, 4], "f": [0.5, float("nan"), 2.5, 1.0], "n": [1, None, 3, 4], "t": list("abca")},
        {"A": [-7, 2, 3, 9], "f": [0.5, 1.0, 2.5, 7.0], "n": nothing, "t": list("abca"), "late": [1, 2, 3, 4]},
    ]
    files = []
    for place, columns in enumerate(tables):
        pq.write_table(pa.table(columns), tmp_path / f"{place}.parquet", row_group_size=2)
        files.append(File.at(tmp_path / f"{place}.parquet"))
    kinds = {"a": "small", "f": "float64", "n": "small", "t": "text", "late": "whole"}
    assert domains(files, kinds) == {
        "a": Domain(missing=False, low=-7.0, high=9.0),
        "f": Domain(low=0.5, high=7.0),
        "t": Domain(missing=False),
    }
    assert domains(files[:1], kinds)["n"] == Domain(low=1.0, high=4.0)
    assert distinct(files) == {}


def test_the_number_of_values_is_guessed_by_a_sample(tmp_path):
    pq.write_table(pa.table({"few": [i % 3 for i in range(900)], "many": list(range(900))}), tmp_path / "x.parquet")
    assert distinct([File.at(tmp_path / "x.parquet")]) == {"few": 3}


@pytest.mark.long
def test_a_table_of_many_files_and_none(spark, tmp_path):
    session = spark.newSession()
    session.range(10).createOrReplaceTempView("numbers")
    facts = SparkFacts(session, "numbers", None)
    assert (facts.is_stored, facts.domains, facts.distinct, facts.rows) == (False, {}, {}, 10)
    assert not SparkFacts(session, "nowhere", None).is_stored
    for place in range(3):
        pq.write_table(pa.table({"a": [place]}), tmp_path / f"{place}.parquet")
    session.read.parquet(str(tmp_path)).createOrReplaceTempView("three")
    assert SparkFacts(session, "three", None).rows == 3


@pytest.mark.long
def test_the_answers_are_those_of_the_plain_query(db, short):
    with rewriting(db, "none"):
        plain = fetched(db, PRUNED)
    with rewriting(db, "statistics"):
        same(fetched(db, PRUNED), plain)


def test_a_nan_among_the_ends_of_some_rows_says_nothing(db, tmp_path):
    session = db._engine.session
    # Spark itself writes a NaN for the most of rows among which one is.
    rows = session.range(4000).selectExpr(
        "id",
        "CASE WHEN id >= 2000 AND id % 500 = 7 THEN CAST('NaN' AS DOUBLE) ELSE 0.5 + id / 2.0D END AS dist",
        "CAST(id % 400 AS INT) AS seats",
    )
    small = {"parquet.block.size": 4000, "parquet.block.size.row.check.min": 50, "parquet.block.size.row.check.max": 50}
    written = rows.coalesce(1).write.options(**{key: str(value) for key, value in small.items()})
    written.parquet(str(tmp_path / "nan"))
    view(db, tmp_path / "nan")
    (file,) = (tmp_path / "nan").glob("*.parquet")
    assert pq.read_metadata(file).num_row_groups > 1
    assert "dist" not in db._engine.facts("short").domains
    agree(db, PRUNED)


def test_a_folder_s_value_is_the_column_s(db, tmp_path):
    (tmp_path / "parts" / "dist=1500.5").mkdir(parents=True)
    rows = arrow(made()["facts"], "facts")
    pq.write_table(rows.filter(pc.less(rows["dist"], 300.0)), tmp_path / "parts" / "dist=1500.5" / "a.parquet")
    view(db, tmp_path / "parts")
    facts = db._engine.facts("short")
    assert "seats" in facts.domains
    assert "dist" not in facts.domains
    agree(db, PRUNED)


def test_rows_that_come_later_are_not_answered_by_the_smaller_model(db, tmp_path):
    rows = arrow(made()["facts"], "facts")
    (tmp_path / "folder").mkdir()
    pq.write_table(rows.filter(pc.less(rows["dist"], 300.0)), tmp_path / "folder" / "a.parquet")
    view(db, tmp_path / "folder")
    lazily = db.sql(PRUNED)
    assert "the table's statistics" in str(db.explain(PRUNED).rewrites)
    pq.write_table(rows, tmp_path / "folder" / "b.parquet")
    db._engine.session.catalog.refreshByPath(str(tmp_path / "folder"))
    with pytest.raises(Exception, match="short has changed since the statement was planned"):
        lazily.collect()
    view(db, tmp_path / "folder")
    agree(db, PRUNED)


@pytest.mark.long
def test_values_that_python_has_no_type_for(db, tmp_path):
    columns = "5.0D + id AS dist, 7 AS seats, DATE'+12000-01-01' AS far, CAST(X'FFFE' AS STRING) AS odd"
    frame = db._engine.session.sql(f"SELECT id, {columns} FROM range(9)")
    frame.coalesce(1).write.parquet(str(tmp_path / "odd"))
    view(db, tmp_path / "odd")
    assert db._engine.facts("short").domains["seats"] == Domain(missing=False, low=7.0, high=7.0)
    agree(db, PRUNED)


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "SELECT max(dist) AS m FROM short ORDER BY boost(max(dist), 3, 4, 5)",
        "SELECT seats % 5 AS k FROM short GROUP BY seats % 5 ORDER BY boost(max(dist), 3, 4, 5), k",
        "SELECT id, row_number() OVER (ORDER BY id) AS w FROM short ORDER BY boost(w, 3, 4, 5), id",
    ],
)
def test_an_order_by_what_is_no_column(db, short, text):
    agree(db, text, ordered=True)


def test_an_unknown_column_is_named(db, short):
    with pytest.raises(sqlml.SqlmlError, match="nosuch"):
        db.sql("SELECT id, boost(dist, seats, seats, seats) AS y FROM short ORDER BY nosuch")
