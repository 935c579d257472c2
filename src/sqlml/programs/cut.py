"""A program in parts: what depends on the columns of one dimension table alone is computed once a row of that table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sqlml.programs.domains import Domain
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Booleans,
    Encode,
    FillText,
    Guard,
    Input,
    Linear,
    Node,
    Program,
    Ref,
    Replace,
    reached,
    renumbered,
)
from sqlml.programs.prune import Indices, Known, forward, narrow_to
from sqlml.programs.simplify import compact, prune

UNLIMITED: Mapping[int, Domain] = {}

NOBODY, SEVERAL = -1, -2
"""Whose a column is that depends on no input, and one that depends on more than one group, or on none's inputs."""


@dataclass(frozen=True)
class Part:
    """What is computed for a row of a dimension.

    `inputs` are the places of the program's inputs that it takes, ascending; those of its own `program` are exactly
    these, and its head "value" is one column: a partial sum, the code of a text, or an answer.
    """

    inputs: tuple[int, ...]
    program: Program
    kind: Literal["sum", "code", "column"]


@dataclass(frozen=True)
class Cut:
    """`outer` has all of the program's inputs, and behind them a number `__part0`, `__part1`, ... for each part."""

    outer: Program
    parts: tuple[Part, ...]


def is_total(program: Program, domains: Mapping[int, Domain] = UNLIMITED) -> bool:
    """Whether no row is ever refused, of those in the domains of its inputs."""
    known = forward(program, domains)
    places = {place for place, _ in reached(program.nodes, program.heads)}
    return not any(known.refuses[known.first[place] : known.first[place + 1]].any() for place in places)


def cut(program: Program, groups: Sequence[frozenset[int]], domains: Mapping[int, Domain] = UNLIMITED) -> Cut:
    """Take out what each group of inputs decides alone.

    Args:
        program: pruned.
        groups: places of inputs, each the columns of one dimension; no input is in two.
        domains: what inputs can hold, by place: where a text is never missing, an encoder that refuses what is
            missing is a part all the same. Of rows outside nothing is promised.

    Answers of trees stay the same to the last bit; sums are added up in another order. A part that is NaN is a
    missing value, as the column that it stands for. What may refuse a row stays in the outer program.

    Example:
        >>> from sqlml.programs.program import Builder, OneHot
        >>> graph = Builder([("carrier", True), ("distance", False)])
        >>> keys = {"keys": ("AA", "UA"), "codes": np.array([0.0, 1.0]), "missing": -1.0, "unknown": -1.0}
        >>> code = graph.add(Encode(inputs=graph.input("carrier"), **keys))
        >>> columns = (*graph.add(OneHot(inputs=code, codes=keys["codes"])), *graph.input("distance"))
        >>> weights = {"weights": np.array([[1.0], [5.0], [2.0]]), "bias": np.array([0.5])}
        >>> program = graph.program({"value": graph.add(Linear(inputs=columns, **weights))})
        >>> found = cut(program, [frozenset({0})])
        >>> print(found.outer)
        %0 = input(name='carrier', text=True)
        %1 = input(name='distance', text=False)
        %2 = input(name='__part0', text=False)
        %3 = linear(%1, %2; weights=[[2.0], [1.0]], bias=[0.5])
        value: %3
        >>> [(part.kind, part.inputs) for part in found.parts]
        [('sum', (0,))]
    """
    work = _Work(program, forward(program, domains), _owners(program, groups), len(groups))
    heads = {}
    for name, refs in program.heads.items():
        columns = [int(work.known.first[node]) + column for node, column in refs]
        heads[name] = refs
        if len(refs) == 1 and work.alone[columns[0]]:
            heads[name] = (work.part(program.nodes, refs[0], "column"),)
        else:
            work.wanted[columns] = True
    for place in range(len(program.nodes) - 1, len(program.inputs) - 1, -1):
        work.visit(place)
    return Cut(prune(_outer(program, heads, work)), tuple(work.parts))


def _owners(program: Program, groups: Sequence[frozenset[int]]) -> Indices:
    owners = np.full(len(program.inputs), SEVERAL)
    for group, places in enumerate(groups):
        owners[list(places)] = group
    return owners


_EACH = (Apply, Arithmetic, FillText, Guard, Replace)


def owned(program: Program, known: Known, owners: Indices) -> tuple[Indices, Booleans]:
    """For each column whose it is, and whether a row may be refused beneath it.

    Args:
        program: the program.
        known: what its columns can hold.
        owners: whose each input is.
    """
    owner = np.full(int(known.first[-1]), NOBODY)
    owner[: len(owners)] = owners
    refusing = known.refuses.copy()
    for place, node in enumerate(program.nodes):
        given = known.given[place]
        here = slice(int(known.first[place]), int(known.first[place + 1]))
        if isinstance(node, _EACH):
            owner[here] = owner[given]
            refusing[here] |= refusing[given]
        elif len(given):
            held = np.unique(owner[given])
            held = held[held != NOBODY]
            owner[here] = NOBODY if not len(held) else held[0] if len(held) == 1 else SEVERAL
            refusing[here] |= refusing[given].any()
    return owner, refusing


