"""Spark on several executors: processes that share nothing with this one but the machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from engines import faulty

pytestmark = [pytest.mark.spark, pytest.mark.long]

TESTS = Path(__file__).parents[1]
SECONDS = 300


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    faulty.build(folder, folder / "die")
    return folder


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Everything on loopback; pyspark is its own SPARK_HOME."""
    import pyspark

    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(tmp_path / "work"),
        "SPARK_LOCAL_DIRS": str(tmp_path / "local"),
    }


def run(master: str, body: str, project: Path, environment: dict[str, str], tmp_path: Path) -> list[str]:
    """What a job prints. In a process of its own, for each holds one Spark session."""
    script = tmp_path / "job.py"
    script.write_text(HEAD + body, encoding="utf-8")
    command = [sys.executable, str(script), master, str(project), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-4000:]
    return done.stdout.splitlines()


HEAD = """
import os, signal, sys, threading, time
from pathlib import Path
import numpy as np
from pyspark.sql import SparkSession
import sqlml
from engines import faulty
from sql.asking import answers, same

master, project, folder = sys.argv[1:]
conf = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "FATAL",
        "spark.sql.warehouse.dir": folder + "/warehouse", "spark.sql.shuffle.partitions": "2",
        "spark.executor.memory": "1g", "spark.sql.session.timeZone": "UTC"}
spark = SparkSession.builder.master(master).config(map=conf).getOrCreate()
tracker = spark.sparkContext.statusTracker()


def executors():
    return len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1


ends = time.monotonic() + 60
while executors() < 2 and time.monotonic() < ends:
    time.sleep(0.1)
assert executors() == 2
"""

ANSWERS = """
models = faulty.models(Path("/nowhere"))
with sqlml.connect(spark, project=project) as db:
    for name in ("churn", "line", "wide200", "touchy"):
        rows = models[name].rows
        frame = spark.createDataFrame(rows.assign(id=range(len(rows)))).repartition(4)
        frame.createOrReplaceTempView("given")
        db.register(name + "_auto", f"models:/{name}@champion", replace=True)
        for function in (name, name + "_auto"):
            found = db.sql(f"SELECT {function}(t) FROM given t ORDER BY id").collect()
            same([row[0] for row in found], answers(models[name]))
            strategy = db.explain(f"SELECT {function}(t) FROM given t").calls[0].target.strategy
            print(function, strategy)
        db.drop(name + "_auto")
    try:
        db.sql(f"SELECT touchy(IF(id = 900, {faulty.BAD}, id), 4321) FROM range(0, 1000, 1, 4)").collect()
    except Exception as error:
        print(repr(db.engine_error(error)))
spark.stop()
"""

KILLED = """
def java(pid):
    try:
        return b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def below(pid, top):
    while pid > 1 and pid != top:
        pid = parent(pid)
    return pid == top


top = spark.sparkContext._gateway.proc.pid
total, found, failed = 30_000_000, [], []


def ask():
    try:
        found.extend(db.cursor().sql(f"SELECT count(*), sum(line(id / {total}, id % 7)) FROM range(0, {total}, 1, 8)")
                     .collect())
    except Exception as error:
        failed.append(error)


with sqlml.connect(spark, project=project) as db:
    model = faulty.models(Path("/nowhere"))["line"].model
    db.sql("SELECT line(1, 2)").collect()
    asked = threading.Thread(target=ask)
    asked.start()
    while not tracker.getActiveStageIds():
        time.sleep(0.05)
    time.sleep(1.5)
    assert tracker.getActiveStageIds(), "it was over before anything was killed"
    killed = [int(p.name) for p in Path("/proc").glob("[0-9]*") if java(p.name) and below(int(p.name), top)]
    assert len(killed) == 2, killed
    os.kill(killed[0], signal.SIGKILL)
    asked.join(200)
    assert not asked.is_alive()
    if failed:
        # One sentence, whatever it was.
        print("error", repr(db.engine_error(failed[0]) or failed[0]))
    else:
        numbers = np.arange(total)
        wanted = (model.coef_[0] * (numbers / total) + model.coef_[1] * (numbers % 7) + model.intercept_).sum()
        assert found[0][0] == total
        np.testing.assert_allclose(found[0][1], wanted, rtol=1e-9)
        print("right")
    same([row[0] for row in db.sql("SELECT touchy(id, 1) FROM range(3)").collect()], [1.0, 3.0, 5.0])
    print("goes on")
spark.stop()
"""


