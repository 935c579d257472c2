"""Values to try a program with: where its answers change, and where arithmetic does."""

from __future__ import annotations

import math

import numpy as np

from sqlml.programs.program import Apply, Encode, FillText, Floats, Guard, Input, Node, Piecewise, Program, Ref, Trees

_EXTREMES = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    5e-324,
    1e-35,
    -1e-35,
    float(np.nextafter(np.float32(1e-35), np.float32(1))),
    2.0**24 + 1.0,
    2.0**53,
    1e30,
    float(np.finfo(np.float32).max),
    3.5e38,
    -3.5e38,
    1e300,
    -1e300,
    math.inf,
    -math.inf,
    math.nan,
)
_MOST_THRESHOLDS = 400
"""So many thresholds of one input are tried, each with four neighbours; beyond it they are sampled."""

UNSEEN = "\x01 a category that nobody has seen"


def turning_points(program: Program, *, seed: int) -> dict[int, list[float | str | None]]:
    """For each input that the program uses, the values at which it may turn: by the input's place.

    Thresholds and edges come with their neighbours in float32 and in float64, categories with an unknown and a
    missing one, numbers with zeros, extremes, infinities and NaN.
    """
    random = np.random.default_rng(seed)
    edges: dict[int, list[Floats]] = {}
    texts: dict[int, list[str]] = {}
    for node in program.nodes:
        if isinstance(node, Trees):
            for feature, ref in enumerate(node.inputs):
                here = node.feature == feature
                _add(edges, program, ref, np.unique(node.threshold[here & (node.set_of < 0)]))
                members = [
                    node.set_members[node.set_starts[i] : node.set_starts[i + 1]]
                    for i in np.unique(node.set_of[here & (node.set_of >= 0)])
                ]
                if members:
                    _add(edges, program, ref, np.unique(np.concatenate(members)).astype(np.float64))
        elif isinstance(node, Piecewise):
            _add(edges, program, node.inputs[0], node.edges)
        elif isinstance(node, Encode):
            source = _origin(program, node.inputs[0])
            if source is not None and isinstance(node.keys, tuple):
                texts.setdefault(source, []).extend(node.keys)
            elif source is not None:
                _add(edges, program, node.inputs[0], np.asarray(node.keys, np.float64))
    found: dict[int, list[float | str | None]] = {}
    for place in program.used:
        node = program.nodes[place]
        assert isinstance(node, Input)
        if node.text:
            found[place] = [*dict.fromkeys(texts.get(place, [])), UNSEEN, "", None]
        else:
            found[place] = [*_neighbours(edges.get(place, []), random), *_EXTREMES]
    return found


def _add(edges: dict[int, list[Floats]], program: Program, ref: Ref, values: Floats) -> None:
    source = _origin(program, ref)
    if source is not None and len(values):
        edges.setdefault(source, []).append(values)


def _origin(program: Program, ref: Ref) -> int | None:
    """The input that a column is, whatever guards and roundings lie between; None where it is more than that."""
    while True:
        node: Node = program.nodes[ref[0]]
        if isinstance(node, Input):
            return ref[0]
        if not isinstance(node, Guard | FillText) and not (isinstance(node, Apply) and node.function == "float32"):
            return None
        ref = node.inputs[ref[1]]


def _neighbours(edges: list[Floats], random: np.random.Generator) -> list[float]:
    if not edges:
        return []
    values = np.unique(np.concatenate(edges))
    if len(values) > _MOST_THRESHOLDS:
        values = random.choice(values, _MOST_THRESHOLDS, replace=False)
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
        around = [
            values,
            np.nextafter(values, -np.inf),
            np.nextafter(values, np.inf),
            np.nextafter(narrow, np.float32(-np.inf)).astype(np.float64),
            np.nextafter(narrow, np.float32(np.inf)).astype(np.float64),
        ]
    return [float(value) for value in np.concatenate(around)]
