"""A program for the rows of one query: what its inputs can't hold is gone from encoders, sums and trees.

What the columns can hold is worked out forward, node by node; then the nodes are put together again without what is
known. A row that was refused is refused still: where a guard or an encoder that may refuse one is read no more, its
column is tied to the answer by adding nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from sqlml.programs.domains import Domain, shown
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Booleans,
    Combine,
    Constant,
    Distances,
    Encode,
    FillText,
    Floats,
    Guard,
    Input,
    Linear,
    Node,
    OneHot,
    Program,
    Ref,
    Replace,
    Trees,
    renumbered,
)
from sqlml.programs.shrink import shrunk, split_on
from sqlml.programs.simplify import narrowed
from sqlml.programs.spans import Span, encoded, guarded, of_domain, span_of

__all__ = ["Domain", "shown", "specialize"]

# To these a 0.0 is as good as a -0.0, and neither can be told from what they give.
_ANY_ZERO = (Distances, Encode, Linear, OneHot, Trees)
_EACH = (Apply, Arithmetic, FillText, Guard, Replace)

Indices = npt.NDArray[np.int64]
"""Columns, counted through the whole program."""


def specialize(program: Program, domains: Mapping[int, Domain]) -> Program:
    """The same answers of the rows that lie in the domains, from less; the inputs all stay, and the heads.

    Args:
        program: pruned.
        domains: what inputs can hold, by place; others can hold anything.

    Trees answer as before to the last bit, sums nearly so. Of other rows nothing is promised.

    Example:
        >>> from sqlml.programs.program import Builder
        >>> graph = Builder([("carrier", True), ("distance", False)])
        >>> keys = {"keys": ("AA", "UA"), "codes": np.array([0.0, 1.0]), "missing": -1.0, "unknown": -1.0}
        >>> code = graph.add(Encode(inputs=graph.input("carrier"), **keys))
        >>> hot = graph.add(OneHot(inputs=code, codes=keys["codes"]))
        >>> columns = (*hot, *graph.input("distance"))
        >>> weights = {"weights": np.array([[1.0], [5.0], [2.0]]), "bias": np.array([0.5])}
        >>> program = graph.program({"value": graph.add(Linear(inputs=columns, **weights))})
        >>> print(specialize(program, {0: Domain(missing=False, values=("UA",))}))
        %0 = input(name='carrier', text=True)
        %1 = input(name='distance', text=False)
        %2 = linear(%1; weights=[[2.0]], bias=[5.5])
        value: %2
    """
    if any(domain.nothing for place, domain in domains.items() if place in program.used):
        return program
    return _rebuilt(program, forward(program, domains))


@dataclass(frozen=True)
class Known:
    """The nodes rewritten, the columns that each takes, and what each column can hold.

    `first` is a node's first column. `instead` is another column that a column equals. `refuses` marks those of
    guards and encoders that may refuse a row, `points` those that are one number.
    """

    nodes: list[Node]
    given: list[Indices]
    taken: list[Indices]
    first: Indices
    low: Floats
    high: Floats
    missing: Booleans
    limited: Booleans
    refuses: Booleans
    instead: Indices
    sets: dict[int, Floats]
    texts: dict[int, Domain]

    def span(self, columns: Indices) -> Span:
        """What these can hold."""
        held = {i: self.sets[column] for i, column in enumerate(columns.tolist()) if column in self.sets}
        return Span(self.low[columns], self.high[columns], self.missing[columns], held if self.sets else {})

    def learn(self, place: int, node: Node, span: Span, taken: Indices | None = None) -> None:
        """Keep what is found of a node."""
        here = slice(int(self.first[place]), int(self.first[place + 1]))
        self.nodes[place] = node
        self.low[here], self.high[here], self.missing[here] = span.low, span.high, span.missing
        limited = self.limited[self.given[place]]
        self.limited[here] = limited if isinstance(node, _EACH) else limited.any()
        self.sets.update({here.start + column: values for column, values in span.sets.items()})
        if taken is not None:
            self.taken[place] = taken


def forward(program: Program, domains: Mapping[int, Domain]) -> Known:
    """What every column can hold, the last columns worked out from the first."""
    first = np.cumsum([0, *(node.width for node in program.nodes)])
    total = int(first[-1])
    given = [_columns(node, first) for node in program.nodes]
    known = Known(
        list(program.nodes),
        given,
        list(given),
        first,
        np.full(total, -np.inf),
        np.full(total, np.inf),
        np.ones(total, bool),
        np.zeros(total, bool),
        np.zeros(total, bool),
        np.arange(total),
        {},
        {},
    )
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input):
            _input(known, place, node, domains.get(place, Domain()))
            known.limited[place] = place in domains
        else:
            _STEPS.get(type(node), _other)(known, place, node)
    return known


def _columns(node: Node, first: Indices) -> Indices:
    flat = np.fromiter(chain.from_iterable(node.inputs), np.int64, 2 * len(node.inputs))
    return np.asarray(first[flat[::2]] + flat[1::2])


def _input(known: Known, place: int, node: Input, domain: Domain) -> None:
    if node.text:
        known.texts[place] = domain
    else:
        known.learn(place, node, of_domain(domain))


def _other(known: Known, place: int, node: Node) -> None:
    known.learn(place, node, span_of(node, known.span(known.given[place])))


def _fill_text(known: Known, place: int, node: Node) -> None:
    assert isinstance(node, FillText)
    for column, (source, text) in enumerate(zip(known.given[place].tolist(), node.texts, strict=True)):
        held = known.texts[source]
        values = held.values
        if values is not None and held.missing:
            values = (*(str(value) for value in values), text)
        known.texts[int(known.first[place]) + column] = Domain(missing=False, values=values)
    known.limited[known.first[place] : known.first[place + 1]] = known.limited[known.given[place]]


def _encode(known: Known, place: int, node: Node) -> None:
    assert isinstance(node, Encode)
    source = known.given[place]
    texts = known.texts.get(int(source[0]))
    span, narrow, refuses = encoded(node, known.span(source) if texts is None else texts)
    known.learn(place, narrow, span)
    known.refuses[known.first[place]] = refuses


def _guard(known: Known, place: int, node: Node) -> None:
    assert isinstance(node, Guard)
    span, refuses = guarded(node, known.span(known.given[place]))
    known.learn(place, node, span)
    here = slice(int(known.first[place]), int(known.first[place + 1]))
    known.refuses[here] = refuses
    known.instead[here] = np.where(refuses, known.instead[here], known.instead[known.given[place]])


def _linear(known: Known, place: int, node: Node) -> None:
    assert isinstance(node, Linear)
    given = known.given[place]
    span = known.span(given)
    fixed = span.points
    narrow = node
    if fixed.any():
        keep = np.flatnonzero(~fixed)
        bias = node.bias + span.low[fixed] @ node.weights[fixed]
        inputs = tuple(node.inputs[i] for i in keep.tolist())
        narrow = replace(node, inputs=inputs, weights=node.weights[keep], bias=bias)
        given = given[keep]
    known.learn(place, narrow, span_of(node, span), given)


def _trees(known: Known, place: int, node: Node) -> None:
    assert isinstance(node, Trees)
    given = known.given[place]
    limited = known.limited[given]
    if not limited.any():
        known.learn(place, node, span_of(node, known.span(given)))
        return
    narrow = shrunk(node, known.span(given), limited)
    split = split_on(narrow)
    if not split.all():
        used = np.flatnonzero(split)
        inputs = tuple(node.inputs[i] for i in used.tolist())
        places = (np.cumsum(split) - 1).astype(np.int32)
        narrow = replace(narrow, inputs=inputs, feature=places[narrow.feature])
        given = given[used]
    known.learn(place, narrow, span_of(narrow, known.span(given)), given)


_STEPS: Mapping[type[Node], Callable[[Known, int, Node], None]] = {
    Encode: _encode,
    FillText: _fill_text,
    Guard: _guard,
    Linear: _linear,
    Trees: _trees,
}


def _reached(
    nodes: Sequence[Node], taken: Sequence[Indices], first: Indices, wanted: Booleans, must: Booleans
) -> list[int]:
    """Marks the columns that the wanted ones depend on; gives those that must be there too, where they weren't."""
    added: list[int] = []
    for place in range(len(nodes) - 1, -1, -1):
        here = slice(int(first[place]), int(first[place + 1]))
        lost = np.flatnonzero(must[here] & ~wanted[here]) + here.start
        wanted[lost] = True
        added += lost.tolist()
        columns = np.flatnonzero(wanted[here])
        if len(columns):
            wanted[taken[place][narrow_to(nodes[place], columns)[1]]] = True
    return added


