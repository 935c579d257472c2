"""Nanoseconds a row of the steps that generated SQL is made of, in DuckDB on one thread: `python benchmarks/costs.py`.

What `sqlml.programs.cost` holds as constants, beside what is measured here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import numpy as np
from measuring import medians, publish, table

from sqlml.programs import cost
from sqlml.programs.program import Apply, Arithmetic, Builder, Encode, Guard, Linear, Program, Trees
from sqlml.programs.sql import sql_text

COLUMNS = 29
WIDTHS = (4, 16, 100, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--write", type=Path, help="put the table into a page")
    options = parser.parse_args()
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        make_rows(connection, options.rows)
        texts = {**steps(), **models()}
        paths = {name: asking(connection, text) for name, text in texts.items()}
        for run in paths.values():
            run()
        taken = {name: seconds / options.rows * 1e9 for name, seconds in medians(paths, options.repetitions).items()}
    rows = [[name, f"{now:.2f}", held] for name, now, held in constants(taken)]
    rows += [[name, f"{taken[name]:.1f}", ""] for name in models()]
    publish("costs", table(["a step", "ns a row", "in cost.py"], rows), options.write)


def make_rows(connection: duckdb.DuckDBPyConnection, rows: int) -> None:
    """Numbers, and texts of several numbers of categories."""
    numbers = [f"(hash(i * 31 + {j}) % 1000000) / 250000e0 - 2e0 AS x{j}" for j in range(COLUMNS)]
    texts = [f"'category ' || (hash(i) % {width}) AS t{width}" for width in WIDTHS]
    connection.execute(f"CREATE TABLE rows AS SELECT {', '.join(numbers + texts)} FROM range({rows}) AS r(i)")


def asking(connection: duckdb.DuckDBPyConnection, text: str) -> Callable[[], object]:
    # max() takes each value; a count could be told from the table alone.
    return lambda: connection.execute(f"SELECT max(v) FROM (SELECT {text} AS v FROM rows)").fetchall()


def steps() -> dict[str, str]:
    """Expressions whose differences are the constants."""
    columns = [f"x{j}" for j in range(COLUMNS)]
    found = {
        "nothing": "x0",
        "sum": " + ".join(columns),
        "products": " + ".join(f"{name} * 0.3e0" for name in columns),
        "exp": "exp(x0)",
        "case": "CASE WHEN x0 > 0e0 THEN 1e0 ELSE x0 END",
        "list": "list_transform([x0], lambda z: [1e0 - z, z])[1][2]",
        "map": "map(['no', 'yes'], [x0, x1])['yes']",
    }
    for width in WIDTHS:
        found[f"text {width}"] = f"length(t{width})"
        found[f"lookup {width}"] = lookup(width)
    for leaves in (2, 8, 64):
        found[f"tree {leaves}"] = sql_text(tree(leaves), "value", columns)
    return found


def constants(taken: Mapping[str, float]) -> list[tuple[str, float, str]]:
    """Name, nanoseconds measured, and what cost.py holds."""
    lookups = {width: taken[f"lookup {width}"] - taken[f"text {width}"] for width in WIDTHS}
    column = (taken["sum"] - taken["nothing"]) / (COLUMNS - 1) - cost.SQL_OPERATION
    return [
        ("a column", column, f"{cost.SQL_COLUMN}"),
        ("an operation", (taken["products"] - taken["sum"]) / COLUMNS, f"{cost.SQL_OPERATION}"),
        ("a function (exp)", taken["exp"] - taken["nothing"], f"{cost.SQL_FUNCTION}"),
        ("a CASE", taken["case"] - taken["nothing"], f"{cost.SQL_CASE}"),
        ("a text column", taken["text 4"] - taken["nothing"], f"{cost.SQL_TEXT}"),
        ("a branch of 4 categories", lookups[4] / 4, f"{cost.SQL_BRANCH}"),
        *((f"a lookup among {width}", lookups[width], f"{cost.SQL_LOOKUP}") for width in (16, 100, 1000)),
        ("a tree of one split", taken["tree 2"] - taken["nothing"], f"{cost.SQL_TREE + cost.SQL_SPLIT}"),
        ("a split more, of 7", (taken["tree 8"] - taken["tree 2"]) / 6, f"{cost.SQL_SPLIT}"),
        ("a split more, of 63", (taken["tree 64"] - taken["tree 2"]) / 62, f"{cost.SQL_SPLIT}"),
        ("a list", taken["list"] - taken["nothing"], f"{cost.SQL_LIST}"),
        ("a map", taken["map"] - taken["nothing"], f"{cost.SQL_LIST + cost.SQL_MAP}"),
    ]


def models() -> dict[str, str]:
    """A standardized logistic regression as it is printed, and as one would write it by hand."""
    columns = [f"x{j}" for j in range(COLUMNS)]
    random = np.random.default_rng(0)
    weights, means, scales = random.normal(size=COLUMNS), random.normal(size=COLUMNS), random.uniform(0.5, 2, COLUMNS)
    graph = Builder([(name, False) for name in columns])
    kept = graph.add(Guard(inputs=tuple((j, 0) for j in range(COLUMNS)), rule="finite"))
    moved = graph.add(Arithmetic(inputs=kept, op="subtract", operand=means))
    scaled = graph.add(Arithmetic(inputs=moved, op="divide", operand=scales))
    margin = graph.add(Linear(inputs=scaled, weights=weights[:, None], bias=np.array([0.5])))
    program = graph.program({"value": graph.add(Apply(inputs=margin, function="sigmoid"))})
    products = [f"{name} * ({weight:e})" for name, weight in zip(columns, weights / scales, strict=True)]
    bias = 0.5 - float((weights * means / scales).sum())
    by_hand = f"1e0 / (1e0 + exp(-({' + '.join(products)} + ({bias:e}))))"
    checked = "logistic regression of 29 columns, checked for NULL, NaN and infinity"
    return {checked: sql_text(program, "value", columns), "the same by hand, unchecked": by_hand}


def lookup(width: int) -> str:
    """The weight of a category, as it is printed."""
    from_text = Builder([("t", True)])
    keys = tuple(f"category {i}" for i in range(width))
    codes = np.random.default_rng(0).normal(size=width)
    node = Encode(inputs=from_text.input("t"), keys=keys, codes=codes, missing=0.0, unknown=0.0)
    return sql_text(from_text.program({"value": from_text.add(node)}), "value", [f"t{width}"], required=())


def tree(leaves: int) -> Program:
    """One balanced tree over the first columns."""
    splits = leaves - 1
    graph = Builder([(f"x{j}", False) for j in range(COLUMNS)])
    places = np.arange(splits)
    below = [np.where(2 * places + k < splits, 2 * places + k, ~(2 * places + k - splits)) for k in (1, 2)]
    random = np.random.default_rng(0)
    node = Trees(
        inputs=tuple((j, 0) for j in range(COLUMNS)),
        feature=random.integers(0, COLUMNS, splits).astype(np.int32),
        threshold=np.round(random.uniform(-1.5, 1.5, splits), 3),
        left=below[0].astype(np.int32),
        right=below[1].astype(np.int32),
        missing_left=np.zeros(splits, bool),
        set_of=np.full(splits, -1, np.int32),
        set_starts=np.zeros(1, np.int32),
        set_members=np.zeros(0, np.int32),
        roots=np.zeros(1, np.int32),
        leaves=random.normal(size=(leaves, 1)),
        output_of=np.zeros(1, np.int32),
        base=np.zeros(1),
    )
    return graph.program({"value": graph.add(node)})


if __name__ == "__main__":
    main()
