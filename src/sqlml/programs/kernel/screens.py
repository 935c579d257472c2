"""A screened ensemble as the machine's tables: its leaves as bytes, which are added up many rows at a time.

A leaf becomes the nearest multiple of a step above its tree's lowest. What that is off by, what the trees that are left
may add at most and at least, and what rounding may do is known beforehand: mostly a row is decided without its sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sqlml.programs.certain import RELATIVE, decidable, slack
from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.image import Assembler
from sqlml.programs.kernel.splits import Splits
from sqlml.programs.program import Floats, Screened

_DEEPEST = 120
"""Deeper trees are not screened: their nodes are gone through by recursion."""

_CHECKS = 8
"""So often is a row's sum compared with its bound: in the end, and before where all rows may be decided."""

_FEW = 12
"""So many rows are walked down rather than masked, measured with trees of 31 leaves."""


def screenable(node: Screened, deepest: int) -> bool:
    """Whether rows can be decided at all."""
    return decidable(node) and deepest <= _DEEPEST


@dataclass
class _Bytes:
    """Leaves as whole numbers of steps above the lowest of their tree, and how far off these are."""

    codes: npt.NDArray[np.int64]
    step: float
    lowest: Floats
    highest: Floats
    over: Floats
    """By tree, the most by which a leaf is larger than its code says; `under` likewise."""
    under: Floats


def _coded(leaves: Floats, trees: Sequence[npt.NDArray[np.int32]]) -> _Bytes:
    lowest = np.array([leaves[places].min() for places in trees])
    highest = np.array([leaves[places].max() for places in trees])
    spread = highest - lowest
    # All trees in one step, so that codes add up; their sum must stay within two bytes.
    step = float(max(spread.max() / 255.0, spread.sum() / 60_000.0)) or 1.0
    codes = np.zeros(len(leaves), np.int64)
    over, under = np.zeros(len(trees)), np.zeros(len(trees))
    for tree, places in enumerate(trees):
        codes[places] = np.minimum(np.rint((leaves[places] - lowest[tree]) / step), 255)
        off = leaves[places] - (lowest[tree] + codes[places] * step)
        over[tree], under[tree] = max(off.max(), 0.0), max(-off.min(), 0.0)
    return _Bytes(codes, step, lowest, highest, over, under)


@dataclass
class _Ops:
    """The steps of one tree after another, over planes that are used again as soon as nobody needs them.

    A step is (kind, plane for the result, two tests of three numbers each, three sources); a source is a plane, or
    ~code.
    """

    node: Screened
    splits: Splits
    assembler: Assembler
    codes: npt.NDArray[np.int64]
    rows: list[list[int]] = field(default_factory=list)
    most: int = 0
    """Planes that are needed at once; they are numbered from 0, and those of the ensemble's columns follow later."""
    _free: list[int] = field(default_factory=list)
    _cost: dict[int, int] = field(default_factory=dict)

    def tree(self, root: int) -> None:
        """Append a tree, and the addition of its leaf."""
        self._cost.clear()
        found = self._source(root)
        self.rows.append([l_.SCREEN_ADD, 0, 0, 0, 0, 0, 0, 0, found, 0, 0])
        self._give(found)

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        self.most += 1
        return self.most - 1

    def _give(self, source: int) -> None:
        if source >= 0:
            self._free.append(source)

    def _steps(self, at: int) -> int:
        """How many steps a subtree takes, of which each does two nodes where it can."""
        if at < 0:
            return 0
        if at not in self._cost:
            self._cost[at] = 1 + min(self._with(at, other, mate) for other, mate in self._pairings(at))
        return self._cost[at]

    def _pairings(self, at: int) -> list[tuple[int, int]]:
        """(one child, the other that goes into the same step); ~0 where no child is a node."""
        left, right = int(self.node.left[at]), int(self.node.right[at])
        return [(other, mate) for other, mate in ((left, right), (right, left)) if mate >= 0] or [(left, right)]

    def _with(self, at: int, other: int, mate: int) -> int:
        if mate < 0:
            return 0
        return self._steps(other) + self._steps(int(self.node.left[mate])) + self._steps(int(self.node.right[mate]))

    def _source(self, at: int) -> int:
        """Where a subtree's codes are, once its steps are appended."""
        if at < 0:
            return ~int(self.codes[~at])
        node = self.node
        self._steps(at)
        other, mate = min(self._pairings(at), key=lambda pair: self._with(at, *pair))
        # True sends a row to `other`.
        first, owned = self._test(at, flipped=other == int(node.left[at]))
        if mate < 0:
            children = [other, mate, mate]
            second, also = [0, 0, 255], list[int]()
        else:
            children = [other, int(node.right[mate]), int(node.left[mate])]
            second, also = self._test(mate, flipped=False)
        # The one that takes most steps first: it may use all planes that are free.
        sources = [0, 0, 0]
        order = sorted(range(3 if mate >= 0 else 2), key=lambda i: -self._steps(children[i]))
        for i in order:
            sources[i] = self._source(children[i])
        if mate < 0:
            sources[2] = sources[1]
        for source in {*sources, *owned, *also}:
            self._give(source)
        to = self._take()
        self.rows.append([l_.SCREEN_PICK, to, *first, *second, *sources])
        return to

    def _test(self, at: int, *, flipped: bool) -> tuple[list[int], list[int]]:
        """(plane, low, span) of the rows that a node sends right, or else left; the planes made for that."""
        test = self.splits.test(at)
        if test.kind == l_.BY_BYTE:
            # Columns' planes are told from the screen's own by their sign until all of these are counted.
            return [~test.source, *test.interval(flipped=flipped)], []
        to = self._take()
        if test.rights is None:
            low, span = test.interval(flipped=flipped)
            self.rows.append([l_.SCREEN_PAIRS, to, test.source, low, span, 0, 0, 0, 0, 0, 0])
        else:
            table = self.assembler.table((test.rights != flipped).astype(np.uint8))
            self.rows.append([l_.SCREEN_KEYS, to, test.source, table, 0, 0, 0, 0, 0, 0, 0])
        return [to, 1, 0], [to]

    def placed(self, first: int) -> npt.NDArray[np.int64]:
        """The steps, with the screen's own planes from `first` on."""
        found = np.array(self.rows, np.int64)
        found[:, 1] += first
        picks = found[:, 0] == l_.SCREEN_PICK
        for column in (2, 5):
            held = found[picks, column]
            found[picks, column] = np.where(held < 0, ~held, held + first)
        for column in (8, 9, 10):
            taken = found[:, 0] >= l_.SCREEN_PICK
            held = found[taken, column]
            found[taken, column] = np.where(held >= 0, held + first, held)
        return found