def narrow_to(node: Node, columns: Indices) -> tuple[Node, Indices]:
    """The node with these columns only, where it can be, and the places of the inputs that they need."""
    whole = len(columns) == node.width
    alike = whole and not isinstance(node, Combine | Linear | Trees)
    if alike or (whole and isinstance(node, Trees) and split_on(node).all()):
        return node, np.arange(len(node.inputs))
    narrow, kept = narrowed(node, columns.tolist())
    return narrow, np.array(kept, np.int64)


def _rebuilt(program: Program, known: Known) -> Program:
    total = int(known.first[-1])
    # A column that is one number is written as what lies `total` behind it.
    points = known.span(np.arange(total)).points
    points[: len(program.inputs)] &= ~np.isin(np.arange(len(program.inputs)), list(known.texts))
    taken = [
        _stands(known, points, columns, type(node)) for node, columns in zip(known.nodes, known.taken, strict=True)
    ]
    heads: dict[str, Indices] = {}
    tied: dict[str, list[int]] = {}
    wanted = np.zeros(2 * total, bool)
    for name, refs in program.heads.items():
        columns = _columns(Constant(inputs=refs, values=np.empty(0)), known.first)
        before, after = np.zeros(total, bool), np.zeros(2 * total, bool)
        before[columns] = True
        if known.refuses.any():
            _reached(program.nodes, known.given, known.first, before, np.zeros(total, bool))
        heads[name] = _stands(known, points, columns, Linear)
        after[heads[name]] = True
        tied[name] = _reached(known.nodes, taken, known.first, after, np.append(before & known.refuses, before & False))
        wanted |= after
    return _assembled(program, known, taken, wanted, heads, tied)


