"""Native functions in DuckDB: what goes in by each type, what comes out, and what must never end the process."""

from __future__ import annotations

import decimal
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

pytest.importorskip("numba")

from engines.standing_in import linear
from sqlml.engines import duckdb_native, duckdb_probe
from sqlml.engines.duckdb import DuckDBEngine
from sqlml.engines.duckdb_layout import Want
from sqlml.engines.duckdb_native import NativeDoor, NoDoor, open_door, status
from sqlml.errors import BadCast
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel.layout import Target, What
from sqlml.programs.kernel.loading import machine
from sqlml.programs.kernel.lower import lower
from sqlml.programs.objects import cache_folder
from sqlml.programs.program import Builder, Encode, Linear, Link

NUMBER, TEXT, UNUSED = Want.NUMBER, Want.TEXT, Want.UNUSED
SOURCE = str(Path(__file__).parents[2] / "src")
LABELS = ["", "twelve bytes", "thirteen byte", "x" * 500, "żółć", "ein langer Name mit ä, ö und ü"]


def image(*weights, classes=1):
    """A linear model's; the weights of `linear`."""
    return np.concatenate([np.array([len(weights), classes]), np.array(weights, np.float64).view(np.int64)])


def never(arrays):
    raise AssertionError(f"the slow path, for {[str(array.type) for array in arrays]}")


def register(door, name, inputs, what=What.VALUE, result=None, slow=never, *, weights=None, labels=None):
    held = image(*(weights or [1.0] * len(inputs)), classes=len(labels or [0]))
    result = result or pa.float64()
    door.register(
        name, inputs, [what], result, slow, run=linear.address, image=held.ctypes.data, labels=labels, keep=held
    )


def one(con, query):
    return con.execute(query).fetchall()[0][0]


def column(con, query):
    return [value for (value,) in con.execute(query).fetchall()]


@pytest.fixture(params=[1, 2])
def con(request):
    with duckdb.connect() as held:
        held.execute(f"SET threads = {request.param}")
        yield held


@pytest.fixture
def door(con):
    return open_door(con)


def test_the_door_is_open_here():
    assert status() == (True, None)


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 300_000])
def test_every_number_of_rows(con, door, rows):
    register(door, "f", [NUMBER, NUMBER], weights=[2.0, -0.5])
    con.execute(f"CREATE TABLE t AS SELECT i::DOUBLE AS a, i / 4 AS b FROM range({rows}) r(i)")
    query = "SELECT count(*), count(f(a, b)), count(*) FILTER (f(a, b) = 2 * a - 0.5 * b) FROM t"
    assert con.execute(query).fetchall() == [(rows, rows, rows)]
    assert column(con, "SELECT f(a, b) FROM t WHERE a % 1000 = 3 ORDER BY a") == [
        2.0 * i - 0.125 * i for i in range(3, rows, 1000)
    ]


TYPES = {
    "BOOLEAN": 1, "TINYINT": -7, "SMALLINT": -300, "INTEGER": -70_000, "BIGINT": -(2**40), "UTINYINT": 200,
    "USMALLINT": 60_000, "UINTEGER": 2**32 - 1, "UBIGINT": 2**50, "FLOAT": 0.5, "DOUBLE": -0.1,
    "DECIMAL(4, 1)": 123.4, "DECIMAL(9, 4)": -1234.5678, "DECIMAL(15, 2)": 1234567890123.25,
}  # fmt: skip


@pytest.mark.parametrize("type_", TYPES)
def test_numbers_of_each_type(con, door, type_):
    register(door, "f", [NUMBER])
    con.execute(f"CREATE TABLE t AS SELECT {TYPES[type_]}::{type_} AS x FROM range(3000)")
    assert set(column(con, "SELECT f(x) FROM t")) == {float(TYPES[type_])}
    # As a constant, which DuckDB works out beforehand.
    assert one(con, f"SELECT f({TYPES[type_]}::{type_})") == float(TYPES[type_])


