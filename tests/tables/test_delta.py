"""A commit is whole or not there, exact, and made once: with others at the same time, and with processes that die."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from sqlml.errors import BadTableFile, TableMissing, TableUnreadable, TableUnwritable
from sqlml.tables import delta
from sqlml.tables.delta import Commit, DataFile, create, files, open_table, publish

SCHEMA = pa.schema([("id", pa.int64()), ("risk", pa.float64())])


@pytest.fixture
def root(tmp_path) -> Path:
    create(tmp_path / "risk", SCHEMA)
    return tmp_path / "risk"


def written(root: Path, window: str, run: str, ids: range, rows: pa.Table | None = None) -> DataFile:
    """A file of a run, before anybody knows of it."""
    path = f"data/{window}/{run}/0.parquet"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    held = pa.table({"id": list(ids), "risk": [0.5] * len(ids)}, SCHEMA) if rows is None else rows
    pq.write_table(held, root / path)
    return DataFile(path)


def replaced(root: Path, window: str, run: str, ids: range, number: int = 1) -> Commit:
    return publish(
        root, [written(root, window, run, ids)], app_id=f"sqlml/risk/{window}", number=number,
        replaces=lambda path: path.startswith(f"data/{window}/"), metadata={"run": run},
    )  # fmt: skip


def ids(root: Path, version: int | None = None) -> list[int]:
    """As a reader without Delta's extension sees them."""
    paths = open_table(root, version).file_uris()
    return (
        []
        if not paths
        else [i for (i,) in duckdb.sql(f"SELECT id FROM read_parquet({paths!r}) ORDER BY id").fetchall()]
    )


def test_a_window_takes_the_place_of_the_one_before(root):
    assert replaced(root, "a", "r1", range(3)) == Commit(1, True, {"run": "r1", "app_id": "sqlml/risk/a", "number": 1})
    assert replaced(root, "b", "r2", range(10, 12)).version == 2
    assert replaced(root, "a", "r3", range(5), number=2).version == 3
    assert ids(root) == [0, 1, 2, 3, 4, 10, 11]
    assert ids(root, 2) == [0, 1, 2, 10, 11], "the old version is still there"
    assert files(open_table(root)) == {"data/a/r3/0.parquet": 5, "data/b/r2/0.parquet": 2}


def test_the_same_work_twice_is_there_once(root):
    first = replaced(root, "a", "r1", range(3))
    again = replaced(root, "a", "r2", range(3))
    assert (again.made, again.version, again.metadata["run"]) == (False, first.version, "r1")
    assert open_table(root).version() == 1


def test_paths_that_an_url_would_write_otherwise(root):
    """A log holds paths as URLs: what is taken out must be what came in."""
    odd = "50 % of a+b é"
    replaced(root, odd, "r1", range(3))
    assert list(files(open_table(root))) == [f"data/{odd}/r1/0.parquet"]
    replaced(root, odd, "r2", range(3, 5), number=2)
    assert ids(root) == [3, 4]


def test_a_window_without_rows_goes_out(root):
    replaced(root, "a", "r1", range(3))
    publish(root, [], app_id="sqlml/risk/a", number=2, replaces=lambda path: path.startswith("data/a/"), metadata={})
    assert ids(root) == []
    assert files(open_table(root)) == {}


def test_partitions(tmp_path):
    root = tmp_path / "parted"
    create(root, pa.schema([*SCHEMA, ("day", pa.date32())]), ["day"], "by day")
    held = written(root, "a", "r1", range(2))
    with pytest.raises(BadTableFile, match="needs the values of the partition columns"):
        publish(root, [held], app_id="x", number=1, replaces=lambda _: True, metadata={})
    given = [DataFile(held.path, {"day": "2024-02-29"})]
    publish(root, given, app_id="x", number=1, replaces=lambda _: True, metadata={})
    other = DataFile(written(root, "b", "r2", range(5)).path, {"day": None})
    publish(root, [other], app_id="y", number=1, replaces=lambda path: False, metadata={})
    found = pa.table(open_table(root).get_add_actions(flatten=True)).to_pylist()
    assert sorted(str(row["partition.day"]) for row in found) == ["2024-02-29", "None"]
    publish(root, given, app_id="x", number=2, replaces=lambda path: "/b/" in path, metadata={})
    assert ids(root) == [0, 1], "what comes in under the same path is the same file"


