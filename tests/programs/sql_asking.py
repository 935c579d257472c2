"""Asks DuckDB and the evaluator the same, and finds the first row on which they differ."""

from __future__ import annotations

import math
import struct

import duckdb
import numpy as np
import pyarrow as pa

from programs.making import ODD, numbers, rows
from sqlml.programs import sql_printer
from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Builder,
    Encode,
    Guard,
    Linear,
    OneHot,
)
from sqlml.programs.sql import sql_text, to_sql

HALF_WAY = [1 + 2.0**-24, 1 + 3 * 2.0**-24, np.nextafter(1 + 2.0**-24, 0), np.nextafter(1 + 2.0**-24, 2)]
EXTREMES = [*ODD, *HALF_WAY, -0.5, 1.5, 2.5, -1.5, 5e-324, -5e-324, 0.1, -2.7, 1e308, -1e308, 3.0, 11.0, -800.0, 800.0]
NO_DUCKDB = {"normal_cdf"}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def parts_of(program, columns):
    """The rows as an Arrow table: every other missing number is NULL, the rest NaN."""
    held = {}
    for node, column in zip(program.inputs, columns, strict=True):
        if node.text:
            held[node.name] = pa.array(column, pa.string())
        else:
            values = np.asarray(column, float)
            mask = np.isnan(values) & (np.arange(len(values)) % 2 == 0)
            held[node.name] = pa.array(values, mask=mask)
    return pa.table(held)


def expected(program, head, columns, required):
    arrays = [
        pa.array(column, pa.string()) if node.text else np.asarray(column, float)
        for node, column in zip(program.inputs, columns, strict=True)
    ]
    found = evaluate(program, arrays, [head])
    valid = np.ones(len(columns[0]), bool)
    # What the head doesn't depend on may hold anything.
    for place in set(required).intersection(sql_printer.needed_nodes(program, program.heads[head])):
        array = arrays[place]
        valid &= ~(np.isnan(array) if isinstance(array, np.ndarray) else np.asarray(array.is_null()))
    return found.heads[head], valid, found.refused & valid


def same(own, got, bound, scale=0.0):
    if got is None or math.isnan(own) or math.isnan(got):
        return got is not None and math.isnan(own) and math.isnan(got)
    if bound == 0.0:
        return struct.pack("<d", own) == struct.pack("<d", got)
    return own == got or (math.isfinite(own) and abs(own - got) <= bound * max(abs(own), scale))


def differs(duck, program, columns, *, head="value", required=(), bound=0.0, scale=0.0, as_tree=False):
    """The first row whose answer is not the evaluator's, None where all are."""
    want, valid, refused = expected(program, head, columns, required)
    table = parts_of(program, columns)
    names = [quoted(node.name) for node in program.inputs]
    printed = to_sql if as_tree else sql_text
    text = printed(program, head, names, required=frozenset(required))
    text = text.sql("duckdb") if as_tree else text
    duck.register("given", table.append_column("__row", pa.array(range(len(table)))))
    query = "SELECT {} AS v FROM (SELECT * FROM given WHERE __row IN ({}) ORDER BY __row)"
    kept = np.flatnonzero(~refused)
    if len(kept):
        got = duck.execute(query.format(text, ", ".join(map(str, kept)))).fetchall()
        for row, (answer,) in zip(kept.tolist(), got, strict=True):
            if not valid[row]:
                fine = answer is None
            else:
                answers = answer if isinstance(answer, list) else [answer]
                fine = len(answers) == want.shape[1] and all(
                    map(same, want[row].tolist(), answers, [bound] * len(answers), [scale] * len(answers))
                )
            if not fine:
                return row, table.slice(row, 1).to_pylist()[0], want[row].tolist(), answer
    for row in np.flatnonzero(refused).tolist()[:12]:
        try:
            duck.execute(query.format(text, row)).fetchall()
        except duckdb.InvalidInputException as error:
            message = str(error)
        else:
            message = ""
        if "The argument '" not in message:
            return row, table.slice(row, 1).to_pylist()[0], "refused", message
    return None


def check(duck, program, columns, **options):
    assert differs(duck, program, columns, **options) is None


def over(make, width=2, names="abcdefgh"):
    """A program of one node over numbers."""
    graph, columns = numbers(list(names[:width]))
    return graph.program({"value": graph.add(make(columns))})


def pairs(values=EXTREMES):
    return [np.repeat(values, len(values)), np.tile(values, len(values))]


def logistic(text=False, missing=None, unknown=None):
    """Standardized numbers, a category, a sigmoid: heads of all kinds."""
    graph = Builder([("a", False), ("b", False), ("c", True)])
    refs = graph.add(Guard(inputs=graph.input("a") + graph.input("b"), rule="finite"))
    moved = graph.add(Arithmetic(inputs=refs, op="subtract", operand=np.array([1.0, 100.0])))
    scaled = graph.add(Arithmetic(inputs=moved, op="divide", operand=np.array([3.0, 0.5])))
    keys, codes = ("u", "v", "it's", ""), np.arange(4.0)
    code = graph.add(Encode(inputs=graph.input("c"), keys=keys, codes=codes, missing=missing, unknown=unknown))
    hot = graph.add(OneHot(inputs=code, codes=codes))
    weights = np.array([[0.5], [0.01], [0.3], [-0.4], [2.0], [1.0]])
    decision = graph.add(Linear(inputs=scaled + hot, weights=weights, bias=np.array([0.1])))
    positive = graph.add(Apply(inputs=decision, function="sigmoid"))
    turned = graph.add(Apply(inputs=positive, function="negative"))
    negative = graph.add(Arithmetic(inputs=turned, op="add", operand=np.array([1.0])))
    label = graph.add(Arithmetic(inputs=decision, op="greater", operand=np.array([0.0])))
    return graph.program({"label": label, "probabilities": negative + positive, "value": decision})


TEXTS = ["u", "v", "it's", "", "U", "u ", "\u00fc", None]


def logistic_rows():
    random = np.random.default_rng(4)
    held = rows(random, 400, 2)
    held[:, 1] = np.where(np.isfinite(held[:, 1]), held[:, 1] + 100, held[:, 1])
    return [held[:, 0], held[:, 1], [TEXTS[i % len(TEXTS)] for i in range(400)]]
