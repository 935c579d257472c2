"""The golden files: a statement, what is done to it, and what DuckDB and Spark get; what must not be done, too.

`SQLML_TEST_WRITE_GOLDEN=1` writes what they get now into the files.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sqlml
from rewriting.comparing import agree
from rewriting.tables import arrow, fill, made
from rewriting.world import rewriting
from sql.test_explain import normal
from sqlml.query.passes import NAMES, equal, limits

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "rewrites").glob("*.sql"))
_BETWEEN = re.compile(r"^-- (does|DuckDB gets|Spark gets):\n", re.MULTILINE)
WRITES = os.environ.get("SQLML_TEST_WRITE_GOLDEN") == "1"


def parts(path: Path) -> dict[str, str]:
    """The statement, which has no title, and what follows each of the others."""
    text, *rest = _BETWEEN.split(path.read_text(encoding="utf-8"))
    return {"": text, **dict(zip(rest[::2], rest[1::2], strict=True))}


def write(path: Path, held: dict[str, str]) -> None:
    titled = [
        f"-- {title}:\n{text.rstrip()}\n" if text.strip() else f"-- {title}:\n" for title, text in held.items() if title
    ]
    path.write_text(held[""].rstrip() + "\n" + "".join(titled), encoding="utf-8")


def shown(plan) -> tuple[str, str]:
    """What was done, a line each, and the SQL; without the digits of numbers that fitting a model has made."""
    sql = re.sub(r"`sqlml_[0-9a-f]+`", "`jvm`", normal(plan.sql))
    sql = re.sub(r"unchanged\('(\w+)[^']*'\)", r"unchanged('\1 ...')", sql)
    does = "".join(f"-- {line}\n" for line in plan.rewrites)
    return tuple(re.sub(r"\d+\.\d{5,}(e[+-]?\d+)?", "#", text) for text in (does, sql))


@pytest.fixture(scope="module")
def eager():
    """Tables of some thousand rows are worth it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "_SAMPLE", 100)
        patch.setattr(equal, "_FEWER", 2)
        yield


@pytest.fixture(scope="module")
def golden(rewriting_world, eager):
    with sqlml.connect(project=rewriting_world.folder, publish="needed", rewrites="always") as db:
        fill(db, made())
        fill(db, made(), keys=False, suffix="_free")
        db.sql("CREATE TABLE many AS SELECT f.* FROM facts AS f, range(3)")
        yield db


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_what_duckdb_gets(golden, path):
    held = parts(path)
    does, gets = shown(golden.explain(held[""]))
    if WRITES:
        write(path, {**held, "does": does, "DuckDB gets": gets})
        held = parts(path)
    assert does == held["does"]
    assert gets.strip() == held["DuckDB gets"].strip()
    if "random()" in held[""] or "SAMPLE" in held[""]:
        return
    # What is printed there is what runs.
    agree(golden, held[""], params=["AA"] if "?" in held[""] else None)


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_a_file_is_named_after_what_is_done(path):
    name, does = path.stem, parts(path)["does"]
    one = name.split("_")[0]
    if one == "unreadable":
        assert does.startswith("-- none of the query: ")
        return
    lines = [line for line in does.splitlines() if one != "constraints" or "by the filter" in line]
    assert one in NAMES
    assert any(word in line for word in WORDS[one] for line in lines) != (
        "_not_" in name or name == "constraints_parameter"
    )


WORDS = {
    "subqueries": ("is looked at within the subquery",),
    "constraints": ("carrier is", "delay is", "maker is"),
    "statistics": ("the table's statistics",),
    "joins": ("the join with",),
    "dimensions": ("computed once a row of",),
    "equal": ("once for each combination",),
    "ranges": ("can't come there unless",),
    "predicates": ("can no longer come",),
    "limits": ("be among the first",),
    "once": ("is computed once a row,",),
    "order": ("is looked at before",),
}


def test_there_is_a_file_for_each_pass_and_one_where_it_does_nothing():
    names = [path.stem for path in GOLDEN]
    assert all(any(name.split("_")[0] == one and "_not_" not in name for name in names) for one in NAMES)
    assert all(any(name.startswith(f"{one}_not_") for name in names) for one in NAMES)


SOON = ("dimensions_sum", "once_order", "predicates", "statistics", "subqueries")
"""What Spark is asked in every run."""


@pytest.fixture(scope="module")
def golden_spark(spark, rewriting_world, eager, tmp_path_factory):
    fresh, folder = spark.newSession(), tmp_path_factory.mktemp("golden")
    for name, rows in made().items():
        (folder / name).mkdir()
        pq.write_table(arrow(rows, name), folder / name / "0.parquet")
        fresh.read.parquet(str(folder / name)).createOrReplaceTempView(name)
    (folder / "many").mkdir()
    for place in range(3):
        shutil.copy(folder / "facts" / "0.parquet", folder / "many" / f"{place}.parquet")
    fresh.read.parquet(str(folder / "many")).createOrReplaceTempView("many")
    with sqlml.connect(fresh, project=rewriting_world.folder, publish="needed", rewrites="always") as db:
        yield db


@pytest.mark.spark
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in SOON else pytest.mark.long)
        for path in GOLDEN
        if "Spark gets" in parts(path)
    ],
)
def test_what_spark_gets(golden_spark, path):
    held = parts(path)
    with rewriting(golden_spark, "all"):
        does, gets = shown(golden_spark.explain(held[""]))
    gets = f"{does}{gets}"
    if WRITES:
        write(path, {**held, "Spark gets": gets})
        held = parts(path)
    assert gets.strip() == held["Spark gets"].strip()
    agree(golden_spark, held[""])