@pytest.mark.parametrize("type_", [*TYPES, "VARCHAR"])
def test_a_null_of_each_type(con, door, type_):
    register(door, "f", [TEXT if type_ == "VARCHAR" else NUMBER])
    con.execute(f"CREATE TABLE t AS SELECT i, CASE WHEN i % 3 = 0 THEN 1 END::{type_} AS x FROM range(5000) r(i)")
    found = column(con, "SELECT f(x) FROM t ORDER BY i")
    assert [value is None for value in found] == [i % 3 != 0 for i in range(5000)]
    assert con.execute("SELECT count(f(x)) FROM t WHERE x IS NULL").fetchall() == [(0,)]


@pytest.mark.parametrize("text", ["", "a", "x" * 12, "x" * 13, "x" * 500, "żółć", "日本語のテキスト"])
def test_texts(con, door, text):
    register(door, "f", [TEXT, NUMBER])
    con.execute("CREATE TABLE t AS SELECT ?::VARCHAR AS x, i::DOUBLE AS y FROM range(3000) r(i)", [text])
    assert column(con, "SELECT f(x, y) - y FROM t") == [float(sum(text.encode()))] * 3000


def test_an_unused_argument_may_be_anything(con, door):
    register(door, "f", [NUMBER, UNUSED], weights=[3.0, 1.0])
    for other in ("'text'", "[1, 2]", "{'a': 1}", "DATE '2020-01-01'", "1e300"):
        assert one(con, f"SELECT f(x, {other}) FROM (SELECT 2.0::DOUBLE AS x)") == 6.0


@pytest.mark.parametrize(
    ("labels", "result"),
    [(LABELS, pa.string()), ([-5, 2**40, 0], pa.int64()), ([7, 8], pa.int32()), ([True, False], pa.bool_()),
     ([0.5, -1.5], pa.float64())],
)  # fmt: skip
def test_labels(con, door, labels, result):
    register(door, "f", [NUMBER], What.LABEL, result, labels=labels)
    con.execute("CREATE TABLE t AS SELECT CASE WHEN i % 10 <> 9 THEN i END AS i, i AS n FROM range(5000) r(i)")
    wanted = [None if i % 10 == 9 else labels[i % len(labels)] for i in range(5000)]
    assert column(con, "SELECT f(i) FROM t ORDER BY n") == wanted
    assert set(column(con, "SELECT f(i) FROM t GROUP BY ALL")) == {*labels, None}


@pytest.mark.parametrize("labels", [LABELS, [1, 0], [True, False], [0.5, 1.5, 2.5]])
def test_probabilities(con, door, labels):
    type_ = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}[type(labels[0])]
    pairs = pa.list_(pa.struct([("label", type_), ("prob", pa.float64())]))
    register(door, "f_map", [NUMBER], What.PROBABILITIES, pa.map_(type_, pa.float64()), labels=labels)
    register(door, "f_pairs", [NUMBER], What.PROBABILITIES, pairs, labels=labels)
    register(door, "f_list", [NUMBER], What.PROBABILITIES, pa.list_(pa.float64()), labels=labels)
    con.execute("CREATE TABLE t AS SELECT CASE WHEN i % 10 <> 9 THEN i END AS i, i AS n FROM range(5000) r(i)")
    found = con.execute("SELECT f_map(i), f_pairs(i), f_list(i) FROM t ORDER BY n").fetchall()
    for i, (as_map, as_pairs, as_list) in enumerate(found):
        if i % 10 == 9:
            assert as_map is as_pairs is as_list is None
            continue
        wanted = [float(i + k) for k in range(len(labels))]
        assert as_list == wanted
        assert as_map == dict(zip(labels, wanted, strict=True))
        assert as_pairs == [{"label": a, "prob": b} for a, b in zip(labels, wanted, strict=True)]
    con.execute("CREATE TABLE kept AS SELECT n, f_map(i) AS m FROM t")
    query = "SELECT count(*) FROM kept WHERE m[?] = n + 1 AND len(map_keys(m)) = ?"
    assert con.execute(query, [labels[1], len(labels)]).fetchall() == [(4500,)]