def told(lines: list[str]) -> None:
    """Every strategy answered, and the error came back from another machine's process as it was raised."""
    strategies = dict(line.split() for line in lines if len(line.split()) == 2)
    assert set(strategies) >= {"churn", "line", "wide200", "touchy"}
    assert {"kernel", "python"} <= set(strategies.values())
    (raised,) = [line for line in lines if "PredictionFailed" in line]
    assert "'touchy' (touchy version 1) raised ValueError" in raised
    assert "(partition 3)" in raised
    assert "987654" not in raised


def test_two_executors(project, environment, tmp_path):
    told(run("local-cluster[2,1,1024]", ANSWERS, project, environment, tmp_path))


def test_an_executor_killed_in_mid_query(project, environment, tmp_path):
    lines = run("local-cluster[2,1,1024]", KILLED, project, environment, tmp_path)
    assert lines[-1] == "goes on"
    assert lines[-2] == "right" or lines[-2].startswith("error EngineError(")


@pytest.fixture
def standalone(environment, tmp_path) -> Iterator[str]:
    """A master with two workers, each of one core."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, log = [], (tmp_path / "daemons.log").open("wb")

    def start(name: str, *arguments: str) -> None:
        command = [f"{environment['SPARK_HOME']}/bin/spark-class", f"org.apache.spark.deploy.{name}", *arguments]
        at = ["--host", "127.0.0.1", "--webui-port", "0"]
        started.append(subprocess.Popen([*command, *at], env=environment, stdout=log, stderr=log, cwd=tmp_path))

    try:
        start("master.Master", "--port", str(port))
        wait_for(port)
        for i in range(2):
            place = ["--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / f"work{i}")]
            start("worker.Worker", f"spark://127.0.0.1:{port}", *place)
        yield f"spark://127.0.0.1:{port}"
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)
        log.close()


def wait_for(port: int) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the master did not start")


def test_a_standalone_cluster(standalone, project, environment, tmp_path):
    told(run(standalone, ANSWERS, project, environment, tmp_path))


def test_functions_of_a_metastore(project, environment, tmp_path):
    """Published for good by the command, called by name from the `spark-sql` shell, which has no Python to run."""
    (tmp_path / "sqlml.toml").write_text((project / "sqlml.toml").read_text(encoding="utf-8"), encoding="utf-8")
    url = f"jdbc:derby:;databaseName={tmp_path}/metastore;create=true"
    conf = {
        "spark.sql.catalogImplementation": "hive",
        "spark.hadoop.javax.jdo.option.ConnectionURL": url,
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
    }
    shutil.copytree(project / ".sqlml", tmp_path / ".sqlml")
    held = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in conf.items())
    with (tmp_path / "sqlml.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[spark]\nconf = {{ {held} }}\n")

    def run(*command: str) -> str:
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr[-4000:]
        return done.stdout

    said = run(sys.executable, "-m", "sqlml", "publish", "line", "--to", "spark")
    assert said == "line is in Spark's metastore as 1 function(s).\n"
    shell = Path(environment["SPARK_HOME"]) / "bin" / "spark-sql"
    options = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    environment["PYSPARK_PYTHON"] = "/nowhere/python"
    answer = run(str(shell), *options, "-e", "SELECT line(b => 2.5D, a => 1)")
    model = faulty.models(Path("/nowhere"))["line"].model
    assert float(answer) == pytest.approx(model.predict(pd.DataFrame({"a": [1.0], "b": [2.5]}))[0], rel=1e-9)
