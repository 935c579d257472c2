"""A program without what its answers don't need: columns nobody takes, weights of zero, features no tree splits on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Constant,
    Distances,
    FillText,
    Guard,
    Input,
    Linear,
    Node,
    OneHot,
    Piecewise,
    Program,
    Ref,
    Replace,
    Screened,
    Trees,
    renumbered,
)

Kept = tuple[Node, list[int]]
"""A node with only some of its columns, and the places of the inputs that it still takes."""


def prune(program: Program, heads: Mapping[str, Sequence[Ref]] | None = None) -> Program:
    """The same answers from less; the inputs all stay, so that their places do.

    Args:
        program: as a reader made it.
        heads: what must be answered; its own heads where None.

    An input that is used no more can hold anything: a NULL or an infinity in it no longer matters.
    """
    heads = program.heads if heads is None else heads
    wanted: list[set[int]] = [set() for _ in program.nodes]
    for refs in heads.values():
        for source, column in refs:
            wanted[source].add(column)
    kept: dict[int, Kept] = {}
    for place in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[place]
        if not wanted[place]:
            continue
        narrow, taken = narrowed(node, sorted(wanted[place]))
        kept[place] = narrow, taken
        for i in taken:
            source, column = node.inputs[i]
            wanted[source].add(column)
    return _rebuilt(program, heads, wanted, kept)


def compact(program: Program) -> Program:
    """The same without the inputs that it doesn't use; the first stays where it uses none."""
    keep = program.used or tuple(i for i, node in enumerate(program.nodes) if isinstance(node, Input))[:1]
    moved: dict[int, int] = {}
    nodes: list[Node] = []
    for place, node in enumerate(program.nodes):
        if isinstance(node, Input) and place not in keep:
            continue
        moved[place] = len(nodes)
        nodes.append(renumbered(node, [(moved[source], column) for source, column in node.inputs]))
    heads = {name: tuple((moved[node], column) for node, column in refs) for name, refs in program.heads.items()}
    return Program(tuple(nodes), heads)


def arranged(program: Program, places: Sequence[int]) -> Program:
    """The same with these of its inputs alone, in this order; raises ValueError where it uses another."""
    if unknown := set(program.used) - set(places):
        raise ValueError(f"the program also uses the inputs at {sorted(unknown)}")
    order = [*places, *(i for i, node in enumerate(program.nodes) if not isinstance(node, Input))]
    moved = {old: new for new, old in enumerate(order)}
    nodes = [
        renumbered(program.nodes[old], [(moved[node], column) for node, column in program.nodes[old].inputs])
        for old in order
    ]
    heads = {name: tuple((moved[node], column) for node, column in refs) for name, refs in program.heads.items()}
    return Program(tuple(nodes), heads)


def _rebuilt(
    program: Program, heads: Mapping[str, Sequence[Ref]], wanted: Sequence[set[int]], kept: Mapping[int, Kept]
) -> Program:
    nodes: list[Node] = []
    moved: dict[Ref, Ref] = {}
    for place, node in enumerate(program.nodes):
        if place not in kept and not isinstance(node, Input):
            continue
        narrow, taken = kept.get(place, (node, []))
        nodes.append(renumbered(narrow, [moved[node.inputs[i]] for i in taken]))
        for column, old in enumerate(
            sorted(wanted[place]) if narrow.width == len(wanted[place]) else range(node.width)
        ):
            moved[place, old] = (len(nodes) - 1, column)
    return Program(tuple(nodes), {name: tuple(moved[ref] for ref in refs) for name, refs in heads.items()})


def narrowed(node: Node, columns: list[int]) -> Kept:
    """A node with some of its columns only, where it can be; else the node as it is."""
    narrow = _NARROWED.get(type(node))
    if narrow is None:
        return node, list(range(len(node.inputs)))
    return narrow(node, columns)