@dataclass
class _Work:
    """A walk from the heads down: what is wanted is taken apart, until it is a part or an input."""

    program: Program
    known: Known
    owners: Indices
    groups: int
    parts: list[Part] = field(default_factory=list)
    instead: dict[int, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wanted = np.zeros(int(self.known.first[-1]), bool)
        self.owner, self.refusing = owned(self.program, self.known, self.owners)
        self.alone: Booleans = (self.owner >= 0) & ~self.refusing
        self.kept = self._texts_of_refusing()

    def _texts_of_refusing(self) -> set[int]:
        """Texts that the outer program takes in any case: an encoder may refuse a row for them."""
        kept: set[int] = set()
        for place, node in enumerate(self.program.nodes):
            if isinstance(node, Encode) and self.known.refuses[self.known.first[place]]:
                kept.update(self.inputs_of(node.inputs))
        return kept

    def inputs_of(self, refs: Sequence[Ref]) -> set[int]:
        """The places of the inputs that columns depend on."""
        nodes = self.program.nodes
        found = {node for node, _ in reached(nodes, {"value": tuple(refs)})}
        return {place for place in found if isinstance(nodes[place], Input)}

    def part(self, nodes: Sequence[Node], ref: Ref, kind: Literal["sum", "code", "column"]) -> Ref:
        """Make a column a part; gives the outer program's input for it."""
        whole = prune(Program(tuple(nodes), {"value": (ref,)}))
        self.parts.append(Part(whole.used, compact(whole), kind))
        return (-len(self.parts), 0)

    def visit(self, place: int) -> None:
        """What is wanted of a node: a part, or its inputs are wanted."""
        node, first = self.program.nodes[place], int(self.known.first[place])
        columns = np.flatnonzero(self.wanted[first : int(self.known.first[place + 1])])
        if not len(columns):
            return
        given = self.known.given[place]
        if isinstance(node, Encode) and self._coded_apart(node, first):
            self.instead[place] = _coded(node, self.part(self.program.nodes[: place + 1], (place, 0), "code"))
            return
        taken = self._summed(place, node) if isinstance(node, Linear) else narrow_to(node, columns)[1]
        self.wanted[given[taken]] = True

    def _coded_apart(self, node: Encode, column: int) -> bool:
        """Whether its code is a part: of a text, where the outer program can do without it."""
        text = int(self.known.first[node.inputs[0][0]]) + node.inputs[0][1] in self.known.texts
        return bool(self.alone[column]) and text and not self.kept & self.inputs_of(node.inputs)

    def _summed(self, place: int, node: Linear) -> Indices:
        """Put partial sums instead of columns that one group decides; gives the places of those that are left."""
        given = self.known.given[place]
        left = np.ones(len(given), bool)
        summed: list[tuple[int, Ref]] = []
        for group in range(self.groups):
            places = np.flatnonzero(self.alone[given] & (self.owner[given] == group) & self._spread(node, given))
            if not self._worth(node, places):
                continue
            left[places] = False
            inputs = tuple(node.inputs[i] for i in places.tolist())
            for output in range(node.width):
                weights = node.weights[places, output : output + 1]
                if weights.any():
                    alone = Linear(inputs=inputs, weights=weights, bias=np.zeros(1))
                    summed.append((output, self.part((*self.program.nodes[:place], alone), (place, 0), "sum")))
        kept = np.flatnonzero(left)
        if summed:
            ones = np.zeros((len(summed), node.width))
            ones[np.arange(len(summed)), [output for output, _ in summed]] = 1.0
            inputs = (*(node.inputs[i] for i in kept.tolist()), *(ref for _, ref in summed))
            self.instead[place] = replace(node, inputs=inputs, weights=np.concatenate([node.weights[kept], ones]))
        return kept

    def _spread(self, node: Linear, given: Indices) -> Booleans:
        """Which columns may be summed: infinity times the other outputs' weights of 0 is NaN."""
        bounded = np.isfinite(self.known.low[given]) & np.isfinite(self.known.high[given])
        return np.asarray(bounded | (node.width == 1))

    def _worth(self, node: Linear, places: Indices) -> bool:
        """Whether partial sums are fewer than what they stand for."""
        refs = [node.inputs[i] for i in places.tolist()]
        plain = all(isinstance(self.program.nodes[source], Input) for source, _ in refs)
        if not refs or (plain and len(refs) <= node.width):
            return False
        return node.width <= max(1, len(self.inputs_of(refs)))


def _coded(node: Encode, part: Ref) -> Encode:
    """The code again, of its own: an encoder is looked up fast, and what comes in here is one of its keys."""
    given = [code for code in (node.missing, node.unknown) if code is not None]
    codes = np.unique(np.concatenate([node.codes, given]))
    codes = codes[np.isfinite(codes)]
    return Encode(inputs=(part,), keys=codes, codes=codes, missing=math.nan, unknown=math.nan)


def _outer(program: Program, heads: dict[str, tuple[Ref, ...]], work: _Work) -> Program:
    """The program over its inputs and the parts, which stand behind them."""
    first = len(program.inputs)
    nodes: list[Node] = list(program.inputs)
    nodes += [Input(name=f"__part{i}") for i in range(len(work.parts))]
    moved = {place: place for place in range(first)} | {-1 - i: first + i for i in range(len(work.parts))}
    for place in range(first, len(program.nodes)):
        if not work.wanted[work.known.first[place] : work.known.first[place + 1]].any():
            continue
        node = work.instead.get(place, program.nodes[place])
        # A column that nobody wants may come from a node that is gone.
        inputs = [(moved.get(source, 0), column if source in moved else 0) for source, column in node.inputs]
        moved[place] = len(nodes)
        nodes.append(renumbered(node, inputs))
    found = {name: tuple((moved[node], column) for node, column in refs) for name, refs in heads.items()}
    return Program(tuple(nodes), found)
