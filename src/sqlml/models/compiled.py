"""A version's Program at work: Arrow arrays in, Arrow answers out, by the machine or, without it, by NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sqlml.models.answers import labels, nothing, numbers_of, predictions, probabilities, with_nulls
from sqlml.models.cast import cast_argument
from sqlml.models.description import Argument, Description
from sqlml.programs.evaluate import evaluate
from sqlml.programs.kernel.image import Image
from sqlml.programs.kernel.layout import Target, What
from sqlml.programs.kernel.lower import lower
from sqlml.programs.kernel.native import Kernel, takes
from sqlml.programs.program import Program
from sqlml.programs.publish import Publication
from sqlml.types import NullPolicy, Output, label_type

_TARGETS: Mapping[str, Target] = {
    "BOOLEAN": Target.BOOLEAN,
    "INTEGER": Target.INTEGER,
    "BIGINT": Target.BIGINT,
    "FLOAT": Target.FLOAT,
    "DOUBLE": Target.DOUBLE,
    "VARCHAR": Target.TEXT,
}


def what_of(description: Description, output: Output) -> What:
    """The result of a version's program that an output is made from."""
    if output == "predict":
        return What.LABEL if description.labelled else What.VALUE
    return What.SCORE if output == "score" else What.PROBABILITIES


class Compiled:
    """Answers batches as `Predictor` does, or says that the model itself must. Safe to call from several threads.

    The program's inputs are the arguments that are read, `description.taken`.
    `machine` is the address of the loaded machine, None where there is none: NumPy then does the work. `outputs` are
    those that the program has heads for; all that the version has where None.
    """

    def __init__(
        self,
        function: str,
        description: Description,
        program: Program,
        on_null: NullPolicy,
        machine: int | None,
        outputs: Sequence[Output] | None = None,
    ) -> None:
        self.function = function
        self.description = description
        self.program = program
        self.on_null = on_null
        self.machine = machine
        self.outputs = description.outputs() if outputs is None else outputs
        self._images: list[Image] = []
        self._kernels: dict[tuple[What, ...], Kernel] = {}

    def __repr__(self) -> str:
        return f"<Compiled {self.function}: {self.description.title}>"

    def image(self, outputs: Sequence[Output]) -> Image:
        """The image for these outputs, in one evaluation; raises NotLowered."""
        return self._image([what_of(self.description, output) for output in outputs])

    def _image(self, whats: Sequence[What]) -> Image:
        spec = [(_TARGETS[a.type], self.requires(a)) for a in self.description.taken]
        self._images.append(lower(self.program, whats, spec, strict=self.on_null == "error"))
        return self._images[-1]

    def counted(self) -> tuple[int, int]:
        """How many rows were answered, and how many trees were gone through, summed over them, since `count_anew`."""
        return sum(image.rows for image in self._images), sum(image.steps for image in self._images)

    def count_anew(self) -> None:
        """Count from the beginning."""
        for image in self._images:
            image.reset()

    def publication(self) -> Publication:
        """What a SQL expression of the program is made of."""
        held = self.description
        return Publication(
            function=self.function,
            arguments=[(argument.name, argument.type) for argument in held.taken],
            program=self.program,
            outputs=[output for output in self.outputs if output != "probs"],
            returns=held.returns.sql,
            labels=held.classes,
            label_type=label_type(held.classes or ()),
            required=frozenset(i for i, argument in enumerate(held.taken) if self.requires(argument)),
            strict=self.on_null == "error",
        )

    def requires(self, argument: Argument) -> bool:
        """Whether a missing value keeps the model from answering."""
        return self.on_null == "error" or (self.on_null == "propagate" and argument.missing is None)

    def __call__(self, output: Output, given: Sequence[pa.Array]) -> pa.Array | None:
        """Answer one batch, as `together` does, for one output."""
        answers = self.together([output], given)
        return None if answers is None else answers[0]

    def together(self, outputs: Sequence[Output], given: Sequence[pa.Array]) -> list[pa.Array] | None:
        """Answer one batch: an array an argument, in signature order; None where the model itself must.

        Raises:
            BadCast: a value that is of no such type.
        """
        held = self.description
        if not len(given[0]):
            return [nothing(output, held.returns, held.classes) for output in outputs]
        whats = tuple(dict.fromkeys(what_of(held, output) for output in outputs))
        if self.machine is None:
            results, valid, refusals = self.evaluated(whats, given)
            refused = bool((refusals & valid).any()) or (self.on_null == "error" and not valid.all())
        else:
            kernel = self._kernels.get(whats)
            if kernel is None:
                kernel = self._kernels.setdefault(whats, Kernel(self._image(whats), self.machine))
            answered = kernel([self._array(array, argument) for array, argument in self._paired(given)])
            results, valid, refused = answered.results, answered.valid, answered.refused > 0
        if refused:
            return None
        return [with_nulls(self._answers(output, results[what_of(held, output)], valid), valid) for output in outputs]

    def _paired(self, given: Sequence[pa.Array]) -> list[tuple[pa.Array, Argument]]:
        every = zip(given, self.description.arguments, strict=True)
        return [(array, argument) for array, argument in every if argument.used]

    def _array(self, array: pa.Array, argument: Argument) -> pa.Array:
        """An array as the machine reads it; whatever needs a cast that it doesn't know is cast before."""
        text = pa.types.is_string(array.type)
        if takes(array.type) and text == (argument.type == "VARCHAR"):
            return array
        return cast_argument(array, argument, self.function)

    def evaluated(
        self, whats: Sequence[What], given: Sequence[pa.Array]
    ) -> tuple[Mapping[What, npt.NDArray[Any]], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Results by NumPy; which rows have all that they need, and which the program refuses.

        Raises:
            BadCast: a value that is of no such type.
        """
        valid = np.ones(len(given[0]), bool)
        columns: list[Any] = []
        for array, argument in self._paired(given):
            held = cast_argument(array, argument, self.function)
            columns.append(held if argument.type == "VARCHAR" else numbers_of(held))
            if self.requires(argument):
                valid &= ~(
                    held.is_null().to_numpy(zero_copy_only=False)
                    if argument.type == "VARCHAR"
                    else np.isnan(columns[-1])
                )
        heads = {what: "probabilities" if what == What.SCORE else what.name.lower() for what in whats}
        found = evaluate(self.program, columns, sorted(set(heads.values())))
        return {what: found.heads[head] for what, head in heads.items()}, valid, found.refused

    def _answers(self, output: Output, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> pa.Array:
        held = self.description
        what = what_of(held, output)
        if what == What.LABEL:
            assert held.classes is not None
            places = np.where(valid, values[:, 0], 0).astype(np.int32)
            return labels(places, held.classes, held.returns)
        if what == What.VALUE:
            flat = values if held.returns.shape == "list" else values[:, 0]
            if held.returns.scalar == "BIGINT":
                flat = np.where(np.isnan(flat), 0, flat)
            return predictions(flat, held.returns)
        assert held.classes is not None
        return probabilities(output, values, held.classes)