@pytest.mark.parametrize(
    ("result", "values"),
    [
        (pa.float32(), [0.5, -2.0]),
        (pa.int64(), [-3, 2**52]),
        (pa.int32(), [-3, 2**31 - 1]),
        (pa.bool_(), [False, True]),
    ],
)
def test_values_of_other_types(con, door, result, values):
    register(door, "f", [NUMBER], result=result)
    for value in [*values, None]:
        given = "NULL" if value is None else float(value)
        assert one(con, f"SELECT f(x) FROM (SELECT {given}::DOUBLE AS x FROM range(3000))") == value


def test_a_value_that_its_type_does_not_hold_takes_the_slow_path(con, door):
    register(door, "f", [NUMBER], result=pa.int32(), slow=lambda given: pa.array([7] * len(given[0]), pa.int32()))
    assert column(con, "SELECT f(x) FROM (VALUES (1.5::DOUBLE)) t(x)") == [7]
    assert column(con, "SELECT f(x) FROM (VALUES ('nan'::DOUBLE)) t(x)") == [7]
    assert column(con, "SELECT f(x) FROM (VALUES (2147483648::DOUBLE)) t(x)") == [7]


SLOW = {
    "NULL": pa.int32(), "'3'": pa.string(), "3::HUGEINT": pa.decimal128(38, 0),
    "3::DECIMAL(18, 2)": pa.decimal128(18, 2), "DATE '2020-01-02'": pa.date32(),
    "TIMESTAMP '2020-01-02 03:04:05'": pa.timestamp("us"), "[1, 2]": pa.list_(pa.int32()),
    "{'a': 1}": pa.struct([("a", pa.int32())]), "'b'::ENUM ('a', 'b')": pa.dictionary(pa.uint8(), pa.string()),
}  # fmt: skip


@pytest.mark.parametrize("given", SLOW)
def test_what_the_kernel_does_not_read_takes_the_slow_path(con, door, given):
    seen = []

    def slow(arrays):
        seen.extend(array.type for array in arrays)
        return pa.array([float(len(arrays[0]))] * len(arrays[0]))

    register(door, "f", [NUMBER, NUMBER], slow=slow)
    assert set(column(con, f"SELECT f({given}, i) FROM range(3000) r(i)")) == {2048.0, 952.0}
    assert seen[0] == SLOW[given] or given == "NULL"
    assert seen[1] == pa.int64()


def test_a_number_for_a_text_takes_the_slow_path(con, door):
    register(door, "f", [TEXT], slow=lambda given: pa.array([0.5] * len(given[0])))
    assert column(con, "SELECT f(i) FROM range(3) r(i)") == [0.5] * 3


def test_a_chunk_with_a_refused_row_takes_the_slow_path(con, door):
    chunks = []

    def slow(arrays):
        chunks.append(arrays[0])
        return pa.array([None if x is None else 1000.0 + x for x in arrays[0].to_pylist()], pa.float64())

    register(door, "f", [NUMBER], slow=slow)
    con.execute("CREATE TABLE t AS SELECT CASE WHEN i <> 5 THEN i - 3000 END AS x, i FROM range(6000) r(i)")
    found = column(con, "SELECT f(x) FROM t ORDER BY i")
    assert len(chunks) == 1
    assert chunks[0].to_pylist() == [i - 3000 for i in range(2048, 4096)]
    wanted = [float(i - 3000) + (1000 if 2048 <= i < 4096 else 0) for i in range(6000)]
    assert found == [None if i == 5 else wanted[i] for i in range(6000)]


