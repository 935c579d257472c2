"""Functions that a rewritten query calls: a version's program made smaller, or a part of what it computes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sqlml.errors import RewriteRefused
from sqlml.models.answering import Answerer, Answering
from sqlml.models.answers import numbers_of
from sqlml.models.compiled import Compiled
from sqlml.models.description import Argument, Description
from sqlml.models.portable import Portable
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel.layout import What
from sqlml.programs.probes import turning_points
from sqlml.programs.program import Program, may_refuse
from sqlml.programs.simplify import arranged
from sqlml.programs.store import written
from sqlml.types import ARROW, NullPolicy, Output, Returns, Strategy

_PROBES = 300
_LARGE = 1e6


@dataclass(frozen=True)
class Derived:
    """A function made from a version's.

    Args:
        program: what answers; its inputs are those of the version's program, and more.
        outputs: what it gives.
        places: of its inputs, those that are arguments, in order.
        arguments: their names, types, and whether a missing value makes NULL of the answer.
        known: values that the version's other inputs may have in a row that it is asked about.
        number: whether it gives a number in place of the version's outputs, NaN for a row that the program refuses.
    """

    program: Program
    outputs: tuple[Output, ...]
    places: tuple[int, ...]
    arguments: tuple[tuple[str, str, bool], ...]
    known: Mapping[int, Any]
    number: bool

    def to_json(self) -> str:
        """All but the program, as text; equal for equal functions."""
        known = sorted(self.known.items())
        return json.dumps([self.outputs, self.places, self.arguments, known, self.number])

    @classmethod
    def from_json(cls, text: str, program: Program) -> Derived:
        """What `to_json` wrote."""
        outputs, places, arguments, known, number = json.loads(text)
        named = tuple((name, type_, required) for name, type_, required in arguments)
        return cls(program, tuple(outputs), tuple(places), named, dict(known), number)

    @property
    def digest(self) -> str:
        """What tells it from any other function of the same version."""
        return hashlib.sha256(f"{self.program.digest}\n{self.to_json()}".encode()).hexdigest()[:16]


def derive(base: Answerer, derived: Derived, on_null: NullPolicy, machine: int | None, strategy: Strategy) -> Answerer:
    """What answers for a derived function; a row that its program refuses is the model's own, as ever."""
    program = arranged(derived.program, derived.places)
    description = _described(base.description, derived, program)
    key = f"{base.key}\n{derived.digest}\n{strategy}"

    def open_program() -> Compiled:
        return Compiled(base.function, description, program, on_null, machine, derived.outputs)

    def load() -> Any:
        return _Numbers(open_program()) if derived.number else _Refilled(base, derived)

    def travel(made: Answerer) -> Portable:
        origin = base.portable()
        if derived.number or not may_refuse(program):
            origin = replace(origin, program=None, artifact=None)
        text = json.dumps(description.to_json())
        whole = written(derived.program)
        return Portable(made.function, key, text, on_null, strategy, whole, origin.artifact, origin, derived.to_json())

    def prove(answer: Answering) -> str | None:
        return refuted(open_program(), answer)

    return Answerer(base.function, key, description, load, open_program, strategy, travel, prove, is_derived=True)


def _described(held: Description, derived: Derived, program: Program) -> Description:
    by_name = {argument.name: argument for argument in held.arguments}
    arguments = tuple(
        replace(by_name[name], type=type_, missing=None if required else "nan", used=True, required=True)
        if name in by_name
        else Argument(name, type_, missing=None if required else "nan")
        for name, type_, required in derived.arguments
    )
    described = replace(held, arguments=arguments, program=program.digest)
    if not derived.number:
        return described
    returns = Returns("scalar", (("value", "DOUBLE"),))
    return replace(described, kind="regressor", returns=returns, classes=None, has_proba=False, labelled=False)


