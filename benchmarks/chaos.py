"""Kill the processes that refresh prediction tables, and count what is wrong afterwards: nothing may be.

Three writers refresh two tables, one of windows and one of keys, and are killed at random moments; readers check every
complete read meanwhile. What a writer has said to be published must be in the log, once, and be read whole.

    python benchmarks/chaos.py --kills 200 [--spark]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import sqlml
from sqlml.query.tables import Bound
from sqlml.tables.asked import Progress, Request
from sqlml.tables.delta import LOG

FIRST = datetime(2024, 1, 1)
DAYS, A_DAY = 12, 2000
WRITERS, LONGEST = 3, 1.5
"""How many writers there are at a time, and after how many seconds of work at most each is killed."""
TABLES = {
    "daily": "INCREMENTAL ON ts EVERY INTERVAL '1' DAY",
    "keyed": "INCREMENTAL ON ts EVERY INTERVAL '1' DAY KEY (id)",
}


@dataclass
class Found:
    """What was counted; the last five must be nothing."""

    kills: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    reads: int = 0
    commits: int = 0
    duplicates: int = 0
    lost: int = 0
    torn: int = 0
    failed_reads: int = 0
    left_running: int = 0

    @property
    def wrong(self) -> int:
        """Of whatever must not be."""
        return self.duplicates + self.lost + self.torn + self.failed_reads + self.left_running

    def __str__(self) -> str:
        said = {
            "kills": self.kills,
            "commits": self.commits,
            "acknowledged runs": len(self.acknowledged),
            "refreshes refused": self.refused,
            "reads": self.reads,
            "duplicates": self.duplicates,
            "lost acknowledgements": self.lost,
            "torn reads": self.torn,
            "failed reads": self.failed_reads,
            "refreshes left running": self.left_running,
        }
        return "\n".join(
            ["| what | count |", "| --- | ---: |", *(f"| {name} | {count:,} |" for name, count in said.items())]
        )


def make(folder: Path) -> None:
    """A project with a small model, a file of rows, and the two tables, filled."""
    from sklearn.linear_model import LogisticRegression

    numbers = np.random.default_rng(0)
    count = DAYS * A_DAY
    rows = pd.DataFrame({"a": numbers.normal(size=count), "b": numbers.normal(size=count)})
    moments = [FIRST + timedelta(days=i // A_DAY, seconds=i % A_DAY) for i in range(count)]
    whole = rows.assign(id=range(count), ts=pd.Series(moments, dtype="datetime64[us]"))
    whole.to_parquet(folder / "events.parquet")
    registry = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n', encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression().fit(rows, rows.a + rows.b > 0)
        sqlml.log_model(model, name="risk", signature_from=rows, alias="champion", registry=registry)
    query = f"SELECT id, ts, risk_score(e) AS risk FROM read_parquet('{folder}/events.parquet') AS e"
    with sqlml.connect(project=folder) as db:
        db.register("risk", "models:/risk@champion")
        for name, clauses in TABLES.items():
            db.sql(f"CREATE PREDICTION TABLE {name} {clauses} AS {query}")
            db.sql(f"REFRESH PREDICTION TABLE {name}")


def write(folder: Path, seed: int) -> None:
    """Refresh until killed: some windows anew, now and then the whole; say which runs are published."""
    chance = random.Random(seed)
    progress = Progress(ended=lambda run: print(run.outcome, run.table_name, run.run_id, flush=True))
    with sqlml.connect(project=folder) as db:
        # The first one takes as long as many others: a process that is killed in it has done nothing yet.
        db.sql("REFRESH PREDICTION TABLE daily FROM '2024-01-01' TO '2024-01-02'")
        print("ready", flush=True)
        while True:
            start = chance.randrange(DAYS)
            bounds = (FIRST + timedelta(days=day) for day in (start, start + chance.randint(1, 4)))
            asked = Request(*(Bound("text", bound.isoformat()) for bound in bounds))
            if chance.random() < 0.15:
                asked = Request(full=True)
            try:
                db.predictions.refresh(chance.choice(list(TABLES)), asked, progress)
            except sqlml.SqlmlError as error:
                print("refused", type(error).__name__, flush=True)


def read(folder: Path, engine: str) -> None:
    """Read both tables until there is a file named `stop`; say of each read what was wrong with it."""
    with connected(folder, engine) as rows_of:
        print("ready", flush=True)
        while not (folder / "stop").exists():
            for name in TABLES:
                try:
                    wrong = torn(name, rows_of(name))
                except Exception as error:  # noqa: BLE001 - whatever a reader meets is to be counted
                    print("failed", name, " ".join(str(error).split())[:300], flush=True)
                else:
                    print("torn" if wrong else "read", name, wrong or "", flush=True)
                # The writers need the processor as well.
                time.sleep(0.05)


@contextlib.contextmanager
def connected(folder: Path, engine: str) -> Any:
    """What gives the days of a table: their rows, their ids, and the runs that they are of."""
    by_day = """
        SELECT CAST(CAST(ts AS DATE) AS STRING) AS day, count(*) AS n, count(DISTINCT id) AS ids,
            count(DISTINCT _run_id) AS runs, sum(CASE WHEN risk BETWEEN 0 AND 1 THEN 0 ELSE 1 END) AS wrong
        FROM {} GROUP BY 1 ORDER BY 1
    """
    if engine == "deltalake":
        import duckdb
        from deltalake import DeltaTable

        def rows_of(name: str) -> list[tuple[Any, ...]]:
            held = DeltaTable(folder / "tables" / name).to_pyarrow_table()
            found = duckdb.from_arrow(held).query("held", by_day.format("held"))
            return [tuple(row) for row in found.fetchall()]

        yield rows_of
        return
    with sqlml.connect(project=folder, engine=engine) as db:
        fetched = "fetchall" if engine == "duckdb" else "collect"
        yield lambda name: [tuple(row) for row in getattr(db.sql(by_day.format(f"predictions.{name}")), fetched)()]


def torn(name: str, days: list[tuple[Any, ...]]) -> str:
    """What is wrong with a read: each day is there, whole; of a table of windows, each is of one run."""
    if [day for day, *_ in days] != [f"{FIRST + timedelta(days=i):%Y-%m-%d}" for i in range(DAYS)]:
        return f"{len(days)} of {DAYS} days"
    for day, rows, ids, runs, wrong in days:
        if (rows, ids, wrong) != (A_DAY, A_DAY, 0) or (name == "daily" and runs != 1):
            return f"{day}: {rows} rows, {ids} ids, {runs} runs, {wrong} wrong"
    return ""


def run_and_kill(folder: Path, seed: int, found: Found, guard: threading.Lock) -> None:
    """One writer: started, left at work for a random time, killed; what it said is written down."""
    process = started(folder, "--write", str(seed))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0, LONGEST))
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[0]
    with guard:
        found.kills += process.returncode == -signal.SIGKILL
        # A line that was cut off was not said.
        for line in said.splitlines(keepends=True):
            if line.endswith("\n") and line.startswith("published "):
                found.acknowledged[" ".join(line.split()[1:])] += 1
            found.refused += line.startswith("refused ")


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--folder", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_many(folder: Path, kills: int, found: Found) -> None:
    """Three writers at a time, until so many were killed."""
    guard, seeds = threading.Lock(), iter(range(10_000_000))

    def one_after_the_other() -> None:
        while True:
            with guard:
                if found.kills >= kills:
                    return
                seed = next(seeds)
            run_and_kill(folder, seed, found, guard)
            print(f"\r{found.kills} kills", end="", file=sys.stderr, flush=True)

    writers = [threading.Thread(target=one_after_the_other) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    print(file=sys.stderr)


def account(folder: Path, found: Found) -> None:
    """Hold what was said against the logs, the catalog and the tables."""
    with sqlml.connect(project=folder) as db:
        for name in TABLES:
            db.sql(f"DESCRIBE PREDICTION TABLE {name}")
            made = commits(folder / "tables" / name)
            found.commits += len(made)
            found.duplicates += len(made) - len({(one["app_id"], one["number"]) for one in made})
            known = {one["run_id"] for one in made}
            recorded = {run.run_id for run in db.predictions.desk.tables.runs(name, outcome="published")}
            said = [run for table, run in map(str.split, found.acknowledged) if table == name]
            found.lost += sum(run not in known or run not in recorded for run in said)
            found.left_running += sum(
                one.outcome == "running" for one in db.predictions.desk.tables.refreshes(name, None)
            )
    with connected(folder, "duckdb") as rows_of:
        found.torn += sum(bool(torn(name, rows_of(name))) for name in TABLES)


def commits(root: Path) -> list[dict[str, Any]]:
    """What each commit of a refresh says, read from the log alone."""
    found = []
    for entry in sorted((root / LOG).glob("*.json")):
        for action in map(json.loads, entry.read_text(encoding="utf-8").splitlines()):
            if "sqlml" in action.get("commitInfo", {}):
                found.append(json.loads(action["commitInfo"]["sqlml"]))
    return [one for one in found if "run_id" in one and "windows" in one]


def chaos(folder: Path, kills: int, engines: list[str]) -> Found:
    """Make the tables, kill, read, and count."""
    found = Found()
    make(folder)
    readers = [started(folder, "--read", engine) for engine in engines]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    said: list[str] = []
    listening = [threading.Thread(target=lambda one=reader: said.extend(one.stdout)) for reader in readers]
    for thread in listening:
        thread.start()
    kill_many(folder, kills, found)
    (folder / "stop").touch()
    for thread, reader in zip(listening, readers, strict=True):
        thread.join()
        found.failed_reads += reader.wait() != 0
    for line in said:
        found.reads += 1
        found.torn += line.startswith("torn ")
        found.failed_reads += line.startswith("failed ")
        if line.startswith(("torn ", "failed ")):
            print(line, end="", file=sys.stderr)
    account(folder, found)
    return found


def main() -> int:
    """Read the command line; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--spark", action="store_true", help="a reader on Spark, too")
    for hidden in ("--folder", "--write", "--read"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(Path(given.folder), int(given.write))
    elif given.read:
        read(Path(given.folder), given.read)
    else:
        engines = ["duckdb", "duckdb", "deltalake", *(["spark"] if given.spark else [])]
        with tempfile.TemporaryDirectory(prefix="sqlml-chaos-") as folder:
            begun = time.perf_counter()
            found = chaos(Path(folder), given.kills, engines)
        print(f"{found}\n\n{WRITERS} writers, readers: {', '.join(engines)}; {time.perf_counter() - begun:,.0f} s")
        return 1 if found.wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