NESTED = [
    (pa.string(), ["a", None, "thirteen byte", "żółć", "x" * 500]),
    (pa.map_(pa.string(), pa.float64()), [[("a", 0.5), ("b", 1.0)], None, []]),
    (pa.list_(pa.struct([("label", pa.int64()), ("prob", pa.float64())])), [[{"label": 1, "prob": 0.5}], None, []]),
    (pa.struct([("a", pa.float64()), ('odd "name', pa.string())]), [{"a": 1.5, 'odd "name': "x"}, None]),
    (pa.list_(pa.int64()), [[1, 2], None, []]),
    (pa.bool_(), [True, None, False]),
    (pa.binary(), [b"\0a", None]),
    (pa.float32(), [0.5, None]),
    (pa.int32(), [-1, None]),
]


@pytest.mark.parametrize(("type_", "values"), NESTED, ids=str)
def test_whatever_the_slow_path_gives(con, door, type_, values):
    def slow(arrays):
        cells = [values[i % len(values)] for i in arrays[0].to_pylist()]
        # A slice, whose buffers begin elsewhere.
        return pa.array([values[0], *cells], type_)[1:]

    door.register("f", None, [], type_, slow)
    found = column(con, "SELECT f(i, 'any', 3) FROM range(5000) r(i) ORDER BY i")
    plain = [dict(value) if pa.types.is_map(type_) and value is not None else value for value in values]
    assert found == [plain[i % len(values)] for i in range(5000)]
    con.execute("CREATE TABLE kept AS SELECT f(i) AS x FROM range(5000) r(i)")
    assert con.execute("SELECT count(x) FROM kept").fetchall() == [
        (sum(values[i % len(values)] is not None for i in range(5000)),)
    ]


def test_the_slow_path_knows_the_time_zone_of_the_session(con, door):
    seen = []

    def slow(arrays):
        seen.append(str(arrays[0].type))
        return pa.array([0.0] * len(arrays[0]))

    register(door, "f", [NUMBER], slow=slow)
    for zone in ("Asia/Tokyo", "UTC", "Asia/Tokyo"):
        con.execute(f"SET TimeZone = '{zone}'")
        con.execute("SELECT f(TIMESTAMPTZ '2020-01-02 03:04:05+00')").fetchall()
    assert seen == ["timestamp[us, tz=Asia/Tokyo]", "timestamp[us, tz=UTC]", "timestamp[us, tz=Asia/Tokyo]"]


def test_an_error_is_what_it_is_by_the_arrow_way(con, door):
    error = BadCast.__new__(BadCast)
    Exception.__init__(error, "A text with 'quotes', {braces},\nlines and ąę.")

    def slow(arrays):
        raise error

    register(door, "f", [NUMBER], slow=slow)
    engine = DuckDBEngine(con, owned=False)
    with pytest.raises(duckdb.InvalidInputException) as caught:
        con.execute("SELECT sum(f('x')) FROM range(3000)").fetchall()
    mapped = engine.error(caught.value)
    engine.close()
    assert (type(mapped), str(mapped)) == (BadCast, str(error))


@pytest.mark.parametrize(
    ("slow", "message"),
    [
        (lambda given: pa.array([1.0]), "1 answers to 3 rows"),
        (lambda given: pa.array(["x"] * 3), "ArrowInvalid: Failed to parse string: 'x'"),
        (lambda given: None, "AttributeError"),
        (lambda given: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda given: sys.exit("a nul \0 in it"), r"SystemExit: a nul \\0 in it"),
    ],
)
def test_wrong_answers_of_the_slow_path_are_errors(con, door, slow, message):
    register(door, "f", [NUMBER], slow=slow)
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.execute("SELECT f(x::VARCHAR) FROM range(3) t(x)").fetchall()
    assert one(con, "SELECT f(2)") == 2.0


def test_the_wrong_number_of_arguments_is_an_error(con, door):
    register(door, "f", [NUMBER, NUMBER])
    with pytest.raises(duckdb.BinderException, match="No function matches"):
        con.execute("SELECT f(1)")


