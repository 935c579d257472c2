"""Ensembles of trees as the machine's tables: thresholds become ranks, nodes masks or steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.image import Assembler, NotLowered
from sqlml.programs.program import Trees

_BYTE, _PAIR = 255, 65535
_MOST_LEAVES = 8 * 255
"""So many leaves have planes of bits that a byte can number."""

_WALK_STEP, _WALK_TREE, _MASK_OP, _MASK_PAIR_OP, _LEAF = 1.9, 3.0, 0.045, 0.09, 2.0
"""Nanoseconds a row, measured: a level of a walked tree, a tree, a mask of bytes, one of pairs, finding a leaf."""


@dataclass
class _Tree:
    """A tree with its nodes in depth-first order, left before right; children as in `Trees`, places within the tree."""

    nodes: npt.NDArray[np.int32]  # their places in the ensemble
    left: list[int]  # the node's place within the tree, or ~leaf
    right: list[int]
    leaves: npt.NDArray[np.int32]  # their places in the ensemble, from left to right
    first_leaf: list[int]  # of each node, how many leaves stand to its left
    split_leaf: list[int]  # ... to the left of its right child
    depth: int


def _unfold(node: Trees, root: int) -> _Tree:
    places: list[int] = []
    left: list[int] = []
    right: list[int] = []
    leaves: list[int] = []
    first: list[int] = []
    split: list[int] = []
    deepest = 0
    # A stack, not recursion: a tree may be deeper than Python's own.
    work: list[tuple[int, int, int, int]] = [(root, -1, 0, 0)]
    while work:
        at, parent, side, depth = work.pop()
        here = ~len(leaves) if at < 0 else len(places)
        if parent >= 0:
            (right if side else left)[parent] = here
            if side:
                split[parent] = len(leaves)
        if at < 0:
            leaves.append(~at)
            deepest = max(deepest, depth)
            continue
        places.append(at)
        left.append(0)
        right.append(0)
        first.append(len(leaves))
        split.append(0)
        work += [(int(node.right[at]), here, 1, depth + 1), (int(node.left[at]), here, 0, depth + 1)]
    return _Tree(np.array(places, np.int32), left, right, np.array(leaves, np.int32), first, split, deepest)


class _Columns:
    """The planes of ranks of one ensemble, one a feature and side on which a missing value goes."""

    def __init__(self, node: Trees, assembler: Assembler, *, wide: bool | None) -> None:
        numeric = node.set_of < 0
        self.thresholds = [np.unique(node.threshold[numeric & (node.feature == f)]) for f in range(len(node.inputs))]
        largest = max((len(held) for held in self.thresholds), default=0)
        if largest > _PAIR:
            raise NotLowered(f"a feature has {largest} thresholds")
        self.wide = [len(held) > _BYTE if wide is None else wide for held in self.thresholds]
        self.planes: dict[tuple[int, bool], int] = {}
        self.keys: dict[int, int] = {}
        members = [
            node.set_members[node.set_starts[i] : node.set_starts[i + 1]] for i in range(len(node.set_starts) - 1)
        ]
        self.members = members
        self.largest = [
            max(
                (int(members[s].max(initial=-1)) + 1 for s in np.unique(node.set_of[~numeric & (node.feature == f)])),
                default=0,
            )
            for f in range(len(node.inputs))
        ]
        for f in range(len(node.inputs)):
            here = numeric & (node.feature == f)
            for low in np.unique(node.missing_left[here]).tolist():
                self.planes[f, bool(low)] = assembler.planes(2 if self.wide[f] else 1)
            if (~numeric & (node.feature == f)).any():
                self.keys[f] = assembler.keys()

    def emit(self, assembler: Assembler, feature: int, register: int) -> None:
        """Make a column's planes and keys."""
        held = self.thresholds[feature]
        for low in (False, True):
            if (plane := self.planes.get((feature, low))) is not None:
                place = assembler.constant(*held)
                missing = 0 if low else len(held)
                assembler.emit(l_.RANK, plane, register, place, len(held), self.wide[feature], missing)
        if feature in self.keys:
            assembler.emit(l_.RANK_SET, self.keys[feature], register, self.largest[feature])


Column = Callable[[int], int]
"""Gives the register of one of the ensemble's inputs."""


def emit_trees(assembler: Assembler, node: Trees, column: Column, done: Callable[[int], None]) -> list[int]:
    """Emit an ensemble; gives the registers of its outputs.

    Raises:
        NotLowered: it is beyond the machine: too many thresholds, or large trees over categories.
    """
    trees = [_unfold(node, int(root)) for root in node.roots]
    has_sets = bool((node.set_of >= 0).any())
    most = max((len(tree.leaves) for tree in trees), default=1)
    if has_sets and most > _MOST_LEAVES:
        raise NotLowered(f"a tree over categories has {most} leaves")
    walks = not has_sets and (most > _MOST_LEAVES or _prefers_walk(node, trees))
    thresholds = [np.unique(node.threshold[(node.set_of < 0) & (node.feature == f)]) for f in range(len(node.inputs))]
    wide = any(len(held) > _BYTE for held in thresholds)
    columns = _Columns(node, assembler, wide=wide if walks else None)
    for feature in range(len(node.inputs)):
        register = column(feature)
        if node.compare == "float32":
            rounded = assembler.register()
            assembler.emit(l_.APPLY, l_.APPLY_CODES["float32"], rounded, register)
            columns.emit(assembler, feature, rounded)
            assembler.release(rounded)
        else:
            columns.emit(assembler, feature, register)
        done(feature)
    outputs = [assembler.register() for _ in range(node.width)]
    narrow = node.sum == "float32"
    base = node.base.astype(np.float32).astype(np.float64) if narrow else node.base
    for register, value in zip(outputs, base, strict=True):
        assembler.emit(l_.CONSTANT, register, assembler.constant(0.0 if node.base_last else value))
    if walks:
        _emit_walk(assembler, node, trees, columns, outputs, wide=wide)
    else:
        _emit_masks(assembler, node, trees, columns, outputs)
    for register, value in zip(outputs, base, strict=True):
        steps = [("add", value)] if node.base_last else []
        steps += [("divide", node.divisor)] if node.divisor != 1.0 else []
        for name, operand in steps:
            assembler.emit(
                l_.ARITHMETIC, l_.ARITHMETIC_CODES[name], register, register, assembler.constant(float(operand))
            )
            if narrow:
                assembler.emit(l_.APPLY, l_.APPLY_CODES["float32"], register, register)
    return outputs