class _Numbers:
    """Answers by NumPy where the kernel refused a row: such a row's number is NaN."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def __call__(self, _output: Output, given: Sequence[pa.Array]) -> pa.Array:
        results, valid, refused = self._compiled.evaluated([What.VALUE], given)
        return pa.array(np.where(refused, np.nan, results[What.VALUE][:, 0]), mask=~valid)


class _Refilled:
    """The model itself, given what the derived function is no longer given."""

    def __init__(self, base: Answerer, derived: Derived) -> None:
        self._base = base
        self._given = {place: i for i, place in enumerate(derived.places)}
        self._known = derived.known

    def __call__(self, output: Output, given: Sequence[pa.Array]) -> pa.Array:
        rows, place, arrays = len(given[0]), -1, []
        for argument in self._base.description.arguments:
            if not argument.used:
                arrays.append(pa.nulls(rows))
                continue
            place += 1
            if place in self._given:
                arrays.append(given[self._given[place]])
            elif place in self._known:
                value = self._known[place]
                arrays.append(pa.nulls(rows) if value is None else pa.repeat(pa.scalar(value), rows))
            else:
                raise RewriteRefused(function=self._base.function, argument=argument.name)
        return self._base.predictor()(output, arrays)


def refuted(compiled: Compiled, answer: Answering) -> str | None:
    """Why a way of answering is not a program's, by rows at which its answers turn; None where it is."""
    random = np.random.default_rng(0)
    points = turning_points(compiled.program, seed=0)
    columns = []
    for place, argument in enumerate(compiled.description.arguments):
        # Sums of far larger numbers depend on the order of adding, which is nobody's.
        held = [v for v in points.get(place, [None]) if not isinstance(v, float) or not abs(v) > _LARGE]
        drawn = [held[i] for i in random.integers(len(held), size=_PROBES)]
        columns.append(_array(drawn, argument.type))
    keep = _answered(compiled, columns)
    columns = [column.filter(keep) for column in columns]
    for output in compiled.outputs:
        wanted, found = compiled.together([output], columns), answer(output, columns)
        if wanted is None or not _alike(wanted[0], found):
            return f"its {output} is not the program's"
    return None


def _answered(compiled: Compiled, columns: Sequence[pa.Array]) -> pa.Array:
    """The rows that the program answers with numbers; a kernel refuses sums that are none."""
    numbers = [
        column if argument.type == "VARCHAR" else numbers_of(column)
        for column, argument in zip(columns, compiled.description.arguments, strict=True)
    ]
    found = evaluate(compiled.program, numbers)
    finite = np.isfinite(np.column_stack(list(found.heads.values()))).all(axis=1)
    return pa.array(~found.refused & finite)


def _array(values: Sequence[Any], type_: str) -> pa.Array:
    if type_ == "VARCHAR":
        return pa.array(values, pa.string())
    numbers = pa.array([None if value is None or np.isnan(value) else float(value) for value in values], pa.float64())
    if type_ in ("DOUBLE", "FLOAT"):
        return numbers if type_ == "DOUBLE" else numbers.cast(pa.float32())
    limit = 1.0 if type_ == "BOOLEAN" else 2.0**31 - 1.0 if type_ == "INTEGER" else 2.0**53
    whole = pc.round(pc.max_element_wise(pc.min_element_wise(numbers, limit), 0.0 if type_ == "BOOLEAN" else -limit))
    return pc.if_else(numbers.is_valid(), whole, None).cast(ARROW[type_])


def _alike(wanted: pa.Array, found: pa.Array) -> bool:
    if not pa.types.is_floating(wanted.type):
        return (
            wanted.to_pylist() == found.to_pylist() if not pa.types.is_map(wanted.type) else _alike_maps(wanted, found)
        )
    one, two = (numbers_of(array.cast(pa.float64())) for array in (wanted, found))
    return bool(np.allclose(one, two, rtol=1e-9, atol=1e-12, equal_nan=True))


def _alike_maps(wanted: pa.Array, found: pa.Array) -> bool:
    keys = wanted.keys.to_pylist() == found.keys.to_pylist() and wanted.is_valid().equals(found.is_valid())
    return keys and _alike(wanted.items, found.items)
