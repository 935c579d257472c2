"""ONNX's tree ensembles: columns compared in float32, leaves added up in float32 in the order of the trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sqlml.models.readers.onnx_graph import Node
from sqlml.models.readers.onnx_values import Value, applied, arithmetic, largest, logistic, softmax
from sqlml.models.readers.reading import NoReader
from sqlml.models.readers.tree_arrays import Tree, joined, numbered
from sqlml.programs.program import Arithmetic, Builder, Floats

# How a split's true child is told: whether it lies on the side that is at or below a threshold, and which one.
_BELOW: Mapping[str, Callable[[Any], Any]] = {
    "BRANCH_LEQ": lambda threshold: threshold,
    "BRANCH_LT": lambda threshold: np.nextafter(threshold, np.float32(-np.inf)),
}
_ABOVE: Mapping[str, Callable[[Any], Any]] = {
    "BRANCH_GT": lambda threshold: threshold,
    "BRANCH_GTE": lambda threshold: np.nextafter(threshold, np.float32(-np.inf)),
}
LINKS: Mapping[str, Callable[[Builder, Value], Value]] = {
    "NONE": lambda graph, value: value,
    "LOGISTIC": logistic,
    "SOFTMAX": softmax,
}


def regressor(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """TreeEnsembleRegressor: sums of leaves, or their means."""
    held, (value,) = node.attributes, given
    average = held.get("aggregate_function", "SUM") == "AVERAGE"
    if held.get("aggregate_function", "SUM") not in ("SUM", "AVERAGE") or held.get("post_transform", "NONE") != "NONE":
        raise NoReader(node.op, "sums that are not plain")
    return [_sums(graph, node, value, int(held["n_targets"]), "target", average=average)]


def classifier(graph: Builder, node: Node, given: Sequence[Any]) -> Sequence[Value]:
    """TreeEnsembleClassifier: of two classes one has votes, whose sum or whose logistic is its probability."""
    held, (value,) = node.attributes, given
    classes = list(held.get("classlabels_int64s") or held.get("classlabels_strings") or [])
    link = LINKS.get(held.get("post_transform", "NONE"))
    if link is None:
        raise NoReader(node.op, f"the link {held['post_transform']}")
    if len(classes) > 2:
        sums = _sums(graph, node, value, len(classes), "class")
        return [_label(largest(graph, sums), classes), link(graph, sums)]
    if len(classes) != 2 or set(held["class_ids"]) != {0} or len(held.get("base_values", ())) > 1:
        raise NoReader(node.op, "votes for both of two classes")
    votes = _sums(graph, node, value, 1, "class")
    # Without a negative vote onnxruntime takes their sum for a probability, though it links it all the same.
    probable = all(weight >= 0 for weight in held["class_weights"])
    label = graph.add(Arithmetic(inputs=votes.columns, op="greater", operand=np.array([0.5 if probable else 0.0])))
    other = applied(graph, votes, "negative")
    if link is logistic:
        both = [link(graph, other), link(graph, votes)]
    else:
        both = [arithmetic(graph, other, "add", 1.0) if probable else other, votes]
    columns = (*both[0].columns, *both[1].columns)
    return [_label(label, classes), Value(columns, "float32", (2,), exact=all(one.exact for one in both))]


def _label(place: Any, classes: Sequence[Any]) -> Value:
    return Value(place, "string" if isinstance(classes[0], str) else "int64", (), classes=classes)


def _sums(graph: Builder, node: Node, value: Value, outputs: int, what: str, *, average: bool = False) -> Value:
    held = node.attributes
    if value.type != "float32" or any(name.endswith("_as_tensor") for name in held):
        raise NoReader(node.op, "trees that don't compute in float32")
    if not value.exact:
        raise NoReader(node.op, "its splits look at what was rounded in a way of onnxruntime's own")
    trees = _trees(node, outputs, what)
    base: Floats = np.zeros(outputs)
    if given := held.get("base_values"):
        base = np.array(given, np.float64)
        if len(base) != outputs:
            raise NoReader(node.op, "another number of base values than of sums")
    divisor = float(len(trees)) if average else 1.0
    if average and base.any():
        raise NoReader(node.op, "means with base values")
    found = joined(trees, value.columns, base, base_last=True, divisor=divisor, compare="float32", total="float32")
    return Value(graph.add(found), "float32", (outputs,))


def _trees(node: Node, outputs: int, what: str) -> list[Tree]:
    held = node.attributes
    owner = np.array(held["nodes_treeids"], np.int64)
    votes: dict[tuple[int, int], dict[int, float]] = {}
    for tree, leaf, output, weight in zip(
        held[f"{what}_treeids"], held[f"{what}_nodeids"], held[f"{what}_ids"], held[f"{what}_weights"], strict=True
    ):
        if votes.setdefault((tree, leaf), {}).setdefault(output, weight) != weight:
            raise NoReader(node.op, "a leaf with two votes for one class")
    roots = dict.fromkeys(owner.tolist())
    if what == "class" and outputs > 1:
        always = [_always(node, tree, votes) for tree in roots]
        if set().union(*always) != set(range(outputs)):
            # A class without a vote is no candidate, whatever the others' sums.
            raise NoReader(node.op, "leaves that vote for some classes only")
    return [_tree(node, np.flatnonzero(owner == tree), int(tree), outputs, votes) for tree in roots]


def _always(node: Node, tree: int, votes: Mapping[tuple[int, int], Mapping[int, float]]) -> set[int]:
    """The classes that every leaf of a tree votes for."""
    nodes = zip(node.attributes["nodes_treeids"], node.attributes["nodes_nodeids"], strict=True)
    modes = node.attributes["nodes_modes"]
    leaves = [one for (owner, one), mode in zip(nodes, modes, strict=True) if owner == tree and mode == "LEAF"]
    return set.intersection(*(set(votes.get((tree, leaf), {})) for leaf in leaves))


def _tree(
    node: Node, places: Any, tree: int, outputs: int, votes: Mapping[tuple[int, int], Mapping[int, float]]
) -> Tree:
    held = node.attributes

    def part(name: str, dtype: Any) -> Any:
        return np.array([held[name][place] for place in places], dtype)

    modes, ids = part("nodes_modes", object), part("nodes_nodeids", np.int64)
    if unknown := {*modes.tolist()} - {"LEAF", *_BELOW, *_ABOVE}:
        raise NoReader(node.op, f"splits of the kind {min(unknown)}")
    index = {one: i for i, one in enumerate(ids.tolist())}
    leaf = modes == "LEAF"

    def child(name: str) -> Any:
        return np.array(
            [-1 if end else index[one] for one, end in zip(part(name, np.int64).tolist(), leaf, strict=True)]
        )

    yes, no = child("nodes_truenodeids"), child("nodes_falsenodeids")
    above = np.isin(modes, [*_ABOVE])
    tracks = (
        part("nodes_missing_value_tracks_true", bool) if held.get("nodes_missing_value_tracks_true") else leaf & ~leaf
    )
    values = part("nodes_values", np.float32)
    thresholds = np.array(
        [0.0 if end else {**_BELOW, **_ABOVE}[mode](one) for mode, one, end in zip(modes, values, leaf, strict=True)],
        np.float64,
    )
    found = numbered(np.where(above, no, yes), np.where(above, yes, no))
    missing_left = np.where(above, ~tracks, tracks)
    leaves, output = _leaves([votes.get((tree, int(ids[place])), {}) for place in found.leaves], outputs)
    return Tree(
        feature=part("nodes_featureids", np.int64)[found.splits],
        threshold=thresholds[found.splits],
        left=found.left,
        right=found.right,
        missing_left=missing_left[found.splits],
        leaves=leaves,
        output=output,
    )


def _leaves(votes: Sequence[Mapping[int, float]], outputs: int) -> tuple[Floats, int]:
    """The weights of leaves: one column where they all vote for one output, else one for each."""
    asked = {output for held in votes for output in held}
    if len(asked) == 1 and all(votes):
        (output,) = asked
        return np.array([[np.float32(held[output])] for held in votes], np.float64), output
    rows = [[np.float32(held.get(output, 0.0)) for output in range(outputs)] for held in votes]
    return np.array(rows, np.float64).reshape(len(votes), outputs), -1