def _stands(known: Known, points: Booleans, columns: Indices, taker: type[Node]) -> Indices:
    """What is taken instead of these."""
    fixed = points[columns] if taker in _ANY_ZERO else points[columns] & (known.low[columns] != 0.0)
    return np.where(fixed, columns + len(points), known.instead[columns])


def _assembled(
    program: Program,
    known: Known,
    taken: Sequence[Indices],
    wanted: Booleans,
    heads: Mapping[str, Indices],
    tied: Mapping[str, Sequence[int]],
) -> Program:
    total = int(known.first[-1])
    constants = np.flatnonzero(wanted[total:])
    nodes: list[Node] = list(program.inputs)
    places = np.full(2 * total, -1)
    within = np.zeros(2 * total, np.int64)
    places[: len(nodes)] = np.arange(len(nodes))
    if len(constants):
        places[total + constants] = len(nodes)
        within[total + constants] = np.arange(len(constants))
        nodes.append(Constant(values=known.low[constants]))

    def refs(columns: Indices) -> tuple[Ref, ...]:
        return tuple(zip(places[columns].tolist(), within[columns].tolist(), strict=True))

    for place in range(len(program.inputs), len(known.nodes)):
        here = slice(int(known.first[place]), int(known.first[place + 1]))
        columns = np.flatnonzero(wanted[here])
        if len(columns):
            narrow, kept = narrow_to(known.nodes[place], columns)
            places[here] = len(nodes)
            within[here] = np.cumsum(wanted[here]) - 1 if narrow.width == len(columns) else np.arange(narrow.width)
            nodes.append(renumbered(narrow, refs(taken[place][kept])))
    found = {}
    for name, columns in heads.items():
        found[name] = refs(columns)
        if tied[name]:
            found[name] = _tied(nodes, found[name], refs(np.array(tied[name], np.int64)))
    return Program(tuple(nodes), found)


def _tied(nodes: list[Node], head: tuple[Ref, ...], refusing: tuple[Ref, ...]) -> tuple[Ref, ...]:
    """The head's columns, to each of which columns add nothing but their refusals: no number is above infinity."""
    nodes.append(Arithmetic(inputs=refusing, op="greater", operand=np.full(len(refusing), np.inf)))
    nothing = [(len(nodes) - 1, i) for i in range(len(refusing))]
    width = len(head)
    groups = [[i, *range(width, width + len(nothing))] for i in range(width)]
    nodes.append(Combine(inputs=(*head, *nothing), op="sum", groups=np.array(groups, np.int32)))
    return tuple((len(nodes) - 1, i) for i in range(width))
