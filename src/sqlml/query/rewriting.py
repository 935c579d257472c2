"""What the passes that rewrite a query know and say: the functions it calls, as Programs, and facts of its tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from sqlglot import exp

from sqlml.programs.program import Program, Ref, may_refuse
from sqlml.programs.prune import Domain
from sqlml.programs.simplify import prune
from sqlml.types import Output

PART = "__sqlml_part_"
"""How the columns are named that a dimension gets, each a DOUBLE; a number follows."""

CALL = "__sqlml_call_"
"""How the calls of models are named while a query is rewritten; a number follows."""

Kind = Literal["text", "small", "whole", "boolean", "float32", "float64", "decimal", "other"]
"""What a column's values are, as far as it matters: `small` are whole numbers that a DOUBLE holds, each one."""

Clause = Literal["where", "having", "order"]
"""Where an engine may run a function anew that the query names elsewhere, too."""


@dataclass(frozen=True)
class Given:
    """An argument of a call: `required` makes a NULL the answer to a missing value.

    `place` is that of the program's input.
    """

    name: str
    type: str
    required: bool
    place: int


@dataclass(frozen=True)
class Asked:
    """A function that a query calls.

    Args:
        name: what stands in the tree.
        call: the place of the call that it came from, among those of the plan.
        function: the user's name for it.
        outputs: what it gives; several are a struct's fields. A derived number is `predict`.
        program: what answers; None for a model that has none. Its inputs are all that it ever had.
        arguments: those that it is given, in order.
        known: of inputs that it is no longer given, the values that they can have.
        number: it gives a number of its own, in place of the model's outputs; NaN where the model refuses the row.
        once: the engine is not to run it twice for a row.
    """

    name: str
    call: int
    function: str
    outputs: tuple[Output, ...]
    program: Program | None
    arguments: tuple[Given, ...]
    known: Mapping[int, Domain] = field(default_factory=dict)
    number: bool = False
    once: bool = False

    def refs(self) -> tuple[Ref, ...]:
        """The column of the program that a single number comes from; empty where it gives something else."""
        if self.program is None or len(self.outputs) != 1:
            return ()
        heads = self.program.heads
        if self.number or (self.outputs == ("predict",) and "value" in heads):
            return tuple(heads["value"]) if len(heads["value"]) == 1 else ()
        return tuple(heads["probabilities"][-1:]) if self.outputs == ("score",) else ()

    def inputs_known(self) -> dict[int, Domain]:
        """What is known of the program's inputs, in rows that it answers: one without a required value is NULL."""
        present = {given.place: Domain(missing=False) for given in self.arguments if given.required}
        every = self.known.keys() | present.keys()
        return {place: present.get(place, Domain()).within(self.known.get(place, Domain())) for place in every}

    @property
    def may_fail(self) -> bool:
        """Whether there may be a row that it answers with an error, for which it must not be asked needlessly."""
        return self.program is None or may_refuse(self.program)

    def alone(self) -> Program:
        """The program with nothing but that column, under the name of its head."""
        assert self.program is not None
        head = "value" if self.outputs == ("predict",) else "probabilities"
        return prune(self.program, {head: self.refs()})


@dataclass(frozen=True)
class Column:
    """A column of a table as the engine knows it."""

    name: str
    kind: Kind


class Known(Protocol):
    """What is known of a table's rows; see `TableFacts` of the engines."""

    @property
    def rows(self) -> int | None:
        """About how many there are."""

    @property
    def unique(self) -> Collection[frozenset[str]]:
        """Sets of columns, each of which no two rows have alike, and no row has NULL in."""

    @property
    def references(self) -> Collection[tuple[tuple[str, ...], str, tuple[str, ...]]]:
        """Foreign keys that hold: columns without NULL, the other table, and its columns."""

    @property
    def domains(self) -> Mapping[str, Domain]:
        """What the values of columns can be, by statistics of the present rows."""

    @property
    def bounds(self) -> Mapping[str, Domain]:
        """The same, for a rewrite that nothing looks at again."""

    @property
    def is_stored(self) -> bool:
        """Whether its rows are there, the same ones whoever asks: it is no view that computes them."""

    @property
    def distinct(self) -> Mapping[str, int]:
        """About how many values columns have."""

    def guard(self, domains: Mapping[str, Domain]) -> str | None:
        """A condition, as SQL, that is true while columns' values are in these domains, and an error after."""


class Facts(Protocol):
    """What is known of tables. Names of columns are casefolded, tables are named as SQL."""

    dialect: str

    def columns(self, query: str) -> Sequence[Column] | None:
        """The columns of a query; None where it can't be bound."""

    def table(self, name: str) -> Known:
        """What is known of a table."""

    def repeats(self) -> Collection[Clause]:
        """The clauses for which the engine runs a function again, and can be kept from it."""

    def samples(self) -> bool:
        """Whether a query may ask a model about a sample of its rows first, in a subquery."""

    def plain_texts(self) -> bool:
        """Whether texts are equal only if they are the same: no collation says otherwise."""

    def nulls_last(self, *, descending: bool) -> bool:
        """Whether NULL is the last in an order that doesn't say where it is."""


@dataclass(frozen=True)
class State:
    """A query on its way through the passes: its tree, its functions by name, and what was done, in words."""

    tree: exp.Expr
    asked: Mapping[str, Asked]
    done: tuple[str, ...] = ()

    def call(self, node: exp.Expr) -> Asked | None:
        """The function that a node of the tree calls."""
        return self.asked.get(node.name) if isinstance(node, exp.Anonymous) else None

    def calls(self, within: exp.Expr | None = None) -> list[exp.Anonymous]:
        """The nodes that call functions."""
        return [node for node in (within or self.tree).find_all(exp.Anonymous) if node.name in self.asked]

    def adding(self, asked: Asked) -> tuple[State, Asked]:
        """The state with one more function, under a name of its own; an equal one is there once."""
        for held in self.asked.values():
            if replace(held, name=asked.name) == asked:
                return self, held
        named = replace(asked, name=f"{CALL}new_{len(self.asked)}")
        return replace(self, asked={**self.asked, named.name: named}), named

    def saying(self, *words: str) -> State:
        """The state with more said of what was done, each once."""
        return replace(self, done=tuple(dict.fromkeys([*self.done, *words])))


Pass = Callable[[State, Facts], State]
"""A rewrite: gives the state as it was where there is nothing to do. The tree in it is its own to change."""
