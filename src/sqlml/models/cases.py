"""The rows that a compiled version is compared with its model on, and the model's own answers to them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.models import feed
from sqlml.models.answers import numbers_of
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.probe import Columns, Comparison, trial
from sqlml.programs.evaluate import evaluate
from sqlml.programs.probes import turning_points
from sqlml.programs.program import Apply, Program, Trees
from sqlml.types import ARROW, Output

_SEED = 20130101
_MIXED = 1_000
"""So many rows are put together at random from all values."""
_MOST = 12_000


TOLERANCE, FLOAT32_TOLERANCE = 1e-9, 2e-6
"""The largest difference, relative to the model's answer, with which a program is still the model.

Sums of the same float64 in another order differ by less; a library that adds up in float32 rounds to seven digits.
"""
_PROBABLE = 0.1
"""What a difference of float32 probabilities is at least relative to: 1 - p is a multiple of 6e-8, however small."""

Answering = Callable[[Output, Sequence[pa.Array]], pa.Array | None]
"""A strategy at work: one output for rows given as an array an argument; None where it refuses them."""


@dataclass(frozen=True)
class Cases:
    """Rows as an array an argument, and the model's answers: labels or values, and probabilities where it has them."""

    columns: Columns
    predicted: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.predicted)


class NoCases(Exception):
    """Why there is nothing to compare with."""


def make_cases(program: Program, description: Description, fitted: Fitted, rows: Columns) -> Cases:
    """Draw rows where the program turns, and ask the model.

    Rows that the program refuses are left out, for the model answers those itself, and rows that a NULL makes NULL.

    Raises:
        NoCases: the model refuses rows that the program answers, or all of them.
    """
    columns = _drawn(program, description.arguments, rows)
    keep = _answerable(program, description.arguments, columns)
    columns = [array.filter(pa.array(keep)) for array in columns]
    if not len(columns[0]):
        raise NoCases("no row could be tried")
    frame = feed.frame(columns, description.arguments)
    predicted = trial(fitted.predict, frame)
    if predicted is None:
        raise NoCases("the model refuses rows that its program answers")
    probabilities = None
    if fitted.proba is not None and description.has_proba:
        probabilities = trial(fitted.proba, frame)
        if probabilities is None:
            raise NoCases("the model gives no probabilities for rows that its program answers")
        probabilities = np.asarray(probabilities, np.float64)
    return Cases(columns, np.asarray(predicted), probabilities)


