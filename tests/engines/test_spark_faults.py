"""Spark where something goes wrong, and the values, frames and doors that the common contract doesn't meet."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sqlml
from engines import faulty
from sql.asking import answers, same
from sql.fitted import Fitted
from sqlml.engines.spark import SparkEngine
from sqlml.errors import (
    ArtifactCorrupt,
    BadCast,
    EngineError,
    MissingArguments,
    PredictionFailed,
    SqlmlError,
    UnknownCategory,
)

# Workers are killed and waited for here, one after the other.
pytestmark = [pytest.mark.spark, pytest.mark.long]

TESTS = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class World:
    folder: Path
    marker: Path
    models: dict[str, Fitted]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("faults")
    marker = folder / "die"
    return World(folder, marker, faulty.build(folder, marker))


@pytest.fixture(scope="module")
def db(world, spark) -> Iterator[sqlml.Session]:
    with sqlml.connect(spark, project=world.folder) as session:
        yield session


def table(spark, name: str, rows: pd.DataFrame | pa.Table, parts: int = 0) -> None:
    held = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    frame = spark.createDataFrame(held)
    (frame.repartition(parts) if parts else frame).createOrReplaceTempView(name)


def column(db, text: str) -> list:
    return [row[0] for row in db.sql(text).collect()]


def refused(db, error: type[SqlmlError], run) -> str:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        run()
    found = raised.value if isinstance(raised.value, SqlmlError) else db.engine_error(raised.value)
    assert type(found) is error, repr(found)
    return str(found)


def failed_tasks(spark) -> int:
    tracker = spark.sparkContext.statusTracker()
    stages = {stage for job in tracker.getJobIdsForGroup(None) for stage in tracker.getJobInfo(job).stageIds}
    found = [tracker.getStageInfo(stage) for stage in stages]
    return sum(stage.numFailedTasks for stage in found if stage)


# A worker dies


def test_a_worker_that_dies_in_a_batch_is_replaced(db, spark, world):
    before = failed_tasks(spark)
    world.marker.touch()
    rows = db.sql("SELECT id, touchy(id, id + 1) FROM range(0, 30000, 1, 4)").collect()
    assert not world.marker.exists(), "nothing was killed"
    assert failed_tasks(spark) == before + 1
    assert sorted(rows) == [(i, 3.0 * i + 1) for i in range(30_000)]


def test_every_worker_killed_from_outside_while_a_kernel_answers(db, spark, world):
    total, before, found = 20_000_000, failed_tasks(spark), []
    text = f"SELECT count(*), sum(line(id / {total}, id % 7)) FROM range(0, {total}, 1, 4)"
    asked = threading.Thread(target=lambda: found.extend(db.cursor().sql(text).collect()))
    asked.start()
    tracker, ends = spark.sparkContext.statusTracker(), time.monotonic() + 60
    while not (tracker.getActiveStageIds() and workers(spark)) and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(1)
    for pid in workers(spark):
        os.kill(pid, signal.SIGKILL)
    asked.join(240)
    assert failed_tasks(spark) > before, "nothing was killed"
    model = world.models["line"].model
    numbers = np.arange(total)
    weights = model.coef_[0] * (numbers / total) + model.coef_[1] * (numbers % 7) + model.intercept_
    assert found[0][0] == total
    np.testing.assert_allclose(found[0][1], weights.sum(), rtol=1e-9)


def workers(spark) -> set[int]:
    """The Python workers of the session's Java, which their daemon forks."""
    parents, daemons = {}, set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"pyspark.daemon" in (path / "cmdline").read_bytes():
                daemons.add(int(path.name))
        except OSError:
            continue

    def is_ours(pid: int) -> bool:
        while pid > 1:
            if pid == spark.sparkContext._gateway.proc.pid:
                return True
            pid = parents.get(pid, 0)
        return False

    return {pid for pid in daemons if parents[pid] in daemons and is_ours(pid)}


# A model raises


def test_a_model_that_raises_on_one_partition(db, spark):
    text = f"SELECT sum(touchy(CASE WHEN id = 7600 THEN {faulty.BAD} ELSE id END, 4321)) FROM range(0, 10000, 1, 4)"
    message = refused(db, PredictionFailed, lambda: db.sql(text).collect())
    assert re.fullmatch(
        r"'touchy' \(touchy version 1\) raised ValueError on its batch \d+ of 2500 rows: .* \(partition 3\)", message
    )
    assert column(db, "SELECT touchy(id, 0) FROM range(3)") == [0.0, 2.0, 4.0], "the session goes on"


