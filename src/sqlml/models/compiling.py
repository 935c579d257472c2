"""A loaded model becomes a Program, and the Program is compared with the model before it may answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.feather as feather

from sqlml.models.cases import Cases, NoCases, make_cases, to_table
from sqlml.models.compiled import Compiled
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.probe import Columns, Comparison
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader
from sqlml.programs.kernel.image import NotLowered
from sqlml.programs.program import Program, Trees
from sqlml.programs.simplify import prune
from sqlml.programs.store import save
from sqlml.types import Output

log = logging.getLogger("sqlml")

TOLERANCE, FLOAT32_TOLERANCE = 1e-9, 2e-6
"""The largest difference, relative to the model's answer, with which a program is still the model.

Sums of the same float64 in another order differ by less; a library that adds up in float32 rounds to seven digits.
"""

Answering = Callable[[Output, Sequence[pa.Array]], pa.Array | None]
"""A strategy at work: one output for rows given as an array an argument; None where it refuses them."""


@dataclass(frozen=True)
class Outcome:
    """What became of a model: its description, and the strategies that were tried with their comparisons."""

    description: Description
    proofs: Mapping[str, tuple[Comparison, str | None]]


def compile_version(
    description: Description, fitted: Fitted, rows: Columns, folder: Path, machine: Callable[[], int | None]
) -> Outcome:
    """Read a model's program and prove it; what is proved is kept in `folder`.

    Args:
        description: the version's, as far as it is known.
        fitted: the model.
        rows: an array an argument, to draw values from.
        folder: where programs are kept.
        machine: gives the loaded machine's address, None where there is none.
    """
    try:
        program = prune(read_program(fitted.model, description.arguments))
        if description.has_proba and "probabilities" not in program.heads:
            raise NoReader(type(fitted.model).__name__, "its probabilities have no reader")
    except NoReader as error:
        return Outcome(replace(description, no_program=str(error)), {})
    described = replace(description, arguments=_used(description.arguments, program, fitted))
    started = time.perf_counter()
    try:
        cases = make_cases(program, described, fitted, rows)
        compiled = Compiled("proof", described, program, "propagate", machine())
        found, reason = compare_answers(described, cases, compiled, tolerance(program))
    except (NoCases, NotLowered) as error:
        found, reason = Comparison(0, 0, 0.0, 0.0, 0.0), str(error)
    proof = replace(found, seconds=time.perf_counter() - started)
    if reason is not None:
        refused = replace(description, no_program=f"its program was refused: {reason}")
        return Outcome(refused, {"kernel": (proof, reason)})
    save(program, folder)
    feather.write_feather(to_table(cases), str(folder / f"{program.digest}.cases"))
    proved = replace(described, program=program.digest, strategies=("kernel", "python"))
    return Outcome(proved, {"kernel": (proof, None)})


def tolerance(program: Program) -> float:
    """How far a program's numbers may be from the model's, relative to these."""
    narrow = any(isinstance(node, Trees) and node.sum == "float32" for node in program.nodes)
    return FLOAT32_TOLERANCE if narrow else TOLERANCE


def _used(arguments: Sequence[Argument], program: Program, fitted: Fitted) -> tuple[Argument, ...]:
    """The arguments, with those marked that the program doesn't read. One is always read: it says how many rows."""
    used = program.used or (0,)
    return tuple(
        argument if place in used else replace(argument, used=False, neutral=_neutral(argument, fitted))
        for place, argument in enumerate(arguments)
    )


def _neutral(argument: Argument, fitted: Fitted) -> Any:
    known = [value for value in argument.categories or fitted.categories.get(argument.name, ()) if value is not None]
    if known:
        value = known[0].item() if isinstance(known[0], np.generic) else known[0]
        if value == value:
            return value
    return {"VARCHAR": "", "BOOLEAN": False, "FLOAT": 0.0, "DOUBLE": 0.0}.get(argument.type, 0)


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
        found = _widened(found, own, flat)
    if found.label_mismatches:
        return found, f"{found.label_mismatches} of {cases.rows} labels differ from the model's"
    if not found.max_relative <= bound:
        return found, f"a number differs from the model's by {found.max_relative:.2g}, relative to it"
    return found, None


def _widened(found: Comparison, own: npt.NDArray[Any], got: pa.Array) -> Comparison:
    """A comparison with one more output. Beside 0, a difference is relative to a thousandth of the usual answer."""
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
        relative = difference / np.maximum(np.abs(own), 1e-3 * usual)
    difference[same], relative[same] = 0.0, 0.0
    # One infinite or missing where the other is not: nothing could be further apart.
    difference[np.isnan(difference)], relative[np.isnan(relative)] = np.inf, np.inf
    return replace(
        found,
        max_absolute=max(found.max_absolute, float(difference.max(initial=0.0))),
        max_relative=max(found.max_relative, float(relative.max(initial=0.0))),
    )
