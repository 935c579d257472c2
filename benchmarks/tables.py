"""Prediction tables: what a refresh costs, and what readers see meanwhile: `python benchmarks/tables.py --write`.

The rows are the demo's flights, thirty times over, and the model is the demo's. Everything lies in a folder that is
taken away at the end; it needs 3 GB.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import arguments, medians, publish, table

import sqlml
from sqlml.tables import delta

TIMES = 30
FILES = 2_000
READS_DURING = 200
WINDOWS = (10, 1_000)
QUERY = "SELECT i, time_hour, carrier, flight, origin, distance, delay_risk_score(f) AS risk FROM many AS f"


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory(dir=options.project.parent) as scratch:
        folder = Path(scratch) / "project"
        shutil.copytree(options.project, folder, ignore=shutil.ignore_patterns("tables"))
        parts = [
            cost_of_a_refresh(folder, options.repetitions),
            cost_of_a_commit(Path(scratch), options.repetitions),
            cost_of_many_windows(folder, options.repetitions),
            readers(folder),
        ]
    publish("tables", "\n\n".join(parts), options.write, packages=("deltalake",))


def cost_of_a_refresh(folder: Path, repetitions: int) -> str:
    """A refresh of the whole, and the same engine writing the same rows into a folder."""
    with sqlml.connect(project=folder) as db:
        db.sql(f"CREATE OR REPLACE TABLE many AS SELECT f.*, i FROM flights_ready AS f, range({TIMES}) AS r(i)")
        rows = db.sql("SELECT count(*) FROM many").fetchall()[0][0]
        db.sql(f"CREATE OR REPLACE PREDICTION TABLE whole AUDIT (between(risk, 0, 1), min_rows(1)) AS {QUERY}")
        # The columns that each row of a table is given, written by hand.
        given = """struct_pack(delay_risk := struct_pack(model := 'delay_risk', version := '1')) AS _model,
            TIMESTAMPTZ '2026-01-01 00:00:00+00:00' AS _scored_at, '00000000-0000-0000-0000-000000000000' AS _run_id"""
        plain = QUERY.replace(" FROM many", f", {given} FROM many")
        paths: dict[str, Callable[[], object]] = {
            "parquet": lambda: db.write(plain, folder / "plain", mode="overwrite"),
            "refresh": lambda: db.refresh("whole"),
        }
        taken = medians({"parquet": paths["parquet"], "refresh": paths["refresh"]}, repetitions)
        count = db.sql("SELECT count(*), count(DISTINCT _run_id) FROM predictions.whole").fetchall()[0]
        assert count == (rows, 1)
        db.sql("DROP PREDICTION TABLE whole")
        shutil.rmtree(folder / "plain")
    ratio = taken["refresh"] / taken["parquet"]
    found = [[f"{rows:,} rows", f"{taken['parquet']:.2f}", f"{taken['refresh']:.2f}", f"{ratio:.3f}"]]
    title = "**A refresh beside the same rows as plain Parquet**, with two audits, on DuckDB; seconds."
    return f"{title}\n\n{table(['work', 'plain Parquet', 'refresh', 'ratio'], found)}"


def cost_of_a_commit(folder: Path, repetitions: int) -> str:
    """One commit of thousands of files that are there, each checked and made durable."""
    taken = []
    schema = pa.schema([("a", pa.int64()), ("b", pa.float64())])
    for repetition in range(repetitions):
        root = folder / f"commit{repetition}"
        delta.create(root, schema)
        files = [delta.DataFile(f"data/sqlml_window=all/sqlml_run={repetition}/{i}.parquet") for i in range(FILES)]
        (root / files[0].path).parent.mkdir(parents=True)
        for file in files:
            pq.write_table(pa.table({"a": [1], "b": [0.5]}, schema), root / file.path)
        started = time.perf_counter()
        delta.publish(root, files, app_id="bench", number=1, replaces=lambda _: True, metadata={})
        taken.append(time.perf_counter() - started)
    return f"**A commit** of {FILES:,} files: {sorted(taken)[len(taken) // 2]:.2f} s."


def cost_of_many_windows(folder: Path, repetitions: int) -> str:
    """One window of a table with ten, and of one with a thousand."""
    with sqlml.connect(project=folder) as db:
        for count in WINDOWS:
            make = "SELECT DATE '2020-01-01' + CAST(i // 100 AS INTEGER) AS day, f.* FROM"
            db.sql(f"CREATE OR REPLACE TABLE source{count} AS {make} (SELECT *, row_number() OVER () - 1 AS i FROM "
                   f"(FROM flights_ready LIMIT {count * 100})) AS f")  # fmt: skip
            db.sql(f"""CREATE OR REPLACE PREDICTION TABLE days{count} INCREMENTAL ON day START DATE '2020-01-01' AS
                SELECT day, carrier, flight, delay_risk_score(f) AS risk FROM source{count} AS f""")
            done = db.refresh(f"days{count}")
            assert len(done.runs) == count, len(done.runs)
        paths: dict[str, Callable[[], object]] = {
            f"days{count}": lambda count=count: db.refresh(f"days{count}", start="2020-01-05", end="2020-01-06")
            for count in WINDOWS
        }  # type: ignore[misc]
        taken = medians(paths, max(15, repetitions))
    few, many = (taken[f"days{count}"] for count in WINDOWS)
    found = [["one day of 100 rows", f"{few * 1000:.0f}", f"{many * 1000:.0f}", f"{many / few:.2f}"]]
    names = ["work", *(f"of {count:,} windows" for count in WINDOWS), "ratio"]
    return f"**A window of a long table**; milliseconds, from the call to the recorded run.\n\n{table(names, found)}"


def readers(folder: Path) -> str:
    """What another process reads while a table is refreshed again and again; and while a folder is overwritten."""
    with sqlml.connect(project=folder) as db:
        db.sql("CREATE OR REPLACE TABLE few AS FROM flights_ready LIMIT 20000")
        db.sql("""CREATE OR REPLACE PREDICTION TABLE busy AS
            SELECT flight, carrier, delay_risk_score(f) AS risk FROM few AS f""")
        db.refresh("busy")
        plain = folder / "plain"
        plain.mkdir()
        overwrite = f"COPY (SELECT *, {{}} AS run FROM predictions.busy) TO '{plain}/rows.parquet'"
        db.sql(overwrite.format(0))
        results = []
        for name, write in (
            ("a prediction table", lambda _: db.refresh("busy")),
            ("a file that is overwritten", lambda i: db.sql(overwrite.format(i))),
        ):
            context = multiprocessing.get_context("spawn")
            stop, queue = context.Event(), context.Queue()
            reader = context.Process(target=read, args=(str(folder), name, stop, queue), daemon=True)
            reader.start()
            assert queue.get(timeout=120) == "ready"
            for i in range(READS_DURING):
                write(i)
            stop.set()
            right, wrong, failed = queue.get(timeout=120)
            reader.join(timeout=60)
            results.append([name, f"{right:,}", f"{wrong:,}", f"{failed:,}"])
    title = f"**Reads by another process during {READS_DURING} refreshes**: right, silently wrong, and failed."
    return f"{title}\n\n{table(['read from', 'right', 'wrong', 'failed'], results)}"


def read(folder: str, name: str, stop: threading.Event, queue: multiprocessing.Queue) -> None:
    """Read until told to stop; each read must have all rows, of one run."""
    right = wrong = failed = 0
    is_table = name == "a prediction table"
    con = duckdb.connect()
    source = None if is_table else f"SELECT count(*), count(DISTINCT run) FROM read_parquet('{folder}/plain/*.parquet')"
    db = sqlml.connect(project=folder, database=":memory:", publish="needed") if is_table else None
    queue.put("ready")
    while not stop.is_set():
        try:
            if db is not None:
                found = db.sql("SELECT count(*), count(DISTINCT _run_id) FROM predictions.busy").fetchall()[0]
            else:
                found = con.sql(str(source)).fetchall()[0]
        except (sqlml.SqlmlError, duckdb.Error):
            failed += 1
            continue
        right += found == (20_000, 1)
        wrong += found != (20_000, 1)
    queue.put((right, wrong, failed))


if __name__ == "__main__":
    main()
    sys.exit(0)