@pytest.mark.parametrize("simplified", ["true", "false"])
def test_no_value_of_a_row_is_in_what_spark_itself_raises(db, spark, simplified):
    """Whoever doesn't ask sqlml for the error reads Spark's own, and its executors log it."""
    spark.conf.set("spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled", simplified)
    with pytest.raises(Exception, match="touchy version 1") as raised:
        db.sql(f"SELECT touchy({faulty.BAD}, 4321) FROM range(3)").collect()
    assert "987654" not in str(raised.value)
    assert "4321" not in str(raised.value)


def test_a_library_that_refuses_a_value(db):
    text = "SELECT passing(IF(id = 99, NULL, id), 12345.5) FROM range(0, 100, 1, 2)"
    message = refused(db, PredictionFailed, lambda: db.sql(text).collect())
    assert "passing version 1" in message
    assert "12345" not in message
    assert message.endswith("(partition 1)")


def test_an_error_that_a_user_catches_says_which_function(db, tmp_path):
    """In a job that writes, too."""
    frame = db.sql(f"SELECT touchy(IF(id = 5, {faulty.BAD}, id), 1) AS y FROM range(10)")
    message = refused(db, PredictionFailed, lambda: frame.write.parquet(str(tmp_path / "out")))
    assert "'touchy' (touchy version 1) raised ValueError" in message


# Types

WRONG = [
    ("DATE '2020-01-02'", "2020-01-02"),
    ("TIMESTAMP '2020-01-02 03:04:05'", "2020-01-02 03:04:05"),
    ("TIMESTAMP_NTZ '2020-01-02 03:04:05'", "2020-01-02 03:04:05"),
    ("'twelve'", "the text 'twelve'"),
    ("array(1.0)", "nested"),
    ("map('a', 1.0)", "nested"),
    ("named_struct('x', 1.0)", "nested"),
    ("CAST(9007199254740993 AS DECIMAL(38, 0))", "9007199254740993"),
    ("9007199254740993", "9007199254740993"),
    ("X'00'", "x00"),
]


@pytest.mark.parametrize(("value", "shown"), WRONG)
def test_a_wrong_type_names_the_value_and_the_argument(db, value, shown):
    text = f"SELECT line(b := 1, a := {value}) FROM range(3)"
    message = refused(db, BadCast, lambda: db.sql(text).collect())
    assert "'line': the argument 'a' takes DOUBLE" in message
    assert shown in message


def test_a_wrong_type_in_spark_s_own_sql(db, spark):
    message = refused(db, EngineError, lambda: spark.sql("SELECT line('twelve', 1)").collect())
    assert "twelve" in message
    assert "line" in refused(db, EngineError, lambda: spark.sql("SELECT line(array(1), 1)").collect())


def test_one_bad_text_among_thousands(db):
    text = "SELECT sum(line(IF(id = 8765, 'oops', '1'), id)) FROM range(0, 10000, 1, 4)"
    message = refused(db, BadCast, lambda: db.sql(text).collect())
    assert "'oops'" in message
    assert message.endswith("(partition 3)")


DECIMALS = ["0.1", "-12345678.9", "0.3", None, "99999999.99", "-0.01"]


@pytest.mark.parametrize("type_", [pa.decimal128(10, 2), pa.decimal128(38, 18), pa.decimal128(18, 4)])
def test_decimals(db, spark, world, type_):
    values = [None if text is None else Decimal(text) for text in DECIMALS]
    table(spark, "money", pa.table({"a": pa.array(values, type_), "b": pa.array([1] * 6), "id": range(6)}))
    found = column(db, "SELECT line(t) FROM money t ORDER BY id")
    assert found[3] is None
    rows = pd.DataFrame({"a": [float(text) for text in DECIMALS if text], "b": 1.0})
    same([value for value in found if value is not None], answers(world.models["line"], rows=rows))


def hours_of(values: list[datetime | None]) -> list[float | None]:
    return [None if v is None else (v - datetime(2000, 1, 1)).total_seconds() / 3600 for v in values]