def test_constants_views_filters_and_case(con, door):
    register(door, "f", [NUMBER])
    con.execute("CREATE TABLE t AS SELECT range AS i FROM range(10000)")
    con.execute("CREATE VIEW v AS SELECT i, f(i) AS y FROM t")
    assert one(con, "SELECT sum(y) FROM v WHERE y > 9000") == float(sum(range(9001, 10000)))
    assert one(con, "SELECT sum(f(2.5::DOUBLE)) FROM t") == 25_000.0
    assert one(con, "SELECT f((SELECT max(i) FROM t))") == 9999.0
    assert one(con, "SELECT sum(CASE WHEN i % 2 = 0 THEN f(i) END) FROM t") == float(sum(range(0, 10000, 2)))
    assert column(con, "SELECT (SELECT f(o.i) + min(i) FROM t) FROM t AS o ORDER BY i LIMIT 3") == [0.0, 1.0, 2.0]
    con.execute("PREPARE p AS SELECT f($1)")
    assert one(con, "EXECUTE p(3)") == 3.0
    assert one(con, "EXECUTE p(2.5)") == 2.5
    assert con.execute("SELECT f(i) FROM t WHERE i > 20000").fetchall() == []


def test_what_a_filter_leaves_out_is_not_answered(con, door):
    """An error for a value that no row of the query has would be one too many, dictionaries included."""

    def slow(arrays):
        if "bad" in arrays[0].to_pylist():
            raise ValueError("bad")
        return pa.array([1.0] * len(arrays[0]))

    register(door, "f", [NUMBER], slow=slow)
    con.execute("CREATE TABLE t AS SELECT ['good', 'bad', 'fine'][1 + i % 3] AS x FROM range(9000) r(i)")
    assert one(con, "SELECT sum(f(x)) FROM t WHERE x <> 'bad'") == 6000.0
    assert one(con, "SELECT sum(CASE WHEN x <> 'bad' THEN f(x) END) FROM t") == 6000.0


def test_it_is_replaced_and_taken_away(con, door):
    register(door, "f", [NUMBER], weights=[2.0])
    assert one(con, "SELECT f(1)") == 2.0
    register(door, "f", [NUMBER], weights=[3.0])
    assert one(con, "SELECT f(1)") == 3.0
    door.unregister("f")
    with pytest.raises(duckdb.CatalogException, match="does not exist"):
        con.execute("SELECT f(1)")
    register(door, "f", [NUMBER], weights=[4.0])
    assert one(con, "SELECT f(1)") == 4.0


class Image(np.ndarray):
    """An array that can be watched going."""


def held_image(*weights):
    return image(*weights).view(Image)


def test_a_function_that_duckdb_lets_go_of_is_let_go_of(con, door):
    def register_held(door, name, held):
        door.register(
            name, [NUMBER], [What.VALUE], pa.float64(), never, run=linear.address, image=held.ctypes.data, keep=held
        )

    held = held_image(2.0)
    gone = weakref.ref(held)
    with duckdb.connect() as other:
        for place, name in ((door, "f"), (door, "g"), (open_door(other), "f")):
            register_held(place, name, held)
        assert (one(con, "SELECT f(1)"), one(con, "SELECT g(1)"), one(other, "SELECT f(1)")) == (2.0, 2.0, 2.0)
    assert len([function for function in duckdb_native._functions.values() if function.keep is held]) == 1
    del held
    reader = con.sql("SELECT f(i) AS y FROM range(3_000_000) r(i)").to_arrow_reader(10_000)
    total = pc.sum(reader.read_next_batch()["y"]).as_py()
    other = con.cursor()
    mine = open_door(other)
    mine.unregister("f")
    for name in ("g", "h"):
        register(mine, name, [NUMBER])
    gc.collect()
    assert gone() is not None, "a query that runs has it still"
    total += sum(pc.sum(batch["y"]).as_py() for batch in reader)
    assert total == float(sum(range(0, 6_000_000, 2)))
    del reader
    other.close()
    con.execute("SELECT 1").fetchall()
    register(door, "h", [NUMBER])
    gc.collect()
    assert gone() is None


