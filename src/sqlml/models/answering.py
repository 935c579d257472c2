"""A version behind a function, loaded when it is first needed, answering whatever an engine hands it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from sqlml.errors import AmbiguousColumn, MissingArguments, WrongCount, did_you_mean, quoted
from sqlml.models.description import Argument, Description
from sqlml.types import Output, Strategy

Answering = Callable[[Output, Sequence[pa.Array]], pa.Array | None]
"""An output's answers to columns, one an argument; None where rows are refused."""

if TYPE_CHECKING:
    from sqlml.models.compiled import Compiled
    from sqlml.models.portable import Portable
    from sqlml.models.predictor import Predictor


class Answerer:
    """Answers calls of one function at one version, by its program where it has one, else by the model itself.

    `key` tells it from any other version or setting of a function of that name. `open_program` gives its program,
    ready to run, and is None where the model itself answers everything. `travel` makes what answers elsewhere, and
    `prove` compares another way of answering with the model. One that `is_derived` is a rewritten query's alone.
    """

    def __init__(
        self,
        function: str,
        key: str,
        description: Description,
        load: Callable[[], Predictor],
        open_program: Callable[[], Compiled] | None = None,
        strategy: Strategy = "python",
        travel: Callable[[Answerer], Portable] | None = None,
        prove: Callable[[Answering], str | None] | None = None,
        *,
        is_derived: bool = False,
    ) -> None:
        self.function = function
        self.key = key
        self.description = description
        self.strategy = strategy
        self.is_derived = is_derived
        self._load = load
        self._travel = travel
        self._prove = prove
        self._open_program = open_program
        self._predictor: Predictor | None = None
        self._predicted = 0
        self._compiled: Compiled | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Answerer {self.function}: {self.description.title}>"

    def predictor(self) -> Predictor:
        """The loaded model; loads it at the first call."""
        if self._predictor is None:
            with self._lock:
                if self._predictor is None:
                    self._predictor = self._load()
        return self._predictor

    def compiled(self) -> Compiled | None:
        """The version's program, opened at the first call; None where the model itself answers."""
        if self._compiled is None and self._open_program is not None:
            with self._lock:
                if self._compiled is None:
                    self._compiled = self._open_program()
        return self._compiled

    def portable(self) -> Portable:
        """What another process needs to answer as this one does."""
        assert self._travel is not None
        return self._travel(self)

    def refuted(self, answer: Answering) -> str | None:
        """Why another way of answering is not the model's, by the cases that the model answered; None where it is."""
        assert self._prove is not None
        return self._prove(answer)

    def open(self) -> None:
        """Load what answers, now; raises what stands against it."""
        if self.compiled() is None:
            self.predictor()

    def counted(self) -> tuple[int, int]:
        """How many rows were answered, and how many trees were gone through, summed over them, since `count_anew`."""
        rows, trees = (0, 0) if self._compiled is None else self._compiled.counted()
        return rows + self._predicted, trees

    def count_anew(self) -> None:
        """Count from the beginning."""
        self._predicted = 0
        if self._compiled is not None:
            self._compiled.count_anew()

    def __call__(self, output: Output, given: Sequence[pa.ChunkedArray]) -> pa.Array:
        """Answer a batch, as `together` does, for one output."""
        return self.together([output], given)[0]

    def together(self, outputs: Sequence[Output], given: Sequence[pa.ChunkedArray]) -> list[pa.Array]:
        """Answer a batch given as an array a taken argument (or one for every argument), or as one array of rows.

        A program is evaluated once for all the outputs.

        Raises:
            BindingError: the row lacks an argument, or the number of arguments is wrong.
            DataError: as `Predictor` says.
        """
        arrays = [_one(array) for array in given]
        arguments, taken = self.description.arguments, self.description.taken
        if len(arrays) == 1 and pa.types.is_struct(arrays[0].type):
            arrays = _fields(arrays[0], arguments, self.function)
        elif len(arrays) == len(taken):
            held = iter(arrays)
            arrays = [next(held) if argument.used else pa.nulls(len(arrays[0])) for argument in arguments]
        elif len(arrays) != len(arguments):
            raise wrong_count(self.function, arguments, len(arrays))
        compiled = self.compiled()
        answers = None if compiled is None else compiled.together(outputs, arrays)
        if answers is None:
            self._predicted += len(arrays[0])
        # What a program refuses, the model itself answers or raises for.
        return [self.predictor()(output, arrays) for output in outputs] if answers is None else answers


def wrong_count(function: str, arguments: Sequence[Argument], found: int) -> WrongCount:
    """The error for too many or too few positions."""
    shown = ", ".join(argument.name for argument in arguments[:20]) + (", ..." if len(arguments) > 20 else "")
    return WrongCount(function=function, expected=len(arguments), arguments=shown, found=found)


def match_names(
    function: str, arguments: Sequence[Argument], names: Sequence[str], source: str, shown: Callable[[int], str]
) -> list[int | None]:
    """For each argument the place of its name among `names`: the same case first, else any; None if it may be absent.

    Args:
        function: the function's name, for messages.
        arguments: the model's, in signature order.
        names: the names there are, of columns or fields.
        source: what has the names, for messages: "the row of 't'".
        shown: how the name at a place is written in a message.

    Raises:
        MissingArguments: required ones that are not there, with the nearest name.
        AmbiguousColumn: two names that fit, which differ only in case or come from two tables.
    """
    exact: dict[str, list[int]] = {}
    folded: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        exact.setdefault(name, []).append(place)
        folded.setdefault(name.casefold(), []).append(place)
    twins = {key for key in folded if sum(argument.name.casefold() == key for argument in arguments) > 1}
    found: list[int | None] = []
    missing: list[str] = []
    for argument in arguments:
        key = argument.name.casefold()
        # Only a model whose own arguments differ in nothing but case can tell such columns apart.
        fits = exact.get(argument.name, []) if key in twins else folded.get(key, [])
        if len(fits) > 1:
            first, second = shown(fits[0]), shown(fits[1])
            raise AmbiguousColumn(function=function, name=argument.name, first=first, second=second)
        if not fits and argument.required:
            missing.append(argument.name)
        found.append(fits[0] if fits else None)
    if missing:
        raise MissingArguments(
            function=function, missing=quoted(missing), source=source, suggestion=did_you_mean(missing[0], names)
        )
    return found


def _one(array: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()


def _fields(rows: pa.StructArray, arguments: Sequence[Argument], function: str) -> list[pa.Array]:
    names = [field.name for field in rows.type]
    places = match_names(function, arguments, names, "its row", lambda place: f"'{names[place]}'")
    # flatten() carries a NULL of the row into its fields.
    columns = rows.flatten()
    return [pa.nulls(len(rows)) if place is None else columns[place] for place in places]