def _arithmetic(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Arithmetic)
    # Its inputs are put in place with the others'; until then their number must fit.
    inputs = tuple(node.inputs[i] for i in columns)
    return replace(node, inputs=inputs, operand=node.operand[columns]), columns


def _each(node: Node, columns: list[int]) -> Kept:
    return replace(node, inputs=tuple(node.inputs[i] for i in columns)), columns


def _replace(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Replace)
    return replace(node, inputs=tuple(node.inputs[i] for i in columns), new=node.new[columns]), columns


def _fill_text(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, FillText)
    texts = tuple(node.texts[i] for i in columns)
    return replace(node, inputs=tuple(node.inputs[i] for i in columns), texts=texts), columns


def _constant(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Constant)
    return replace(node, values=node.values[columns]), []


def _one_hot(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, OneHot)
    return replace(node, codes=node.codes[columns]), [0]


def _combine(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Combine)
    groups = node.groups[columns]
    taken, places = np.unique(groups, return_inverse=True)
    inputs = tuple(node.inputs[i] for i in taken)
    return replace(node, inputs=inputs, groups=places.reshape(groups.shape).astype(np.int32)), taken.tolist()


def _piecewise(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Piecewise)
    return replace(node, coefficients=node.coefficients[:, columns]), [0]


def _linear(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Linear)
    weights = node.weights[:, columns]
    taken = np.flatnonzero((weights != 0.0).any(axis=1)).tolist()
    if not taken:
        return Constant(values=node.bias[columns]), []
    inputs = tuple(node.inputs[i] for i in taken)
    return replace(node, inputs=inputs, weights=weights[taken], bias=node.bias[columns]), taken


def _distances(node: Node, columns: list[int]) -> Kept:
    assert isinstance(node, Distances)
    return replace(node, points=node.points[columns]), list(range(len(node.inputs)))


def _trees(node: Node, columns: list[int]) -> Kept:
    """Trees of outputs that nobody wants go, and columns that no tree splits on."""
    assert isinstance(node, Trees)
    narrow = node
    if len(columns) < node.width:
        whole = node.leaves.shape[1] > 1
        keep = np.ones(len(node.roots), bool) if whole else np.isin(node.output_of, columns)
        places = np.full(node.width, -1, np.int32)
        places[columns] = np.arange(len(columns), dtype=np.int32)
        narrow = replace(
            node,
            roots=node.roots[keep],
            leaves=node.leaves[:, columns] if whole else node.leaves,
            output_of=np.zeros(int(keep.sum()), np.int32) if whole else places[node.output_of[keep]],
            base=node.base[columns],
        )
    # Nodes of trees that went stay in the arrays: they cost nothing, but their features must not count.
    alive = reachable(narrow)
    bound = [len(node.inputs) - 1] if isinstance(node, Screened) else []
    taken = np.unique(np.concatenate([narrow.feature[alive], np.array(bound, np.int32)]))
    feature = np.searchsorted(taken, narrow.feature).astype(np.int32)
    feature[~alive] = 0
    inputs = tuple(narrow.inputs[i] for i in taken)
    return replace(narrow, inputs=inputs, feature=feature), taken.tolist()


def reachable(node: Trees) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The nodes that a tree's root leads to: those of trees that went may still be there."""
    alive = np.zeros(len(node.feature), bool)
    here = np.unique(node.roots[node.roots >= 0])
    while len(here):
        alive[here] = True
        children = np.concatenate([node.left[here], node.right[here]])
        here = np.unique(children[children >= 0])
    return alive


_NARROWED: Mapping[type[Node], Callable[[Node, list[int]], Kept]] = {
    Apply: _each,
    Arithmetic: _arithmetic,
    Combine: _combine,
    Constant: _constant,
    Distances: _distances,
    FillText: _fill_text,
    Guard: _each,
    Linear: _linear,
    OneHot: _one_hot,
    Piecewise: _piecewise,
    Replace: _replace,
    Screened: _trees,
    Trees: _trees,
}