def test_a_label_outlives_its_function(con, door):
    register(door, "f", [NUMBER], What.LABEL, pa.string(), labels=["a long label of a model", "another long label"])
    reader = con.sql("SELECT f(i) AS y FROM range(300_000) r(i)").to_arrow_reader(100_000)
    first = reader.read_next_batch()
    door.unregister("f")
    register(door, "g", [NUMBER])
    gc.collect()
    rest = pa.Table.from_batches([first, *reader])
    assert rest["y"].value_counts().to_pylist() == [
        {"values": "a long label of a model", "counts": 150_000},
        {"values": "another long label", "counts": 150_000},
    ]


def test_a_type_that_no_function_can_have(con, door):
    with pytest.raises(NoDoor, match=r"date32.* is no type"):
        door.register("f", None, [], pa.date32(), never)
    with pytest.raises(NoDoor, match="LABEL can't be written as date32"):
        register(door, "f", [NUMBER], What.LABEL, pa.date32(), labels=["a"])


def test_an_image_that_nobody_else_holds(con, door):
    register(door, "f", [NUMBER, NUMBER], What.LABEL, pa.string(), weights=[1.0, 1.0], labels=LABELS)
    gc.collect()
    _ = [np.full(8, i) for i in range(1000)]
    assert one(con, "SELECT f(3, 2)") == LABELS[5]


def test_cursors_transactions_and_two_databases(con, door):
    register(door, "f", [NUMBER], weights=[2.0])
    with con.cursor() as cursor, duckdb.connect() as other:
        assert one(cursor, "SELECT f(1)") == 2.0
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1").fetchall()
        register(open_door(cursor), "g", [NUMBER], weights=[5.0])
        assert one(cursor, "SELECT g(1)") == 5.0
        cursor.execute("ROLLBACK")
        assert one(con, "SELECT g(1)") == 5.0
        register(open_door(other), "f", [NUMBER], weights=[7.0])
        assert (one(other, "SELECT f(1)"), one(con, "SELECT f(1)")) == (7.0, 2.0)


def test_a_pending_result_is_no_hindrance(con, door):
    pending = con.execute("SELECT * FROM range(100000)")
    register(door, "f", [NUMBER])
    open_door(con)
    door.unregister("f")
    assert pending.fetchone() == (0,)


def test_a_closed_connection(con):
    cursor = con.cursor()
    door = open_door(cursor)
    register(door, "f", [NUMBER])
    cursor.close()
    with pytest.raises(NoDoor, match="closed"):
        register(door, "g", [NUMBER])
    door.unregister("f")
    assert one(con, "SELECT f(2)") == 2.0
    with pytest.raises(NoDoor, match="closed"):
        NativeDoor(cursor)


def test_only_a_connection_has_a_door():
    with pytest.raises(NoDoor, match="a list is no connection"):
        NativeDoor([])


