"""What runs in Spark's Python workers: a version's answers to Arrow batches. Opened once a worker, kept by its key."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyspark import SparkFiles, TaskContext

from sqlml.errors import NotNumeric, SqlmlError, UnknownFunction, did_you_mean, restore
from sqlml.models.answering import Answerer
from sqlml.models.portable import Portable
from sqlml.models.travelling import opened
from sqlml.types import Output

MOST_OPEN = 32
"""Versions that a worker keeps open; the one that was used longest ago goes."""

_open: OrderedDict[str, Answerer] = OrderedDict()
_lock = threading.Lock()


class Sent(Protocol):
    """Something of the driver's: a broadcast, or the thing itself."""

    @property
    def value(self) -> Portable:
        """The version."""


class Inline:
    """A version that goes along with the function, where there is no broadcast."""

    def __init__(self, value: Portable) -> None:
        self.value = value


Answers = Callable[[Iterator[tuple[pa.Array, ...]]], Iterator[pa.Array]]
"""The function of an Arrow UDF: Spark reads from its type hints that it takes an iterator of batches."""


def answerer(sent: Sent) -> Answerer:
    """What answers for a version in this process."""
    held = sent.value
    with _lock:
        if held.key in _open:
            _open.move_to_end(held.key)
            return _open[held.key]
    made = opened(held, lambda: _archive(held))
    made.open()
    with _lock:
        _open[held.key] = made
        while len(_open) > MOST_OPEN:
            _open.popitem(last=False)
    return made


def _archive(held: Portable) -> Path:
    assert held.artifact is not None
    return Path(SparkFiles.get(f"{held.artifact.digest}.zip"))


def answering(sent: Sent, outputs: Sequence[Output]) -> Answers:
    """One output of a version, or several in a struct."""

    def answers(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        held: Answerer | None = None
        for batch in batches:
            with _placed():
                held = held or answerer(sent)
                found = held.together(outputs, _arrays(batch))
            yield found[0] if len(outputs) == 1 else pa.StructArray.from_arrays(found, names=list(outputs))

    return answers


def generic(sent: dict[str, Sent], output: Output) -> Answers:
    """The engine's own `predict('f', ...)`: DOUBLE, whatever `f` is."""

    def answers(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for batch in batches:
            names, *arrays = _arrays(batch)
            with _placed():
                yield _numbers(sent, output, {str(name) for name in names.unique().to_pylist()}, arrays, len(names))

    return answers


def _numbers(sent: dict[str, Sent], output: Output, names: set[str], arrays: list[pa.Array], rows: int) -> pa.Array:
    if not names:
        return pa.nulls(rows, pa.float64())
    name = names.pop()
    if names or name.casefold() not in sent:
        raise UnknownFunction(name=name, suggestion=did_you_mean(name, sent))
    held = answerer(sent[name.casefold()])
    found = held(output, arrays)
    if output == "proba":
        keys = pa.array([str(key) for key in found.keys.to_pylist()], pa.string())
        return pa.MapArray.from_arrays(found.offsets, keys, found.items)
    if not (pa.types.is_integer(found.type) or pa.types.is_floating(found.type) or pa.types.is_boolean(found.type)):
        raise NotNumeric(function=name, type=held.description.returns.sql)
    return found.cast(pa.float64())


def _arrays(batch: Any) -> list[pa.Array]:
    """A function of one column is given that, of several a tuple of them."""
    return list(batch) if isinstance(batch, tuple) else [batch]


@contextlib.contextmanager
def _placed() -> Iterator[None]:
    """Says in an error of ours which partition it was."""
    try:
        yield
    except SqlmlError as error:
        context = TaskContext.get()
        where = "" if context is None else f" (partition {context.partitionId()})"
        placed = restore(type(error).__name__, error.values, f"{error}{where}") or error
        # What a library raised may hold values of rows: Spark would hand the whole chain to the user and to its logs.
        raise placed from None
