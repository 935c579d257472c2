"""A printer of SQL with a mistake in it is found out."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from programs.making import forest, rows
from programs.sql_asking import (
    differs,
    logistic,
    logistic_rows,
    over,
    pairs,
)
from sqlml.programs import sql_nodes, sql_printer, sql_terms
from sqlml.programs.program import (
    Arithmetic,
    Combine,
    Trees,
)


@pytest.fixture(scope="module")
def duck():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


def _missing_goes_the_other_way(node, terms, place, own=sql_nodes.goes):
    flipped = type(node)(**{**node.parts(), "inputs": node.inputs, "missing_left": ~node.missing_left})
    return own(flipped, terms, place)


def _strictly_less(node, terms, place, own=sql_nodes.goes):
    text, turned = own(node, terms, place)
    return (text.replace(" <= ", " < ", 1) if not turned else text.replace(" > ", " >= ", 1)), turned


MISTAKES = {
    "swapped branches": (sql_nodes, "branch", lambda test, left, right, own=sql_nodes.branch: own(test, right, left)),
    "less for at most": (sql_nodes, "goes", _strictly_less),
    "missing the other way": (sql_nodes, "goes", _missing_goes_the_other_way),
    "float32 forgotten": (sql_nodes, "reaching", lambda threshold: threshold),
    "NaN above everything": (sql_nodes, "above", lambda x, bound, **_: f"({x.text} > {sql_terms.number(bound)})"),
    "rounded constants": (sql_nodes, "number", lambda value: f"CAST('{value:.15g}' AS DOUBLE)"),
    "decimal constants": (sql_nodes, "number", lambda value: f"CAST({value:.6f} AS DECIMAL(18, 6))"),
    "unknown is 0": (
        sql_printer.Printer,
        "_looked_up",
        lambda self, node, x, branches, otherwise, own=sql_printer.Printer._looked_up: own(
            self, node, x, branches, "0e0"
        ),
    ),
    "NULL is no missing value": (sql_printer, "missing", lambda term: f"isnan({term.text})"),
    "NaN is no missing value": (sql_printer, "missing", lambda term: f"({term.text} IS NULL)"),
    "NULL for NaN": (sql_nodes, "whole", lambda term: term),
    "no check": (sql_printer.Printer, "checks", lambda self, refs, *, strict: []),
    "every check spared": (sql_printer.Printer, "_carried", lambda self, ref: {(i, 0) for i in range(20)}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found(duck, mistake, monkeypatch):
    where, name, wrong = MISTAKES[mistake]
    random = np.random.default_rng(8)
    tree = forest(random, 2, 3, leaves=6, narrow=True)
    (node,) = (one for one in tree.nodes if isinstance(one, Trees))
    held = rows(random, 300, 2)
    held[:100, 0] = random.choice(node.threshold, 100)
    held[100:200, 1] = random.choice(node.threshold, 100) * (1 + 2.0**-25)
    wide = forest(np.random.default_rng(9), 2, 3, leaves=6)
    (one,) = (one for one in wide.nodes if isinstance(one, Trees))
    maximum = over(lambda refs: Combine(inputs=refs, op="maximum", groups=np.array([[0, 1]], np.int32)))
    product = over(lambda refs: Arithmetic(inputs=refs, op="multiply", operand=np.array([1 / 3, 1 / 7])))
    greater = over(lambda refs: Arithmetic(inputs=refs, op="greater", operand=np.array([0.5, 0.1])))
    table = [
        (tree, list(held.T), {}),
        (wide, [random.choice(one.threshold, 300), random.choice(one.threshold, 300)], {}),
        (maximum, pairs(), {"bound": 1e-300}),
        (product, pairs(), {}),
        (greater, pairs(), {}),
        (logistic(unknown=1.0), logistic_rows(), {"required": (0, 1, 2), "bound": 1e-12, "scale": 1e-2}),
        (logistic(missing=2.0), logistic_rows(), {"required": (0, 1), "bound": 1e-12, "scale": 1e-2}),
    ]
    assert [differs(duck, program, columns, **options) for program, columns, options in table] == [None] * len(table)
    monkeypatch.setattr(where, name, wrong)

    def found(program, columns, options):
        try:
            return differs(duck, program, columns, **options) is not None
        except (duckdb.Error, AssertionError):
            return True

    assert any(found(*one) for one in table)