TIMES = [datetime(2013, 1, 2, 12, 30), datetime(1969, 12, 31, 23, 59, 59, 999999), None, datetime(2024, 2, 29)]


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_timestamps_with_and_without_a_zone(db, spark, zone):
    given = [None if v is None else v.replace(tzinfo=UTC) if zone else v for v in TIMES]
    table(spark, "times", pa.table({"at": pa.array(given, pa.timestamp("us", zone)), "id": range(4)}))
    same(column(db, "SELECT hours(t) FROM times t ORDER BY id"), hours_of(TIMES))


def test_a_session_s_zone_is_not_the_model_s(world, spark):
    """An instant is the same instant wherever the session is; without a zone it is what the clock showed."""
    other = spark.newSession()
    other.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    with sqlml.connect(other, project=world.folder) as db:
        text = "SELECT hours(TIMESTAMP '2000-01-01 12:00:00+00:00'), hours(TIMESTAMP_NTZ '2000-01-01 12:00:00')"
        assert tuple(db.sql(text).collect()[0]) == (12.0, 12.0)


def test_dates(db, spark):
    days = [date(2000, 1, 2), None, date(1999, 12, 31)]
    table(spark, "days", pa.table({"at": pa.array(days), "id": range(3)}))
    same(column(db, "SELECT hours(t) FROM days t ORDER BY id"), [24.0, None, -24.0])
    same(column(db, "SELECT hours('2000-01-01 01:30:00')"), [1.5])


def test_two_hundred_columns(db, spark, world):
    rows = world.models["wide200"].rows
    table(spark, "wide", rows[list(reversed(rows.columns))].assign(id=range(len(rows))), parts=3)
    same(column(db, "SELECT wide200(t) FROM wide t ORDER BY id"), answers(world.models["wide200"]))
    lacking = "SELECT wide200(t) FROM (SELECT * EXCEPT (f7) FROM wide) t"
    assert "'f7'" in refused(db, MissingArguments, lambda: db.sql(lacking).collect())


def test_nested_rows(db, spark, world):
    pairs = world.models["line"].rows
    inner = pa.StructArray.from_arrays([pa.array(pairs.b), pa.array(pairs.a)], names=["b", "a"])
    nulls = pa.array([i % 5 == 0 for i in range(len(pairs))])
    holed = pa.StructArray.from_arrays(inner.flatten(), names=["b", "a"], mask=nulls)
    outer = pa.StructArray.from_arrays([pa.array(range(len(pairs))), inner], names=["n", "in"])
    table(spark, "nested", pa.table({"s": inner, "h": holed, "o": outer, "id": range(len(pairs))}), parts=3)
    wanted = answers(world.models["line"])
    same(column(db, "SELECT line(s) FROM nested ORDER BY id"), wanted)
    same(column(db, "SELECT line(a := o.in.a, b := o.in.b) FROM nested ORDER BY id"), wanted)
    kept = [None if i % 5 == 0 else value for i, value in enumerate(wanted)]
    same(column(db, "SELECT line(h) FROM nested ORDER BY id"), kept)


@pytest.mark.parametrize("name", ["line", "touchy", "churn"])
def test_empty_partitions_and_one_row(db, spark, world, name):
    rows = world.models[name].rows
    table(spark, "few", rows.head(1), parts=16)
    same(column(db, f"SELECT {name}(t) FROM few t"), answers(world.models[name], rows=rows.head(1)))
    table(spark, "some", rows.head(5).assign(id=range(5)), parts=16)
    same(column(db, f"SELECT {name}(t) FROM some t ORDER BY id"), answers(world.models[name], rows=rows.head(5)))
    assert column(db, f"SELECT {name}(t) FROM some t WHERE id < 0") == []
    assert column(db, f"SELECT count({name}(t)) FROM some t WHERE id < 0") == [0]


def test_categories_that_no_model_knows(db):
    text = "SELECT coded(IF(id = 60, 'gold', 'pro')) FROM range(0, 100, 1, 2)"
    message = refused(db, UnknownCategory, lambda: db.sql(text).collect())
    assert "'gold'" in message
    assert message.endswith("(partition 1)")


# Other doors


