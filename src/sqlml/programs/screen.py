"""A program whose ensemble is told a bound: a row that can't reach it any more need not see the other trees."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from sqlml.programs.program import Constant, Input, Node, Program, Ref, Screened, Trees, renumbered

BOUND = "__bound"


def screened(program: Program, bound: float | None, *, below: bool) -> Program | None:
    """The program with its one ensemble of one output screened; None where it has another number of them.

    Args:
        program: pruned to what is asked.
        bound: what the ensemble's sum is held against; None makes an input of it, the last one, `BOUND`.
        below: whether sums below the bound are given up (and become -inf), else those above it (inf).
    """
    places = [i for i, node in enumerate(program.nodes) if isinstance(node, Trees)]
    if len(places) != 1 or type(program.nodes[places[0]]) is not Trees or program.nodes[places[0]].width != 1:
        return None
    nodes: list[Node] = []
    moved: dict[int, int] = {}
    inputs = len(program.inputs)
    for place, node in enumerate(program.nodes):
        if place == inputs:
            at = (len(nodes), 0)
            nodes.append(Input(name=BOUND) if bound is None else Constant(values=np.array([bound])))
        moved[place] = len(nodes)
        given = tuple((moved[source], column) for source, column in node.inputs)
        nodes.append(_screen(node, (*given, at), below=below) if isinstance(node, Trees) else renumbered(node, given))
    heads = {name: tuple((moved[node], column) for node, column in refs) for name, refs in program.heads.items()}
    return Program(tuple(nodes), heads)


def _screen(node: Trees, inputs: tuple[Ref, ...], *, below: bool) -> Screened:
    held: dict[str, Any] = {one.name: getattr(node, one.name) for one in fields(node) if one.name != "inputs"}
    return Screened(inputs=inputs, below=below, above=not below, **held)