def emit_screen(
    assembler: Assembler,
    node: Screened,
    splits: Splits,
    bound: int,
    many: Sequence[int],
    few: Sequence[int] | None,
    places: Sequence[npt.NDArray[np.int32]],
) -> int:
    """Emit the screen, and the sums of the rows that it leaves open; gives the plane of decisions.

    Args:
        assembler: takes it.
        node: the ensemble.
        splits: its planes, made.
        bound: the register of the bounds.
        many: the instruction that adds up the trees of many rows.
        few: of few; None where there is only the other.
        places: the leaves of each tree.
    """
    leaves = (node.leaves.astype(np.float32).astype(np.float64) if node.sum == "float32" else node.leaves)[:, 0]
    coded = _coded(leaves, places)
    order = np.argsort(coded.lowest - coded.highest, kind="stable")
    ops = _Ops(node, splits, assembler, coded.codes)
    ends: list[int] = []
    for tree in order.tolist():
        ops.tree(int(node.roots[tree]))
        ends.append(len(ops.rows))
    own = assembler.planes(ops.most + 3)
    decided, sums = own + ops.most + 2, assembler.planes(2)
    rows = assembler.keys()
    keys = [[source, copy] for source, copy in splits.copies.items()]
    planes = [[plane, wide] for plane, wide in splits.planes]
    blocks, consts = _blocks(node, coded, order, ends)
    spec = np.zeros(l_.SCREEN_FIELDS, np.int64)
    spec[l_.SCREEN_OPS] = assembler.table(ops.placed(own))
    spec[l_.SCREEN_BLOCKS], spec[l_.SCREEN_BLOCK_COUNT] = assembler.table(blocks), len(blocks)
    spec[l_.SCREEN_CONSTANTS] = assembler.table(consts)
    spec[l_.SCREEN_SPLATS] = _splats(assembler)
    spec[l_.SCREEN_DECIDED], spec[l_.SCREEN_SUMS], spec[l_.SCREEN_ROWS] = decided, sums, rows
    spec[l_.SCREEN_PLANES] = assembler.table(np.array(planes or [[0, 0]], np.int64))
    spec[l_.SCREEN_PLANE_COUNT] = len(planes)
    spec[l_.SCREEN_KEYS_COPIED] = assembler.table(np.array(keys or [[0, 0]], np.int64))
    spec[l_.SCREEN_KEY_COUNT] = len(keys)
    spec[l_.SCREEN_TREES] = len(node.roots)
    assembler.emit(l_.SCREEN, assembler.table(spec), bound, _FEW, *many, *(few or [0] * len(many)))
    return decided


def _splats(assembler: Assembler) -> int:
    """The address of a vector of each byte; aligned, for otherwise each lies across two lines of the cache."""
    whole = np.zeros(257 * l_.TOGETHER, np.uint8)
    address = assembler.table(whole)
    first = -address % l_.TOGETHER
    whole[first : first + 256 * l_.TOGETHER] = np.repeat(np.arange(256, dtype=np.uint8), l_.TOGETHER)
    return address + first


def _blocks(
    node: Screened, coded: _Bytes, order: npt.NDArray[np.int64], ends: Sequence[int]
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Where the sum is looked at: (the end of the steps, trees until there), and what to add to it at most and least.

    The first four constants are the step, the divisor, and what is certain: so much off the bound, and of the bound.
    """
    count, base = len(order), float(node.base[0])
    constants = [coded.step, node.divisor, slack(node, coded.lowest, coded.highest), RELATIVE]
    blocks: list[list[int]] = []
    for check in range(1, _CHECKS + 1):
        trees = max(1, count * check // _CHECKS)
        if blocks and blocks[-1][1] == trees:
            continue
        done, rest = order[:trees], order[trees:]
        blocks.append([ends[trees - 1], trees])
        lowest = base + coded.lowest[done].sum()
        most = lowest + coded.over[done].sum() + coded.highest[rest].sum()
        least = lowest - coded.under[done].sum() + coded.lowest[rest].sum()
        constants += [float(most) if node.below else np.inf, float(least) if node.above else -np.inf]
    return np.array(blocks, np.int64), np.array(constants)