def _drawn(program: Program, arguments: Sequence[Argument], rows: Columns) -> Columns:
    """The rows given; each turning point in one of them; and rows of turning points and given values at random."""
    random = np.random.default_rng(_SEED)
    places = [place for place, argument in enumerate(arguments) if argument.used]
    turns = turning_points(program, seed=_SEED)
    points = {places[i]: _fitting(values, arguments[places[i]]) for i, values in turns.items()}
    total = sum(len(values) for values in points.values())
    if total > _MOST:
        points = {
            place: [values[i] for i in random.permutation(len(values))[: max(20, len(values) * _MOST // total)]]
            for place, values in points.items()
        }
        total = sum(len(values) for values in points.values())
    given = len(rows[0])
    start = 0
    columns = []
    for place, (array, argument) in enumerate(zip(rows, arguments, strict=True)):
        base = array.drop_null().to_pylist() or [None]
        mine = points.get(place, [])
        held = [base[i] for i in random.integers(0, len(base), total)]
        held[start : start + len(mine)] = mine
        start += len(mine)
        pool = [*base, *mine] if random.random() < 0.5 else base
        mixed = [pool[i] for i in random.integers(0, len(pool), _MIXED)]
        columns.append(pa.concat_arrays([array, pa.array([*held, *mixed], ARROW[argument.type])]))
    assert all(len(column) == given + total + _MIXED for column in columns)
    return columns


def _fitting(values: Sequence[float | str | None], argument: Argument) -> list[Any]:
    """Values as the argument's type holds them; those that it doesn't are left out."""
    if argument.type == "VARCHAR":
        return [value if value is None else str(value) for value in values]
    numbers = [float(value) for value in values if isinstance(value, float)]
    if argument.type == "DOUBLE":
        return list(numbers)
    if argument.type == "FLOAT":
        with np.errstate(over="ignore"):
            return [float(np.float32(value)) for value in numbers if not abs(value) > 3.4e38 or math.isinf(value)]
    if argument.type == "BOOLEAN":
        return [False, True, None]
    largest = 2**31 - 1 if argument.type == "INTEGER" else 2**53
    whole = {int(side) for value in numbers if abs(value) < largest for side in (math.floor(value), math.ceil(value))}
    return [*sorted(whole), None]


def _answerable(program: Program, arguments: Sequence[Argument], columns: Columns) -> npt.NDArray[np.bool_]:
    """Rows that no NULL makes NULL and that the program doesn't refuse."""
    keep = np.ones(len(columns[0]), bool)
    taken: list[Any] = []
    for array, argument in zip(columns, arguments, strict=True):
        values = array if argument.type == "VARCHAR" or not argument.used else numbers_of(array)
        if argument.used:
            taken.append(values)
        if argument.missing is None:
            keep &= array.is_valid().to_numpy(zero_copy_only=False)
            if argument.used and argument.type != "VARCHAR":
                keep &= ~np.isnan(values)
    return keep & ~evaluate(program, taken).refused


def _file_of(description: Description, program: str) -> str:
    """One program may stand behind models of other labels, or of other names for what it takes."""
    arguments = [[argument.name, argument.type] for argument in description.arguments]
    told = json.dumps([arguments, description.returns.sql, [str(label) for label in description.classes or ()]])
    return f"{program}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.cases"


def write_cases(cases: Cases, folder: Path, description: Description, program: str) -> None:
    """Keep a version's cases beside its program, by rename: its arguments, predictions and probabilities."""
    held: dict[str, Any] = {f"a{i}": column for i, column in enumerate(cases.columns)}
    values = cases.predicted
    held["predicted"] = pa.array(values.tolist() if values.dtype.kind not in "fiub" or values.ndim > 1 else values)
    if cases.probabilities is not None:
        held["probabilities"] = pa.array(cases.probabilities.tolist())
    table = pa.table(held)
    name = _file_of(description, program)
    scratch = folder / f".{name}.{os.getpid()}"
    with pa.OSFile(str(scratch), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    scratch.replace(folder / name)


def read_cases(folder: Path, description: Description) -> Cases:
    """What `write_cases` kept; raises OSError where that was on another machine."""
    with pa.OSFile(str(folder / _file_of(description, str(description.program)))) as file:
        table = pa.ipc.open_file(file).read_all()
    held: Mapping[str, Any] = {name: table.column(name).combine_chunks() for name in table.column_names}
    columns = [held[f"a{i}"] for i in range(sum(name[0] == "a" for name in held))]
    proba = np.array(held["probabilities"].to_pylist()) if "probabilities" in held else None
    return Cases(columns, np.array(held["predicted"].to_pylist()), proba)


def tolerance(program: Program) -> float:
    """How far a program's numbers may be from the model's, relative to these."""
    narrow = any(
        (isinstance(node, Trees) and node.sum == "float32") or (isinstance(node, Apply) and node.function == "float32")
        for node in program.nodes
    )
    return FLOAT32_TOLERANCE if narrow else TOLERANCE


def compare_answers(
    description: Description, cases: Cases, answer: Answering, bound: float
) -> tuple[Comparison, str | None]:
    """Let a strategy answer the cases; gives the differences, and why it is refused, None where it is not."""
    pairs: list[tuple[Output, npt.NDArray[Any]]] = [("predict", cases.predicted.reshape(-1))]
    if cases.probabilities is not None:
        pairs.append(("probs", cases.probabilities.reshape(-1)))
        if "score" in description.outputs():
            pairs.append(("score", cases.probabilities[:, -1]))
    found = Comparison(cases.rows, 0, 0.0, 0.0, 0.0)
    for output, own in pairs:
        got = answer(output, cases.columns)
        if got is None:
            return found, "it refused rows that the model answers"
        if output == "probs":
            flat = got.flatten().field("prob")
        else:
            flat = got.flatten() if pa.types.is_list(got.type) else got
        narrow = bound > TOLERANCE and output != "predict"
        found = widened(found, own, flat, least=_PROBABLE if narrow else 0.0)
    if found.label_mismatches:
        return found, f"{found.label_mismatches} of {cases.rows} labels differ from the model's"
    if not found.max_relative <= bound:
        return found, f"a number differs from the model's by {found.max_relative:.2g}, relative to it"
    return found, None


def widened(found: Comparison, own: npt.NDArray[Any], got: pa.Array, *, least: float = 0.0) -> Comparison:
    """A comparison with one more output. Beside 0, a difference is relative to a thousandth of the usual answer.

    It is relative to `least` where that is more.
    """
    if own.dtype.kind != "f":
        wrong = sum(one != other for one, other in zip(own.tolist(), got.to_pylist(), strict=True))
        return replace(found, label_mismatches=found.label_mismatches + wrong)
    values = np.asarray(got.to_numpy(zero_copy_only=False), np.float64)
    own = own.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.abs(values - own)
        same = (values == own) | (np.isnan(values) & np.isnan(own))
        finite = np.abs(own[np.isfinite(own) & (own != 0.0)])
        usual = float(np.median(finite)) if len(finite) else 1.0
        relative = difference / np.maximum(np.abs(own), max(1e-3 * usual, least))
    difference[same], relative[same] = 0.0, 0.0
    # One infinite or missing where the other is not: nothing could be further apart.
    difference[np.isnan(difference)], relative[np.isnan(relative)] = np.inf, np.inf
    return replace(
        found,
        max_absolute=max(found.max_absolute, float(difference.max(initial=0.0))),
        max_relative=max(found.max_relative, float(relative.max(initial=0.0))),
    )
