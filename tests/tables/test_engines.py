"""The same table by every engine: the same rows, the same commits, read by all of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sqlml
from sqlml.errors import AuditFailed, EmptyPartition, SchemaDrift, TableMissing
from tables import small

pytestmark = pytest.mark.spark

ENGINES = ("duckdb", "spark")
DAILY = "INCREMENTAL ON ts EVERY INTERVAL '1' DAY LOOKBACK INTERVAL '1' DAY PARTITIONED BY (place)"
QUERY = "SELECT id, ts, place, a, b, risk_score(e) AS risk FROM events AS e"


class Project:
    """One project over Parquet files, and a session of it on each engine."""

    def __init__(self, folder, spark, rows: pd.DataFrame) -> None:
        self.folder, self.spark = folder, spark
        self.write(rows)
        self.sessions: dict[str, sqlml.Session] = {}

    def write(self, rows: pd.DataFrame | pa.Table) -> None:
        held = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(held, self.folder / "events.parquet")
        # Spark remembers the files of a table that it has read.
        self.spark.catalog.refreshByPath(str(self.folder))

    def on(self, engine: str) -> sqlml.Session:
        if engine not in self.sessions:
            target = self.spark if engine == "spark" else None
            self.sessions[engine] = sqlml.connect(target, project=self.folder, publish="needed")
        return self.sessions[engine]

    def rows(self, engine: str, text: str) -> list[tuple]:
        db = self.on(engine)
        return db.relation(db.sql(text)).fetchall()

    def close(self) -> None:
        for session in self.sessions.values():
            session.close()


@pytest.fixture
def project(world, tmp_path, spark) -> Iterator[Project]:
    found = Project(world.copy(tmp_path / "project", '[sources]\nevents = "events.parquet"\n'), spark, small.events())
    yield found
    found.close()


@pytest.fixture(params=ENGINES)
def writer(request) -> str:
    return str(request.param)


@pytest.fixture(params=ENGINES)
def reader(request) -> str:
    return str(request.param)


def test_every_engine_makes_the_same_table(project, world):
    held = {}
    for engine in ENGINES:
        small.declare(project.on(engine), DAILY, QUERY, f"by_{engine}")
        done = small.ask(project.on(engine), f"by_{engine}")
        assert [run.rows_out for run in done.runs] == [small.A_DAY] * small.DAYS
        assert {run.engine for run in done.runs} == {engine}
    columns = "id, ts, place, a, b, _model, risk"
    for engine in ENGINES:
        for reading in ENGINES:
            rows = project.rows(reading, f"SELECT {columns} FROM predictions.by_{engine} ORDER BY id")
            held[engine, reading] = rows
    assert len({repr([row[:-1] for row in rows]) for rows in held.values()}) == 1
    for rows in held.values():
        # Java's exponential differs in its last bit.
        np.testing.assert_allclose([row[-1] for row in rows], world.score(small.events()), rtol=1e-12)
    schemas = [small.delta.snapshot(small.root_of(project.on("duckdb"), f"by_{engine}")).schema for engine in ENGINES]
    assert schemas[0].equals(schemas[1])


def test_engines_take_turns_in_one_table(project, world):
    """What one has declared and begun the other goes on with."""
    small.declare(project.on("spark"), DAILY, QUERY)
    small.ask(project.on("spark"), start="2024-03-01", end="2024-03-03")
    done = small.ask(project.on("duckdb"))
    assert [run.engine for run in done.runs] == ["duckdb"] * (small.DAYS - 2)
    again = small.ask(project.on("spark"))
    assert len(again.runs) == 1, "the lookback"
    small.whole(project.on("duckdb"), column=small.DAY_OF)
    small.same_scores(world, small.frame(project.on("duckdb")), small.events())


def test_rows_are_merged_by_key(project, world, writer):
    db = project.on(writer)
    small.declare(db, "KEY (id) PARTITIONED BY (place)", QUERY)
    small.ask(db)
    late = small.events().assign(a=lambda rows: rows.a.where(rows.id % 5 > 0, 9.0))
    late = pd.concat([late[late.id % 2 == 0], small.events(2, start_id=1000)])
    project.write(late)
    small.ask(db)
    wanted = pd.concat([late, small.events()[lambda rows: rows.id % 2 == 1]]).sort_values("id")
    held = small.frame(project.on("duckdb"))
    small.same_scores(world, held, wanted)
    assert held.place.tolist() == wanted.place.tolist()


@pytest.mark.long
def test_the_whole_is_rebuilt_with_other_columns(project, writer):
    db = project.on(writer)
    small.declare(db, DAILY, "SELECT id, ts, place, risk_score(e) AS risk FROM events AS e")
    small.ask(db)
    more = "SELECT id, ts, place, risk_score(e) AS risk, CAST(ts AS DATE) AS day FROM events AS e"
    small.declare(db, DAILY, more, new=False)
    before = project.rows(writer, "SELECT count(*), min(risk) FROM predictions.daily")
    assert before[0][0] == small.DAYS * small.A_DAY, "the old rows are there until the new ones are"
    small.ask(db, full=True)
    found = project.rows(writer, "SELECT count(*), count(day), count(DISTINCT _run_id) FROM predictions.daily")
    assert found == [(small.DAYS * small.A_DAY, small.DAYS * small.A_DAY, 1)]
    small.ask(db, start="2024-03-02", end="2024-03-03")
    assert project.rows(writer, "SELECT count(DISTINCT _run_id) FROM predictions.daily") == [(2,)]


def test_an_audit_that_fails_publishes_nothing(project, writer):
    db = project.on(writer)
    small.declare(db, f"{DAILY} AUDIT (between(risk, 0.99, 1), not_null(id), unique(id))", QUERY)
    small.fails(
        AuditFailed, r"between\(risk, 0.99, 1\)", lambda: db.refresh("daily", start="2024-03-01", end="2024-03-02")
    )
    assert project.rows(writer, "SELECT count(*) FROM predictions.daily") == [(0,)]


@pytest.mark.long
def test_versions_and_moments(project, reader):
    db = project.on("duckdb")
    small.declare(db, DAILY, QUERY)
    first = small.ask(db, start="2024-03-01", end="2024-03-02").runs[0]
    small.ask(db, start="2024-03-02", end="2024-03-04")

    def count(as_of: str) -> int:
        return int(project.rows(reader, f"SELECT count(daily.id) FROM predictions.daily {as_of}")[0][0])

    assert count("") == 3 * small.A_DAY
    assert count(f"VERSION AS OF {first.commit_version}") == small.A_DAY
    assert count("VERSION AS OF 0") == 0
    moment = first.finished_at.isoformat()
    assert count(f"TIMESTAMP AS OF '{moment}'") == small.A_DAY
    small.fails(TableMissing, "at version 99", lambda: count("VERSION AS OF 99"))
    small.fails(TableMissing, "2001", lambda: count("TIMESTAMP AS OF '2001-01-01'"))


@pytest.mark.long
def test_odd_values_of_a_partition(project, writer, reader):
    odd = ["a b", "50%", "a/b", "x=y", "ä", "a'b", "[1]", None, "C:\\x", "*"]
    rows = small.events(2).assign(place=[odd[i % len(odd)] for i in range(2 * small.A_DAY)])
    project.write(rows)
    small.declare(project.on(writer), DAILY, QUERY)
    small.ask(project.on(writer))
    found = project.rows(reader, "SELECT id, place FROM predictions.daily ORDER BY id")
    assert [place for _, place in found] == [None if pd.isna(place) else place for place in rows.place]


def test_an_empty_text_is_no_partition(project, writer):
    project.write(small.events(1).assign(place=""))
    small.declare(project.on(writer), DAILY, QUERY)
    small.fails(EmptyPartition, "take for NULL", lambda: project.on(writer).refresh("daily"))
    assert project.rows(writer, "SELECT count(*) FROM predictions.daily") == [(0,)]


@pytest.mark.long
def test_a_source_that_has_changed(project, writer):
    db = project.on(writer)
    small.declare(db, "", "SELECT * , risk_score(e) AS risk FROM events AS e")
    db.refresh("daily")
    project.write(small.events().assign(extra=1))
    small.fails(SchemaDrift, "'extra'.* is new", lambda: _again(project, writer))
    project.write(small.events().drop(columns="place"))
    small.fails(SchemaDrift, "'place'.* is missing", lambda: _again(project, writer))
    assert project.rows(writer, "SELECT count(*) FROM predictions.daily") == [(small.DAYS * small.A_DAY,)]


def _again(project: Project, engine: str) -> None:
    """With a session that has not seen the file before, as a job has."""
    project.sessions.pop(engine).close()
    project.on(engine).refresh("daily")


TYPES: dict[str, tuple[pa.DataType, list]] = {
    "truth": (pa.bool_(), [True, None]),
    "tiny": (pa.int8(), [-128, 127]),
    "short": (pa.int16(), [-32768, None]),
    "whole": (pa.int32(), [2**31 - 1, -1]),
    "long": (pa.int64(), [2**62 + 1, None]),
    "single": (pa.float32(), [0.1, float("inf")]),
    "double": (pa.float64(), [0.1, float("nan")]),
    "exact": (pa.decimal128(20, 3), [pd.NA, 12.5]),
    "text": (pa.string(), ["", "ä\n'"]),
    "bytes": (pa.binary(), [b"\x00\xff", None]),
    "day": (pa.date32(), [pd.Timestamp("1582-10-01").date(), pd.Timestamp("2262-01-01").date()]),
    "local": (pa.timestamp("us"), [pd.Timestamp("1900-01-01 00:00:00.000001"), None]),
    "moment": (pa.timestamp("us", tz="UTC"), [pd.Timestamp("2024-03-31 01:30", tz="UTC"), None]),
    "items": (pa.list_(pa.int64()), [[1, None], []]),
    "row": (pa.struct([("x", pa.int64()), ("y", pa.string())]), [{"x": 1, "y": None}, None]),
}


@pytest.mark.long
def test_types_are_kept(project, writer, reader):
    columns = {
        name: pa.array([None if value is pd.NA else value for value in values], type_)
        for name, (type_, values) in TYPES.items()
        if name != "exact"
    }
    columns["exact"] = pa.array([None, 12.5]).cast(pa.decimal128(20, 3))
    given = pa.table({"id": [1, 2], "a": [0.0, 1.0], "b": [1.0, 0.0], **columns})
    project.write(given)
    small.declare(project.on(writer), "", "SELECT *, risk_score(e) AS risk FROM events AS e")
    small.ask(project.on(writer))
    names = ", ".join(["id", *columns])
    held = project.on(reader).relation(project.on(reader).sql(f"SELECT {names} FROM predictions.daily ORDER BY id"))
    found = held.to_arrow_table()
    for name, array in columns.items():
        # A time zone may be called UTC or Etc/UTC.
        same = found.column(name).cast(array.type) if pa.types.is_timestamp(array.type) else found.column(name)
        assert repr(same.to_pylist()) == repr(array.to_pylist()), name