WRONG = {
    "is not there": None,
    "its column 'risk' is missing": pa.table({"id": [1]}),
    "its column 'more' is int64": pa.table({"id": [1], "risk": [0.5], "more": [1]}),
    "its column 'risk' is string": pa.table({"id": [1], "risk": ["0.5"]}),
    "its column 'id' is int32": pa.table({"id": pa.array([1], pa.int32()), "risk": [0.5]}),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_file_that_does_not_fit(root, said):
    """Delta itself takes each of these."""
    replaced(root, "a", "r1", range(3))
    rows = WRONG[said]
    held = DataFile("data/b/r2/0.parquet") if rows is None else written(root, "b", "r2", range(1), rows)
    with pytest.raises(BadTableFile, match=said):
        publish(root, [held], app_id="x", number=1, replaces=lambda _: True, metadata={})
    assert (open_table(root).version(), ids(root)) == (1, [0, 1, 2])


def test_a_file_that_is_cut_off(root):
    held = written(root, "a", "r1", range(1000))
    whole = (root / held.path).read_bytes()
    (root / held.path).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadTableFile, match="no Parquet"):
        publish(root, [held], app_id="x", number=1, replaces=lambda _: True, metadata={})


def test_no_table_and_a_broken_one(tmp_path, root):
    with pytest.raises(TableMissing, match="There is no table at"):
        open_table(tmp_path / "none")
    with pytest.raises(TableMissing, match="at version 9"):
        open_table(root, 9)
    (root / "_delta_log" / f"{0:020}.json").write_text("{broken", encoding="utf-8")
    with pytest.raises(TableUnreadable, match="can't be read"):
        open_table(root)