def _prefers_walk(node: Trees, trees: list[_Tree]) -> bool:
    masks = walks = 0.0
    for tree in trees:
        planes = (len(tree.leaves) + 7) // 8
        ops = sum(
            ((split - 1) >> 3) - (first >> 3) + 1 for first, split in zip(tree.first_leaf, tree.split_leaf, strict=True)
        )
        masks += _MASK_PAIR_OP * ops + 2 * _MASK_OP * planes + _LEAF
        walks += _WALK_STEP * tree.depth + _WALK_TREE
    return walks < masks


def _outputs_of(assembler: Assembler, node: Trees, tree: int, outputs: list[int]) -> tuple[int, int]:
    """The list of registers that a tree's leaves go to, and their number."""
    whole = node.leaves.shape[1] > 1 or node.output_of[tree] < 0
    places = outputs if whole else [outputs[node.output_of[tree]]]
    return assembler.table(np.array(places, np.int64)), len(places)


def _leaves_of(node: Trees, places: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    leaves = node.leaves[places]
    return leaves.astype(np.float32).astype(np.float64) if node.sum == "float32" else leaves


def _emit_masks(assembler: Assembler, node: Trees, trees: list[_Tree], columns: _Columns, outputs: list[int]) -> None:
    rows = []
    most = max(((len(tree.leaves) + 7) // 8 for tree in trees), default=1)
    bits = assembler.planes(most + 2)
    for i, tree in enumerate(trees):
        ops = _ops(assembler, node, tree, columns)
        registers, count = _outputs_of(assembler, node, i, outputs)
        leaves = assembler.table(_leaves_of(node, tree.leaves))
        table = assembler.table(np.array(ops or [[0] * 5], np.int64))
        rows.append([table, len(ops), (len(tree.leaves) + 7) // 8, leaves, node.leaves.shape[1], registers, count])
    if rows:
        table = assembler.table(np.array(rows, np.int64))
        assembler.emit(l_.TREES, table, len(rows), node.sum == "float32", bits)


def _ops(assembler: Assembler, node: Trees, tree: _Tree, columns: _Columns) -> list[list[int]]:
    """What each node takes away from a row that it sends right: the leaves below its left child."""
    ops: list[list[int]] = []
    for at, first, split in zip(tree.nodes.tolist(), tree.first_leaf, tree.split_leaf, strict=True):
        feature, low = int(node.feature[at]), bool(node.missing_left[at])
        for byte in range(first >> 3, ((split - 1) >> 3) + 1):
            gone = sum(1 << bit for bit in range(8) if first <= 8 * byte + bit < split)
            keep = 255 & ~gone
            if node.set_of[at] >= 0:
                size = columns.largest[feature]
                table = np.full(size + 2, keep, np.uint8)
                table[columns.members[node.set_of[at]]] = 255
                table[size + 1] = 255 if low else keep
                ops.append([columns.keys[feature], assembler.table(table), byte, keep, 2])
            else:
                rank = int(np.searchsorted(columns.thresholds[feature], node.threshold[at]))
                ops.append([columns.planes[feature, low], rank, byte, keep, int(columns.wide[feature])])
    return ops


def _emit_walk(
    assembler: Assembler, node: Trees, trees: list[_Tree], columns: _Columns, outputs: list[int], *, wide: bool
) -> None:
    rows = []
    for i, tree in enumerate(trees):
        steps, leaves = _steps(node, tree, columns, wide=wide)
        registers, count = _outputs_of(assembler, node, i, outputs)
        values = np.zeros((len(steps), node.leaves.shape[1]))
        values[leaves >= 0] = _leaves_of(node, tree.leaves[leaves[leaves >= 0]])
        row = [assembler.table(steps), tree.depth, assembler.table(values), node.leaves.shape[1], registers, count]
        rows.append(row)
    if rows:
        assembler.emit(l_.WALK, assembler.table(np.array(rows, np.int64)), len(rows), node.sum == "float32", wide)


def _steps(
    node: Trees, tree: _Tree, columns: _Columns, *, wide: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The nodes and leaves of a tree by level, two children side by side, and which leaf each is (-1: none)."""
    order: list[int] = [0 if len(tree.nodes) else ~0]
    steps: list[int] = []
    leaf: list[int] = []
    for here, at in enumerate(order):
        if at < 0:
            steps.append((here << 32) | (_PAIR << 16))
            leaf.append(~at)
            continue
        place = int(tree.nodes[at])
        feature = int(node.feature[place])
        plane = columns.planes[feature, bool(node.missing_left[place])]
        rank = int(np.searchsorted(columns.thresholds[feature], node.threshold[place]))
        steps.append((len(order) << 32) | (rank << 16) | (plane // 2 if wide else plane))
        leaf.append(-1)
        order += [tree.left[at], tree.right[at]]
    return np.array(steps, np.int64), np.array(leaf, np.int64)
