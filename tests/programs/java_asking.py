"""Asks the classes in Spark's JVM and the evaluator the same, and finds the first row on which they differ."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from programs.sql_asking import expected, parts_of, same
from sqlml.engines.spark_jar import write_jar
from sqlml.programs.java import call_text, java_of
from sqlml.programs.program import Program
from sqlml.programs.publish import SUFFIXES, Publication

# Rows that the optimizer answers by itself would never reach the code that Spark generates.
_NOT_BEFORE = "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation"

_CATALOGS = itertools.count()


def session(spark: Any, folder: Path) -> Jvm:
    """A session of its own beside the run's one, where no row is answered ahead of time."""
    fresh = spark.newSession()
    fresh.conf.set("spark.sql.optimizer.excludedRules", _NOT_BEFORE)
    return Jvm(fresh, folder)


class Jvm:
    """A session, and a folder for jars: each question gets a jar and a catalog of its own."""

    def __init__(self, spark, folder: Path):
        self.spark, self.folder = spark, folder

    def catalog(self, publications):
        """Functions in a new catalog; gives its name."""
        name = f"ml{next(_CATALOGS)}"
        functions = {
            one.function + SUFFIXES[output]: java_of(one, output) for one in publications for output in one.outputs
        }
        path = self.folder / f"{name}.jar"
        write_jar(self.spark, f"sqlml.jvm.Catalog{name}", functions, path)
        self.spark.sql(f"ADD JAR '{path}'")
        self.spark.conf.set(f"spark.sql.catalog.{name}", f"sqlml.jvm.Catalog{name}")
        return name

    def frame(self, table, query):
        """A query over a table that is named `given`."""
        self.spark.createDataFrame(table).createOrReplaceTempView("given")
        return self.spark.sql(query)

    def rows(self, table, query):
        return self.frame(table, query).toArrow()

    def answers(self, publications, table, plain=False):
        """Each function of each publication over a table with its arguments, a list of answers each."""
        catalog = self.catalog(publications)
        calls = []
        for one in publications:
            names = [f"`{name}`" for name, _ in one.arguments]
            for output in one.outputs:
                function = one.function + SUFFIXES[output]
                bare = f"{catalog}.`{function}`({', '.join(names)})"
                calls.append(f"{bare if plain else call_text(one, output, catalog, names)} AS `{function}`")
        found = self.rows(table, f"SELECT __row, {', '.join(calls)} FROM given")
        found = found.sort_by("__row")
        return {name: found.column(name).to_pylist() for name in found.column_names[1:]}


def published(program, name="f", required=(), types=None, **options):
    """A program whose answer is its `value`, as a publication."""
    given = types or ["VARCHAR" if node.text else "DOUBLE" for node in program.inputs]
    arguments = [(node.name, type_) for node, type_ in zip(program.inputs, given, strict=True)]
    refs = program.heads.get("value", ())
    options.setdefault("outputs", ["predict"])
    options.setdefault("returns", "DOUBLE" if len(refs) == 1 else "DOUBLE[]")
    return Publication(name, arguments, program, required=frozenset(required), **options)


def differs(jvm, programs, columns, *, required=(), bounds=0.0, scale=0.0, plain=False):
    """For each program by its name the first row whose value is not the evaluator's; nothing where all are."""
    publications = [
        published(Program(program.nodes, {"value": program.heads["value"]}), name, required)
        for name, program in programs.items()
    ]
    (first, *_) = programs.values()
    wanted = {name: expected(program, "value", columns, required) for name, program in programs.items()}
    refused = np.any([one[2] for one in wanted.values()], axis=0)
    kept = np.flatnonzero(~refused)
    table = parts_of(first, columns).append_column("__row", pa.array(range(len(columns[0])))).take(pa.array(kept))
    got = jvm.answers(publications, table, plain=plain)
    found = {}
    for name, (want, _, _) in wanted.items():
        bound = bounds.get(name, 0.0) if isinstance(bounds, dict) else bounds
        # A row with a missing value that one argument needs is NULL, whether this answer depends on it or not.
        needed = [i for i, node in enumerate(first.inputs) if i in set(required)]
        for i, (row, answer) in enumerate(zip(kept.tolist(), got[name], strict=True)):
            held = table.slice(i, 1).to_pylist()[0]
            given = [held[first.inputs[n].name] for n in needed]
            if any(value is None or value != value for value in given):
                fine = answer is None
            else:
                answers = answer if isinstance(answer, list) else [answer]
                fine = len(answers) == want.shape[1] and all(
                    same(own, one, bound, scale) for own, one in zip(want[row].tolist(), answers, strict=True)
                )
            if not fine:
                found[name] = (row, held, want[row].tolist(), answer)
                break
    return found


def refusal(jvm, publication, values):
    """The message of the error that a row is, empty for none."""
    catalog = jvm.catalog([publication])
    names = [name for name, _ in publication.arguments]
    table = pa.table({name: pa.array([value]) for name, value in zip(names, values, strict=True)})
    call = call_text(publication, "predict", catalog, [f"`{name}`" for name in names])
    try:
        jvm.rows(table, f"SELECT {call} AS v FROM given")
    except (PySparkException, Py4JJavaError) as error:
        return str(error)
    return ""