def test_two_threads_side_by_side(con, door):
    register(door, "f", [NUMBER], weights=[2.0])
    wrong = []

    def ask():
        with con.cursor() as cursor:
            for _ in range(20):
                if one(cursor, "SELECT count(*) FROM range(50000) r(i) WHERE f(i) = 2 * i") != 50_000:
                    wrong.append(1)

    def replace():
        with con.cursor() as cursor:
            mine = open_door(cursor)
            for _ in range(20):
                register(mine, "f", [NUMBER], weights=[2.0])
                register(mine, "g", [NUMBER])
                mine.unregister("g")

    threads = [threading.Thread(target=target) for target in (ask, ask, replace)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_slow_path_in_several_threads(con, door):
    register(door, "f", [NUMBER], slow=lambda given: pa.array([float(x) for x in given[0].to_pylist()]))
    con.execute("CREATE TABLE t AS SELECT (range % 100)::VARCHAR AS x FROM range(500_000)")
    assert one(con, "SELECT sum(f(x)) FROM t") == 24_750_000.0


def test_a_query_that_is_stopped(con, door):
    register(door, "f", [NUMBER])
    timer = threading.Timer(0.3, con.interrupt)
    timer.start()
    started = time.monotonic()
    with pytest.raises(duckdb.InterruptException):
        con.execute("SELECT sum(f(i)) FROM range(100_000_000_000) r(i)").fetchall()
    assert time.monotonic() - started < 10
    assert one(con, "SELECT f(2)") == 2.0


def test_the_door_goes_while_a_query_runs(con):
    cursor = con.cursor()
    door = open_door(cursor)
    register(door, "f", [NUMBER])
    reader = con.execute("SELECT f(i) AS y FROM range(1_000_000) r(i)")
    assert reader.fetchone() == (0.0,)
    door.unregister("f")
    cursor.close()
    del door
    gc.collect()
    assert sum(value for (value,) in reader.fetchall()) == float(sum(range(1_000_000)))


def test_a_file_that_is_opened_again_and_only_read(tmp_path):
    path = str(tmp_path / "held.duckdb")
    for attempt in range(3):
        with duckdb.connect(path) as con:
            if attempt == 0:
                con.execute("CREATE TABLE t AS SELECT 3 AS x")
            register(open_door(con), "f", [NUMBER])
            assert one(con, "SELECT f(x) FROM t") == 3.0
    with duckdb.connect(path, read_only=True) as con:
        with pytest.raises(duckdb.CatalogException):
            con.execute("SELECT f(x) FROM t")
        door = open_door(con)
        register(door, "f", [NUMBER])
        assert one(con, "SELECT f(x) FROM t") == 3.0
        door.unregister("f")


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, *arguments],
        capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": SOURCE},
    )  # fmt: skip


SCRIPT = """
import os, sys, duckdb, pyarrow as pa
from sqlml.engines.duckdb_native import What, callback, open_door, status
assert status() == (True, None)
run = callback().address("sqlml_door_trial")
con = duckdb.connect(sys.argv[1])
def register(con):
    slow = lambda given: pa.array([1.5] * len(given[0]))
    open_door(con).register("f", [0], [What.VALUE], pa.float64(), slow, run=run)
def ask(con):
    assert con.execute("SELECT f('x')").fetchall() == [(1.5,)]
    assert con.execute("SELECT sum(f(i::DOUBLE)) FROM range(10000) r(i)").fetchall() == [(99990000.0,)]
register(con)
ask(con)
"""


