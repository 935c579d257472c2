"""Ask a program that was read from trees, on rows that lie where rounding decides."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sqlml.models.readers import lightgbm_program, sklearn_trees, xgboost_program
from sqlml.models.readers.reading import Reading
from sqlml.programs.evaluate import evaluate
from sqlml.programs.program import Builder, Program, Trees

PREDICTORS = {**sklearn_trees.PREDICTORS, **lightgbm_program.PREDICTORS, **xgboost_program.PREDICTORS}
EXTREMES = np.array(
    [
        *(0.0, -0.0, np.nan, 1e-36, -1e-36, 1e-35, -1e-35, float(np.float32(1e-35)), -float(np.float32(1e-35)), 5e-324),
        *(1e-45, -1e-45, 1e300, -1e300, np.inf, -np.inf, 3.4028234e38, 3.4028235e38, 3.4028236e38, 1e39, 2.0**31),
        *(-0.5, 1.0, 1.5, 2.9999999999, 255.0, 256.0, 257.0, 2.0**24 + 1.0),
    ]
)


def program_of(model: Any, columns: Sequence[tuple[str, bool]], predictors: Any = PREDICTORS) -> Program:
    """Read a model; `raw` is what its last trees add up to."""
    graph = Builder(columns)
    reading = Reading(graph, {}, predictors)
    answers = reading.predict(model, tuple(ref for name, _ in columns for ref in graph.input(name)))
    named = ("value", "label", "probabilities", "decision")
    heads = {name: getattr(answers, name) for name in named if getattr(answers, name) is not None}
    last = max((place for place, node in enumerate(graph.nodes) if isinstance(node, Trees)), default=None)
    if last is not None:
        heads["raw"] = tuple((last, column) for column in range(graph.nodes[last].width))
    return graph.program(heads)


def numbers(width: int = 4) -> list[tuple[str, bool]]:
    return [(f"x{place}", False) for place in range(width)]


def at_the_edges(program: Program, rows: np.ndarray, most: int = 40) -> np.ndarray:
    """Rows, and copies of some with a value on a threshold of that column or one step of float32 or float64 off it."""
    random = np.random.default_rng(7)
    found = [rows]
    width = rows.shape[1]
    inputs = len(program.inputs)

    def varied(column: int, value: float) -> None:
        row = rows[random.integers(len(rows))].copy()
        row[column] = value
        found.append(row[None])

    for node in program.nodes:
        if not isinstance(node, Trees):
            continue
        for place, (source, inner) in enumerate(node.inputs):
            while source >= inputs:
                source, inner = program.nodes[source].inputs[inner]
            thresholds = np.unique(node.threshold[(node.feature == place) & (node.set_of < 0)])
            for threshold in random.permutation(thresholds)[:most]:
                for value in _near(float(threshold)):
                    varied(source, value)
    for column in range(width):
        for value in EXTREMES:
            varied(column, value)
    found.append(np.repeat(EXTREMES[:, None], width, axis=1))
    return np.concatenate(found)


def _near(threshold: float) -> list[float]:
    up, down = np.float32(np.inf), np.float32(-np.inf)
    with np.errstate(all="ignore"):
        single = np.float32(threshold)
        above, below = np.nextafter(single, up), np.nextafter(single, down)
    # Half way to the next float32 it rounds up or down: to the even one.
    halves = [(float(single) + float(above)) / 2, (float(single) + float(below)) / 2]
    values = [threshold, float(single), float(above), float(below), *halves]
    return [moved for v in values for moved in (v, np.nextafter(v, np.inf), np.nextafter(v, -np.inf))]


def asked(program: Program, rows: np.ndarray | pd.DataFrame) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The heads, a column flat, and the rows that are refused."""
    if isinstance(rows, pd.DataFrame):
        columns = [
            pa.array(rows[node.name].astype(object), pa.string(), from_pandas=True)
            if node.text
            else rows[node.name].to_numpy(np.float64)
            for node in program.inputs
        ]
    else:
        columns = list(rows.T)
    found = evaluate(program, columns)
    return {name: held[:, 0] if held.shape[1] == 1 else held for name, held in found.heads.items()}, found.refused


def quiet(call: Any, rows: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return call(rows)


def refuses(call: Any, rows: Any) -> bool:
    try:
        quiet(call, rows)
    except ValueError:
        return True
    return False


def near(got: np.ndarray, expected: Any, relative: float = 1e-14) -> None:
    np.testing.assert_allclose(got, np.asarray(expected, np.float64), rtol=relative, atol=0)


def same(got: np.ndarray, expected: Any) -> None:
    np.testing.assert_array_equal(got, np.asarray(expected))
