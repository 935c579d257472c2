"""Ensembles of trees as the machine's tables: thresholds become ranks, nodes masks or steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.image import Assembler, NotLowered
from sqlml.programs.kernel.screens import emit_screen, screenable
from sqlml.programs.kernel.splits import Column, Splits, Tables, thresholds_of
from sqlml.programs.program import Booleans, Floats, Screened, Trees

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


def _unfold(node: Trees, root: int, swapped: Booleans) -> _Tree:
    """A tree, with the children of some of its nodes the other way round."""
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
        first_child, other = int(node.left[at]), int(node.right[at])
        if swapped[at]:
            first_child, other = other, first_child
        work += [(other, here, 1, depth + 1), (first_child, here, 0, depth + 1)]
    return _Tree(np.array(places, np.int32), left, right, np.array(leaves, np.int32), first, split, deepest)


def _larger_first(node: Trees) -> Booleans:
    """The nodes with more leaves on the left than on the right: what a node takes away is small the other way round."""
    count = np.ones(len(node.feature), np.int64)
    order: list[npt.NDArray[np.int32]] = []
    here = node.roots[node.roots >= 0]
    while len(here):
        order.append(here)
        children = np.concatenate([node.left[here], node.right[here]])
        here = children[children >= 0]

    def leaves(children: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        return np.where(children >= 0, np.append(count, 0)[np.maximum(children, -1)], 1)

    for level in reversed(order):
        count[level] = leaves(node.left[level]) + leaves(node.right[level])
    return leaves(node.left) > leaves(node.right)


def emit_trees(
    assembler: Assembler, node: Trees, column: Column, done: Callable[[int], None], tables: Tables
) -> list[int]:
    """Emit an ensemble; gives the registers of its outputs.

    Raises:
        NotLowered: it is beyond the machine: too many thresholds, or large trees over categories.
    """
    swapped = _larger_first(node)
    trees = [_unfold(node, int(root), swapped) for root in node.roots]
    has_sets = bool((node.set_of >= 0).any())
    most = max((len(tree.leaves) for tree in trees), default=1)
    if has_sets and most > _MOST_LEAVES:
        raise NotLowered(f"a tree over categories has {most} leaves")
    walks = not has_sets and (most > _MOST_LEAVES or _prefers_walk(node, trees))
    wide = any(len(held) > 255 for held in thresholds_of(node))
    splits = Splits(node, assembler, tables, wide=wide if walks else None)
    splits.emit(column, done)
    outputs = [assembler.register() for _ in range(node.width)]
    narrow = node.sum == "float32"
    base = node.base.astype(np.float32).astype(np.float64) if narrow else node.base
    for register, value in zip(outputs, base, strict=True):
        assembler.emit(l_.CONSTANT, register, assembler.constant(0.0 if node.base_last else value))
    screens = isinstance(node, Screened) and screenable(node, max(tree.depth for tree in trees))
    if screens:
        splits.copy_keys()
    made = _Making(assembler, node, trees, splits, outputs, swapped)
    exact = made.walk(wide=wide) if walks else made.masks()
    if isinstance(node, Screened):
        bound = column(len(node.inputs) - 1)
        if screens:
            # Masks have planes as they come, and a walk only planes of bytes.
            few = None if walks or wide or has_sets else made.walk(wide=False)
            decided = emit_screen(assembler, node, splits, bound, exact, few, [tree.leaves for tree in trees])
        done(len(node.inputs) - 1)
    if not screens:
        assembler.emit(*exact)
    _emit_end(assembler, node, outputs, base)
    if screens:
        (sums,), spread = outputs, assembler.register()
        assembler.emit(l_.SPREAD, spread, sums, decided)
        assembler.release(sums)
        return [spread]
    return outputs


def _emit_end(assembler: Assembler, node: Trees, outputs: list[int], base: Floats) -> None:
    """What is done to the sums in the end."""
    for register, value in zip(outputs, base, strict=True):
        steps = [("add", value)] if node.base_last else []
        steps += [("divide", node.divisor)] if node.divisor != 1.0 else []
        for name, operand in steps:
            assembler.emit(
                l_.ARITHMETIC, l_.ARITHMETIC_CODES[name], register, register, assembler.constant(float(operand))
            )
            if node.sum == "float32":
                assembler.emit(l_.APPLY, l_.APPLY_CODES["float32"], register, register)


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


@dataclass(frozen=True)
class _Making:
    """An ensemble whose planes are made, on the way to the instruction that adds up its trees."""

    assembler: Assembler
    node: Trees
    trees: list[_Tree]
    splits: Splits
    outputs: list[int]
    swapped: Booleans

    def masks(self) -> list[int]:
        """By taking away leaves."""
        rows = []
        bits = self.assembler.planes(max(((len(tree.leaves) + 7) // 8 for tree in self.trees), default=1) + 2)
        for i, tree in enumerate(self.trees):
            ops = self._ops(tree)
            registers, count = _outputs_of(self.assembler, self.node, i, self.outputs)
            leaves, own = self.assembler.table(_leaves_of(self.node, tree.leaves)), self.node.leaves.shape[1]
            table = self.assembler.table(np.array(ops or [[0] * 6], np.int64))
            rows.append([table, len(ops), (len(tree.leaves) + 7) // 8, leaves, own, registers, count])
        table = self.assembler.table(np.array(rows or [[0]], np.int64))
        return [l_.TREES, table, len(rows), self.node.sum == "float32", bits]

    def _ops(self, tree: _Tree) -> list[list[int]]:
        """What each node takes away from a row that it sends to its second child: the leaves below its first."""
        ops: list[list[int]] = []
        copies = self.splits.copies
        for at, first, split in zip(tree.nodes.tolist(), tree.first_leaf, tree.split_leaf, strict=True):
            test, flipped = self.splits.test(at), bool(self.swapped[at])
            for byte in range(first >> 3, ((split - 1) >> 3) + 1):
                keep = 255 & ~sum(1 << bit for bit in range(8) if first <= 8 * byte + bit < split)
                if test.rights is None:
                    ops.append([test.kind, test.source, *test.interval(flipped=flipped), byte, keep])
                else:
                    table = np.where(test.rights != flipped, keep, 255).astype(np.uint8)
                    source = copies.get(test.source, test.source)
                    ops.append([test.kind, source, self.assembler.table(table), 0, byte, keep])
        return ops

    def walk(self, *, wide: bool) -> list[int]:
        """By going down, level by level."""
        rows = []
        for i, tree in enumerate(self.trees):
            steps, leaves = _steps(tree, self.splits, self.swapped, wide=wide)
            registers, count = _outputs_of(self.assembler, self.node, i, self.outputs)
            values = np.zeros((len(steps), self.node.leaves.shape[1]))
            values[leaves >= 0] = _leaves_of(self.node, tree.leaves[leaves[leaves >= 0]])
            places = [self.assembler.table(steps), tree.depth, self.assembler.table(values)]
            rows.append([*places, self.node.leaves.shape[1], registers, count])
        table = self.assembler.table(np.array(rows or [[0]], np.int64))
        return [l_.WALK, table, len(rows), self.node.sum == "float32", wide]


def _steps(
    tree: _Tree, splits: Splits, swapped: Booleans, *, wide: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The nodes and leaves of a tree by level, two children side by side, and which leaf each is (-1: none)."""
    order: list[int] = [0 if len(tree.nodes) else ~0]
    steps: list[int] = []
    leaf: list[int] = []
    for here, at in enumerate(order):
        if at < 0:
            # Equal to the largest pair, which no rank and no code is.
            steps.append((here << 32) | (65535 << 16) | (1 << 15))
            leaf.append(~at)
            continue
        place = int(tree.nodes[at])
        test = splits.test(place)
        plane = test.source // 2 if wide else test.source
        if plane >= 1 << 15:
            raise NotLowered(f"{plane} planes")
        value = test.value + (0 if test.equal else 1)
        steps.append((len(order) << 32) | (value << 16) | (int(test.equal) << 15) | plane)
        leaf.append(-1)
        children = [tree.left[at], tree.right[at]]
        # What is equal goes to the second.
        order += children if bool(swapped[place]) == test.left else children[::-1]
    return np.array(steps, np.int64), np.array(leaf, np.int64)
