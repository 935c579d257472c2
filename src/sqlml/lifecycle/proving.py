"""The SQL expression of a version is proved where it would run: in an engine, on the cases that the model answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sqlml.catalog import Proof
from sqlml.engines.engine import Engine
from sqlml.errors import EngineError
from sqlml.models.answering import Answering
from sqlml.models.cases import compare_answers, read_cases, tolerance
from sqlml.models.compiled import Compiled
from sqlml.models.description import Description
from sqlml.models.probe import Comparison
from sqlml.programs.cost import estimate
from sqlml.programs.publish import macro_body
from sqlml.programs.sql import NoSql
from sqlml.programs.store import load
from sqlml.types import Output


@dataclass(frozen=True)
class Expressed:
    """A description that knows whether its version can be SQL, and the proof; None where it can't be written."""

    description: Description
    proof: Proof | None


def prove_expression(description: Description, programs: Path, open_engine: Callable[[], Engine]) -> Expressed:
    """Try a version's expression on the cases that its model answered, in an engine of its own.

    Args:
        description: of a version that has a program.
        programs: the folder that holds it and its cases.
        open_engine: opens an empty engine.
    """
    program = description.program
    assert program is not None
    compiled = Compiled("proof", description, load(programs, program), "propagate", None)
    cost = estimate(compiled.program)
    estimates = {"kernel": cost.kernel_ns} | ({"sql": cost.sql_ns} if cost.sql_ns is not None else {})
    description = replace(description, estimates=estimates)
    cases = read_cases(programs, description)
    names = [f"a{place}" for place in range(len(compiled.program.inputs))]
    publication = compiled.publication()
    try:
        bodies = {output: macro_body(publication, output, names, "duckdb") for output in publication.outputs}
    except NoSql as error:
        return Expressed(replace(description, refused={**description.refused, "sql": str(error)}), None)
    started = time.perf_counter()
    engine = open_engine()

    def answer(output: Output, columns: Sequence[pa.Array]) -> pa.Array:
        taken = (column for column, a in zip(columns, description.arguments, strict=True) if a.used)
        given = dict(zip(names, taken, strict=True))
        if output != "probs":
            return engine.evaluate(bodies[output], given)
        found = engine.evaluate(bodies["proba"], given)
        pairs = pa.StructArray.from_arrays([found.keys, found.items], names=["label", "prob"])
        return pa.ListArray.from_arrays(found.offsets, pairs)

    try:
        found, reason = compare_answers(description, cases, answer, tolerance(compiled.program))
    except EngineError as error:
        found, reason = Comparison(cases.rows, 0, 0.0, 0.0, 0.0), f"the engine refused it: {str(error).splitlines()[0]}"
    finally:
        engine.close()
    proof = proof_of("sql", asdict(replace(found, seconds=time.perf_counter() - started)), reason)
    if reason is not None:
        return Expressed(replace(description, refused={**description.refused, "sql": reason}), proof)
    return Expressed(replace(description, strategies=("sql", *description.strategies)), proof)


def refuted(description: Description, programs: Path, answer: Answering) -> str | None:
    """Why a way of answering is not the model's, on the cases that the model answered; None where it is."""
    assert description.program is not None
    try:
        cases = read_cases(programs, description)
    except OSError:
        return "what the model answered is not on this machine: 'sqlml verify' asks it again"
    return compare_answers(description, cases, answer, tolerance(load(programs, description.program)))[1]


def proof_of(strategy: str, figures: Mapping[str, Any], reason: str | None) -> Proof:
    """A strategy's proof of a comparison's figures; `reason` says why it may not answer, None where it may."""
    return Proof(
        strategy=strategy,
        rows=int(figures["rows"]),
        label_mismatches=int(figures["label_mismatches"]),
        max_absolute=float(figures["max_absolute"]),
        max_relative=float(figures["max_relative"]),
        seconds=float(figures["seconds"]),
        accepted=reason is None,
        reason=reason,
    )