def test_a_process_ends_without_a_word(tmp_path):
    for rest in (
        "",
        "con.close()",
        "open_door(con).unregister('f')",
        "del con",
        "kept = con.sql('SELECT f(2)'); kept.fetchall()",
    ):
        done = run(SCRIPT + rest, str(tmp_path / "held.duckdb"))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_process_has_a_door_of_its_own(tmp_path):
    forked = """
pid = os.fork()
mine = duckdb.connect() if pid == 0 else con
register(mine)
ask(mine)
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    done = run(SCRIPT + forked, ":memory:")
    assert done.returncode == 0, done.stderr


def test_a_query_needs_no_numba():
    done = run(SCRIPT + "assert 'numba' not in sys.modules", ":memory:")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """A cache that holds the compiled callback alone."""
    for path in cache_folder().glob("door-*.o"):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("SQLML_CACHE", str(tmp_path))
    duckdb_probe.outcome.cache_clear()
    yield tmp_path
    duckdb_probe.outcome.cache_clear()


@pytest.mark.parametrize("offset", [0, 8, 32, 64, 1 << 40])
def test_another_layout_is_found_out_and_remembered(fresh_cache, monkeypatch, offset):
    """What lies at the wrong place ends the child at the most."""
    monkeypatch.setattr(duckdb_native, "OFFSET", offset)
    ok, reason = status()
    assert not ok
    assert reason
    assert reason.startswith("trying it")
    (held,) = fresh_cache.glob("door-*.json")
    assert json.loads(held.read_text()) == {"ok": False, "reason": reason}
    with duckdb.connect() as con, pytest.raises(NoDoor) as caught:
        open_door(con)
    assert str(caught.value) == reason
    # Remembered: it isn't tried again.
    duckdb_probe.outcome.cache_clear()
    monkeypatch.setattr(duckdb_probe, "_try", never)
    assert status() == (False, reason)


def test_what_is_remembered_is_believed_and_a_broken_memory_is_not(fresh_cache):
    assert status() == (True, None)
    (held,) = fresh_cache.glob("door-*.json")
    for broken in ("{", '{"ok": true}'):
        held.write_text(broken)
        duckdb_probe.outcome.cache_clear()
        assert status() == (True, None)
        assert json.loads(held.read_text()) == {"ok": True, "reason": None}
    held.write_text('{"ok": false, "reason": "so it is"}')
    duckdb_probe.outcome.cache_clear()
    assert status() == (False, "so it is")


def test_a_trial_that_never_ends(fresh_cache, monkeypatch):
    monkeypatch.setattr(duckdb_probe, "SECONDS", 0.01)
    assert status() == (False, "trying it took more than 0.01 seconds")


def test_decimals_are_those_of_python(con, door):
    """The stand-in divides as the machine does."""
    register(door, "f", [NUMBER])
    for text in ("0.1", "123.456", "99999.99999"):
        assert one(con, f"SELECT f({text})") == float(decimal.Decimal(text))


WORDS = ("", "twelve bytes", "thirteen byte", "żółć", "a text of many more bytes")


def test_the_machine_itself(con, door):
    """A program over a number and a text, lowered as models are; a word that it doesn't know is refused."""
    graph = Builder([("x", False), ("c", True)])
    code = graph.add(Encode(inputs=graph.input("c"), keys=WORDS, codes=np.arange(5.0), missing=None, unknown=None))
    weights = np.array([[0.5, 2.0, -1.0], [1.0, 0.25, 0.0]])
    total = graph.add(Linear(inputs=(*graph.input("x"), *code), weights=weights, bias=np.zeros(3)))
    program = graph.program({"probabilities": graph.add(Link(inputs=total, function="softmax"))})
    lowered = lower(program, [What.PROBABILITIES], [(Target.DOUBLE, True), (Target.TEXT, True)])
    type_ = pa.map_(pa.string(), pa.float64())

    def slow(arrays):
        return pa.array([[("slow", 0.0)]] * len(arrays[0]), type_)

    door.register("f", [NUMBER, TEXT], [What.PROBABILITIES], type_, slow, run=machine(), image=lowered.address,
                  labels=["no", "yes", "thirteen labels"], keep=lowered)  # fmt: skip
    words = ", ".join(f"'{word}'" for word in WORDS)
    con.execute(f"CREATE TABLE t AS SELECT i % 7 / 2.0 AS x, [{words}][1 + i % 5] AS c, i FROM range(10000) r(i)")
    found = con.execute("SELECT x, c, f(x, c) FROM t ORDER BY i").fetchall()
    expected = evaluate(program, [np.array([x for x, _, _ in found]), pa.array([c for _, c, _ in found])])
    answers = np.array([[*chances.values()] for _, _, chances in found])
    np.testing.assert_allclose(answers, expected.heads["probabilities"], rtol=1e-13)
    assert {tuple(chances) for _, _, chances in found} == {("no", "yes", "thirteen labels")}
    assert one(con, "SELECT f(1.0::DOUBLE, 'unknown')") == {"slow": 0.0}
    assert one(con, "SELECT f(NULL::DOUBLE, 'twelve bytes')") is None
