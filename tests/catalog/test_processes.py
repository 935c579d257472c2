"""Several processes, one catalog."""

import subprocess
import sys
from datetime import UTC, datetime

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


TABLES = """
import os, signal, sys, time
from datetime import UTC, datetime
from sqlml.catalog import Catalog, Refresh, TableWindow
url, name = sys.argv[1:3]
print("ready", flush=True)
sys.stdin.readline()
catalog = Catalog.open(url)
tables = catalog.predictions
now = datetime.now(UTC)

def window(key, commit, number=1):
    return TableWindow(key, None, None, number, name, commit, 1, "q", {}, now)
"""

SLOT = (
    TABLES
    + """
wanted = Refresh(
    name, "T", "due", None, None, datetime(2013, 1, 2, tzinfo=UTC), 1, 1, now, None, "running", None, "h", 1, now
)
begun, fresh = tables.begin_refresh(wanted)
print(begun.refresh_id, begun.attempt, fresh)
"""
)

LOCKED = (
    TABLES
    + """
inside = 0
for _ in range(20):
    while (holder := tables.lock("t" if inside % 2 else "T", name, 30)) is not None:
        assert holder != name
        time.sleep(0.002)
    # Whoever has the lock is alone with the file: a second one would find it there.
    handle = os.open(url.removeprefix("sqlite:///") + ".inside", os.O_CREAT | os.O_EXCL)
    os.close(handle)
    os.unlink(url.removeprefix("sqlite:///") + ".inside")
    inside += 1
    tables.unlock("t", name)
"""
)

ABSORBED = (
    TABLES
    + """
offset = int(name)
for commit in range(offset, 160, 8):
    tables.absorb("t", commit, [window("shared", commit, commit), window(f"own-{commit}", commit)])
"""
)

TORN = (
    TABLES
    + """
from sqlml.catalog import refreshes
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
refreshes.mark_published = killed
tables.absorb("t", 7, [window("k", 7)], gone=["before"])
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


def test_of_those_that_begin_the_same_refresh_one_does(url, catalog, declare):
    declare("T")
    results = together(SLOT, url, 6)
    assert [err for _code, _out, err in results] == [""] * 6
    answers = [out.split() for _code, out, _err in results]
    assert [fresh for *_, fresh in answers].count("True") == 1
    assert len({tuple(answer[:2]) for answer in answers}) == 1
    (begun,) = catalog.predictions.refreshes("t")
    assert (begun.attempt, begun.outcome) == (1, "running")


def test_of_those_that_take_over_a_refresh_one_does(url, catalog, declare, refresh):
    declare("T")
    slot = datetime(2013, 1, 2, tzinfo=UTC)
    catalog.predictions.begin_refresh(refresh("silent", scheduled_for=slot, heartbeat_at=slot))
    results = together(SLOT, url, 6)
    assert [out.split()[2] for _code, out, _err in results].count("True") == 1
    assert {out.split()[1] for _code, out, _err in results} == {"2"}
    assert [(one.attempt, one.outcome) for one in catalog.predictions.refreshes("t")] == [(2, "running"), (1, "failed")]


def test_a_lock_has_one_holder(sqlite_url):
    Catalog.open(sqlite_url).close()
    assert together(LOCKED, sqlite_url, 4) == [(0, "", "")] * 4


def test_what_several_absorb_comes_to_the_same(url, catalog, declare):
    declare()
    assert together(ABSORBED, url, 8) == [(0, "", "")] * 8
    assert catalog.predictions.get("t").synced_version == 159
    known = catalog.predictions.windows("t")
    assert known.keys() == {"shared", *(f"own-{commit}" for commit in range(160))}
    assert (known["shared"].number, known["shared"].run_id) == (159, "7")


def test_one_killed_while_it_absorbs_leaves_what_was_known(url, catalog, declare, window):
    declare()
    catalog.predictions.absorb("t", 3, [window("before", 3)])
    ((code, _out, err),) = together(TORN, url, 1)
    assert (code, err) == (-9, "")
    assert list(catalog.predictions.windows("t")) == ["before"]
    assert catalog.predictions.get("t").synced_version == 3