def test_a_streaming_frame(db, spark, world, tmp_path):
    rows = world.models["churn"].rows.assign(id=range(300))
    for i in range(3):
        pq.write_table(pa.Table.from_pandas(rows[i::3], preserve_index=False), tmp_path / f"{i}.parquet")
    schema = spark.read.parquet(str(tmp_path)).schema
    stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).parquet(str(tmp_path))
    stream.createOrReplaceTempView("arriving")
    found = db.sql("SELECT id, churn(t) AS label, churn_score(t) AS score FROM arriving t WHERE churn_score(t) >= 0")
    assert found.isStreaming
    query = found.writeStream.format("memory").queryName("scored").trigger(availableNow=True).start()
    assert query.awaitTermination(120)
    assert query.exception() is None
    held = spark.sql("SELECT label, score FROM scored ORDER BY id").collect()
    same([row.label for row in held], answers(world.models["churn"]))
    same([row.score for row in held], answers(world.models["churn"], "score"))
    assert len(query.recentProgress) >= 3


def test_a_stream_that_meets_a_bad_row_says_so(db, spark, tmp_path):
    pq.write_table(pa.table({"a": [1.0, faulty.BAD], "b": [1.0, 1.0]}), tmp_path / "0.parquet")
    stream = spark.readStream.schema("a DOUBLE, b DOUBLE").parquet(str(tmp_path))
    query = stream.selectExpr("touchy(a, b) AS y").writeStream.format("memory").queryName("bad").start()
    message = refused(db, PredictionFailed, lambda: query.processAllAvailable())
    assert "touchy version 1" in message
    query.stop()


def test_the_data_frame_api(db, spark, world):
    from pyspark.sql import functions as F  # noqa: N812

    rows = world.models["churn"].rows
    table(spark, "people", rows.assign(id=range(len(rows))), parts=3)
    frame, taken = spark.table("people"), [F.col(name) for name in rows.columns]
    found = frame.select(F.call_function("churn", *taken), F.call_function("churn_score", *taken), "id")
    labels, scores, _ = zip(*sorted(found.collect(), key=lambda row: row[2]), strict=True)
    same(labels, answers(world.models["churn"]))
    same(scores, answers(world.models["churn"], "score"))
    named = frame.selectExpr("churn_proba(tenure => tenure, price => price, region => region, plan => plan)", "id")
    same([row[0] for row in named.orderBy("id").collect()], answers(world.models["churn"], "proba"))
    high = frame.where(F.call_function("churn_score", *taken) > 0.5).count()
    assert high == sum(score > 0.5 for score in scores)


