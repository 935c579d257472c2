"""A loaded model becomes a Program, and the Program is compared with the model before it may answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sqlml.models.cases import NoCases, compare_answers, make_cases, tolerance, write_cases
from sqlml.models.compiled import Compiled
from sqlml.models.description import Argument, Description
from sqlml.models.fitted import Fitted
from sqlml.models.probe import Columns, Comparison
from sqlml.models.readers.program import read_program
from sqlml.models.readers.reading import NoReader
from sqlml.programs.kernel.image import NotLowered
from sqlml.programs.program import Program
from sqlml.programs.simplify import compact, prune
from sqlml.programs.store import save


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
    arguments = _used(description.arguments, program, fitted)
    described = replace(description, arguments=arguments, labelled="label" in program.heads)
    program = compact(program)
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
    write_cases(cases, folder, described, program.digest)
    proved = replace(described, program=program.digest, strategies=("kernel", "python"))
    return Outcome(proved, {"kernel": (proof, None)})


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
