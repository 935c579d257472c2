"""Several processes, one catalog."""

import subprocess
import sys

from sqlml.catalog import Catalog

START = """
import os, signal, sys
from sqlml.catalog import Catalog
from sqlml.errors import FunctionExists
url, name = sys.argv[1:3]
print("ready", flush=True)
sys.stdin.readline()
catalog = Catalog.open(url)

def version(model):
    return catalog.add_version(
        model=model, version="1", run_id=None, registry="r", digest="d", manifest={}, description={}, proofs=[]
    )

def put(function, model):
    catalog.put_function(
        name=function, reference="models:/" + model + "@champion", alias="champion", on_null="propagate",
        strategy="auto", comment=name, version_id=version(model), replace=False,
    )
"""

MANY = (
    START
    + """
for number in range(10):
    put(f"{name}_{number}", name)
    put(f"{name}_{number}_shared", "shared")
"""
)

RACE = (
    START
    + """
try:
    put("Risk" if name == "0" else "risk", "shared")
    print("won")
except FunctionExists:
    print("lost")
"""
)

KILLED = (
    START
    + """
from sqlalchemy import text
put("before", "m")
with catalog._database.writing() as connection:
    connection.execute(text("DELETE FROM functions"))
    connection.execute(text("UPDATE catalog_state SET revision = 1000"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def together(script: str, url: str, count: int) -> list[tuple[int, str, str]]:
    """Run processes that begin at the same time: the exit code and the output of each."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in started]
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def test_eight_processes_make_one_catalog_and_lose_nothing(url):
    results = together(MANY, url, 8)
    assert results == [(0, "", "")] * 8
    with Catalog.open(url) as catalog:
        snapshot = catalog.snapshot()
        assert set(snapshot.functions) == {
            f"{name}_{number}{tail}" for name in range(8) for number in range(10) for tail in ("", "_shared")
        }
        assert len(snapshot.versions) == 9
        # Nothing was counted twice or overwritten: each add and each put is one step.
        assert snapshot.revision == 8 * 10 * 4
        assert catalog.tables()["alias_history"].num_rows == 9


def test_of_two_that_make_the_same_function_one_wins(url):
    for _ in range(3):
        results = together(RACE, url, 2)
        assert sorted(out for _code, out, _err in results) == ["lost\n", "won\n"]
        assert [err for _code, _out, err in results] == ["", ""]
        with Catalog.open(url) as catalog:
            assert len(catalog.snapshot().functions) == 1
            catalog.drop_function("RISK")


def test_a_writer_killed_in_the_middle_leaves_the_catalog_as_it_was(url):
    ((code, _out, err),) = together(KILLED, url, 1)
    assert (code, err) == (-9, "")
    with Catalog.open(url) as catalog:
        assert list(catalog.snapshot().functions) == ["before"]
        assert catalog.revision() == 2
        catalog.trust("abc", "it can be written to again")
        assert catalog.is_trusted("abc")