def test_many_at_once_make_one_table(tmp_path):
    root = tmp_path / "risk"
    makers = [threading.Thread(target=create, args=(root, SCHEMA)) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert (open_table(root).version(), len(list((root / "_delta_log").glob("*.json")))) == (0, 1)


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from tables.test_delta import replaced
root, first = Path(sys.argv[1]), int(sys.argv[2])
for place in range(20):
    # Each window is tried by two of the processes, and each process's rows are its own.
    window = (first + place) % 40
    commit = replaced(root, f"w{window}", f"p{first}", range(window * 100, window * 100 + 10))
    print(window, commit.made, commit.metadata["run"], flush=True)
"""


def started(root: Path, first: int, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(first), str(Path(__file__).parents[1])]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )


def once_each(root: Path, windows: range) -> None:
    """Each window is of one run, whole; the log has no version twice."""
    held = files(open_table(root))
    assert sorted(path.split("/")[1] for path in held) == sorted(f"w{window}" for window in windows)
    assert list(held.values()) == [10] * len(windows)
    assert ids(root) == sorted(window * 100 + i for window in windows for i in range(10))


def test_four_processes_at_once(root):
    """Rival runs of the same windows: one is published, the other is told by which."""
    working = [started(root, first) for first in (0, 10, 20, 30)]
    said = [line.split() for process in working for line in process.communicate(timeout=300)[0].splitlines()]
    assert [process.returncode for process in working] == [0] * 4
    once_each(root, range(40))
    made = {window: run for window, was_made, run in said if was_made == "True"}
    assert len(said) == 80
    assert sum(was_made == "True" for _, was_made, _ in said) == 40
    assert all(made[window] == run for window, _, run in said)
    assert open_table(root).version() == 40


@pytest.mark.parametrize("place", ["before commit", "after commit"])
def test_a_process_that_dies_at(root, place):
    """What it was at is there whole or not at all; the same command does the rest."""
    process = started(root, 0, SQLML_FAILPOINT=place)
    process.communicate(timeout=120)
    assert process.returncode == -9
    once_each(root, range(0 if place == "before commit" else 1))
    healed = started(root, 0)
    said = healed.communicate(timeout=300)[0].splitlines()
    assert healed.returncode == 0
    assert said[0].split()[1] == str(place == "before commit")
    once_each(root, range(20))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; the next test goes without")
def test_the_data_are_on_the_disk_before_the_log_and_the_log_before_success(root, tmp_path):
    trace = tmp_path / "trace"
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parents[1])]!r}
from tables.test_delta import replaced
replaced(Path({str(root)!r}), "a", "r1", range(3))
Path({str(tmp_path / "told")!r}).touch()
"""
    calls = "trace=fsync,fdatasync,openat,link,linkat,rename,renameat,renameat2"
    done = subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", code],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    order = []
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        if "fsync(" in line and str(root) in line:
            order.append("sync " + line.split("<", 1)[1].split(">")[0].removeprefix(str(root)))
        elif f"{1:020}.json" in line and any(call in line for call in ("link", "rename")) and " = 0" in line:
            order.append("log")
        elif "told" in line and "O_CREAT" in line:
            order.append("told")
    log = order.index("log")
    assert {"sync /data/a/r1/0.parquet", "sync /data/a/r1", "sync /data/a", "sync /data", "sync "} <= set(order[:log])
    after = order[log : order.index("told")]
    assert f"sync /_delta_log/{1:020}.json" in after
    assert "sync /_delta_log" in after


def test_the_order_of_a_commit(root, monkeypatch):
    order, sync, commit = [], delta._sync, DeltaTable.create_write_transaction

    def synced(path):
        sync(path)
        order.append(str(path.relative_to(root)))

    def committed(*args, **kwargs):
        commit(*args, **kwargs)
        order.append("the log entry")

    monkeypatch.setattr(delta, "_sync", synced)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", committed)
    replaced(root, "a", "r1", range(3))
    place = order.index("the log entry")
    assert order[0] == "data/a/r1/0.parquet"
    assert set(order[1:place]) == {"data/a/r1", "data/a", "data", "."}
    assert order[place + 1 :] == [f"_delta_log/{1:020}.json", "_delta_log"]


def test_an_outcome_that_is_not_known_is_asked_of_the_table(root, monkeypatch):
    """An error that came after the log was written is no reason to write again, or to throw files away."""
    real = DeltaTable.create_write_transaction

    def stumbles(self, *args, **kwargs):
        real(self, *args, **kwargs)
        raise OSError("the answer was lost")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", stumbles)
    assert replaced(root, "a", "r1", range(3)).made
    assert ids(root) == [0, 1, 2]

    def fails(self, *args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fails)
    with pytest.raises(TableUnwritable, match=r"no space left\. Nothing was published"):
        replaced(root, "a", "r2", range(9), number=2)
    assert ids(root) == [0, 1, 2]
    assert (root / "data/a/r2/0.parquet").is_file(), "data are never thrown away where the outcome isn't known"


def test_a_reader_sees_whole_versions_alone(root):
    """While two windows are replaced again and again, each read has both windows, each of one generation."""
    replaced(root, "a", "r0", range(10))
    replaced(root, "b", "r0", range(100, 110))
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            held = files(open_table(root))
            seen.append(sorted(path.split("/")[1] for path in held))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2, 22):
        replaced(root, "ab"[number % 2], f"r{number}", range(10), number=number)
    stop.set()
    reader.join()
    assert seen
    assert all(windows == ["a", "b"] for windows in seen)


def test_the_log_says_who(root):
    replaced(root, "a", "r1", range(3))
    lines = (root / "_delta_log" / f"{1:020}.json").read_text(encoding="utf-8").splitlines()
    info = next(entry["commitInfo"] for entry in map(json.loads, lines) if "commitInfo" in entry)
    assert json.loads(info["sqlml"])["run"] == "r1"
    assert delta.LOG == "_delta_log"