def test_one_session_after_another(spark, world, tmp_path):
    """The second one's function of the same name is its own model, not what a worker still holds of the first."""
    held, text = spark.newSession(), "SELECT line(2, 1)"
    first = answers(world.models["line"], rows=pd.DataFrame({"a": [2.0], "b": [1.0]}))
    with sqlml.connect(held, project=world.folder) as one:
        same(column(one, text), first)
    with sqlml.connect(held) as two:
        message = refused(two, EngineError, lambda: two.sql(text).collect())
        assert "line" in message, "it went with the session that made it"
    registry = f"sqlite:///{world.folder / 'mlflow.db'}"
    (tmp_path / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\ntrust = "pickle"\n', encoding="utf-8")
    with sqlml.connect(held, project=tmp_path) as three:
        three.register("line", "models:/touchy@champion")
        assert column(three, text) == [5.0]
    with sqlml.connect(held, project=world.folder) as four:
        same(column(four, text), first)


CONNECT = """
import os, sys
from pyspark.sql import SparkSession
import sqlml
from sql.asking import answers, same
from sql.fitted import all_models
from engines import faulty

spark = SparkSession.builder.remote("local[2]").config("spark.log.level", "FATAL").getOrCreate()
models = all_models()
rows = models["churn"].rows
spark.createDataFrame(rows.assign(id=range(len(rows)))).createOrReplaceTempView("people")
with sqlml.connect(spark, project=sys.argv[1]) as db:
    assert db._engine.is_remote
    found = db.sql("SELECT churn(p), churn_score(p), churn_proba(p) FROM people p ORDER BY id").collect()
    labels, scores, chances = zip(*found)
    same(labels, answers(models["churn"]))
    same(scores, answers(models["churn"], "score"))
    same(chances, answers(models["churn"], "proba"))
    assert [row[0] for row in db.sql("SELECT touchy(id, 1) FROM range(3)").collect()] == [1.0, 3.0, 5.0]
    own = spark.sql("SELECT churn_score(tenure, price, plan, region) FROM people ORDER BY id").collect()
    same([row[0] for row in own], answers(models["churn"], "score"))
    texts = [f"SELECT touchy({faulty.BAD}, 1)", "SELECT line('twelve', 1)", "SELECT coded('gold')",
             "SELECT churm(p) FROM people p", "SELECT churn(p) FROM range(3) p", "SELECT nothing FROM people"]
    for text in texts:
        try:
            db.sql(text).collect()
        except Exception as error:
            ours = error if isinstance(error, sqlml.SqlmlError) else db.engine_error(error)
            print(f"{type(ours).__name__}|{ours}".replace(chr(10), " "))
            assert "987654" not in str(error)
        else:
            print("nothing")
    assert db.sql("SELECT count(*) FROM people").collect()[0][0] == len(rows)
try:
    spark.sql("SELECT line(1, 2)").collect()
except Exception as error:
    print("gone")
spark.stop()
"""


def test_spark_connect(world, tmp_path):
    """In a process of its own: one can't hold a classic session and a client."""
    script = tmp_path / "client.py"
    script.write_text(textwrap.dedent(CONNECT), encoding="utf-8")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), str(world.folder)],
        env={**os.environ, "PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    raised, cast, category, function, missing, plain, gone = done.stdout.splitlines()[-7:]
    assert raised.startswith("PredictionFailed|'touchy' (touchy version 1) raised ValueError")
    assert cast.startswith("BadCast|'line': the argument 'a' takes DOUBLE, and the text 'twelve'")
    assert category.startswith("UnknownCategory|'coded'")
    assert function == "UnknownFunction|No function is named 'churm'. Did you mean 'churn'?"
    assert missing.startswith("MissingArguments|'churn' needs")
    assert plain.startswith("EngineError|[UNRESOLVED_COLUMN")
    assert gone == "gone"


# What was sent is not what arrives


@pytest.fixture
def sent_zip(spark, world) -> Iterator:
    """A function that no worker has opened, and its model's files where the workers find them."""
    copy = []

    def made(session: sqlml.Session, name: str) -> Path:
        session.register(name, "models:/touchy@champion", trust_pickle=True)
        target = session.explain(f"SELECT {name}(1, 2)").calls[0].target
        digest = session._backing.answerer(target).portable().artifact.digest
        path = Path(placed(spark, f"{digest}.zip"))
        copy.append((path, path.read_bytes()))
        return path

    yield made
    for path, content in copy:
        path.write_bytes(content)


def placed(spark, file: str) -> str:
    from pyspark import SparkFiles
    from pyspark.sql.functions import udf

    return spark.range(1).select(udf(lambda _: SparkFiles.get(file))("id")).collect()[0][0]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def rezipped(path: Path) -> bytes:
    """The same names, and in each file one bit that is another; as an archive it is sound."""
    with zipfile.ZipFile(path) as held:
        files = {name: held.read(name) for name in held.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, flipped(content, len(content) // 2))
    return path.read_bytes()


DAMAGE = {
    "bit": lambda path: flipped(path.read_bytes(), path.stat().st_size // 2),
    "cut": lambda path: path.read_bytes()[: path.stat().st_size // 2],
    "empty": lambda _: b"",
    "other": rezipped,
}


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_model_damaged_on_its_way_never_answers(db, sent_zip, kind):
    name = f"damaged_{kind}"
    path = sent_zip(db, name)
    path.write_bytes(DAMAGE[kind](path))
    try:
        message = refused(db, ArtifactCorrupt, lambda: db.sql(f"SELECT {name}(id, 1) FROM range(3)").collect())
        assert "touchy version 1" in message
        assert column(db, "SELECT line(0, 0) IS NOT NULL") == [True]
    finally:
        db.drop(name)


def test_a_program_damaged_on_its_way_never_answers(db, spark):
    db.register("bent", "models:/line@champion", strategy="kernel")
    answerer = db._backing.answerer(db.explain("SELECT bent(1, 2)").calls[0].target)
    sound = answerer.portable()
    churn = db.explain("SELECT churn_score(1, 2, '', '')").calls[0].target
    other = db._backing.answerer(churn).portable().program
    try:
        bent = sound.program[:100] + bytes(10) + sound.program[110:]
        for program in (bent, sound.program[:-30], other):
            engine = SparkEngine.over(spark, db.settings)
            held = dataclasses.replace(sound, program=program)
            engine._sent[answerer.key] = spark.sparkContext.broadcast(held)
            text = f"SELECT {engine.register(answerer, ['predict'])}(1D, 2D)"
            message = refused(db, ArtifactCorrupt, spark.sql(text).collect)
            assert "line version 1" in message
            engine.close()
    finally:
        db.drop("bent")
