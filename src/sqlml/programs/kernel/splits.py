"""The columns that trees split on, as planes: ranks among thresholds, or which value a key's one-hot columns have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.grids import grid_of
from sqlml.programs.kernel.image import Assembler, NotLowered
from sqlml.programs.program import Booleans, Floats, Screened, Trees
from sqlml.programs.simplify import reachable

_BYTE, _PAIR = 255, 65534
"""The largest rank in a byte and in two; a pair's last value is kept for leaves, which nothing is equal to."""


@dataclass(frozen=True)
class Table:
    """A column that depends on one key alone: its value for each key, MISSING and UNKNOWN first."""

    keys: int
    values: Floats


@dataclass(frozen=True)
class Test:
    """Which rows a node sends right: those above a rank or equal to a code (left: all others), or a table by key.

    `source` is a plane, or a key register.
    """

    kind: int
    source: int
    value: int = 0
    equal: bool = False
    left: bool = False
    rights: Booleans | None = None

    def interval(self, *, flipped: bool) -> tuple[int, int]:
        """(low, span) of the rows that go right, or else left: those with (value - low) mod the plane's size <= span.

        Modular, so that one comparison does for all of above, at most, equal and unequal.
        """
        top = 255 if self.kind == l_.BY_BYTE else 65535
        if self.equal:
            return ((self.value + 1) & top, top - 1) if flipped != self.left else (self.value, 0)
        return (0, self.value) if flipped else (self.value + 1, top - self.value - 1)


Column = Callable[[int], int]
"""Gives the register of one of the ensemble's inputs."""

Tables = Callable[[int], Table | None]
"""Gives an input's values by key, where it depends on one key alone."""


class Splits:
    """The planes of one ensemble: of ranks, one a feature and side on which a missing value goes; of one-hot codes.

    Args:
        node: the ensemble.
        assembler: gives planes.
        tables: of the inputs that depend on one key.
        wide: whether all planes have two bytes; where None, those that need them.
    """

    def __init__(self, node: Trees, assembler: Assembler, tables: Tables, *, wide: bool | None) -> None:
        self._node, self._assembler, self._all_wide = node, assembler, wide
        self._nodes = _by_feature(node, np.flatnonzero(reachable(node)))
        # Nobody splits on a bound.
        count = len(node.inputs) - isinstance(node, Screened)
        self._tables = [self._rounded(tables(f)) for f in range(count)]
        self._hot = [self._one_key(f) for f in range(count)]
        self.thresholds = thresholds_of(node)
        self._wide = [len(held) > _BYTE if wide is None else wide for held in self.thresholds]
        self._planes: dict[tuple[int, bool], int] = {}
        self.planes: list[tuple[int, bool]] = []
        """All of them, and whether they have two bytes."""
        self.copies: dict[int, int] = {}
        """Key registers that a screen copies for the rows that it leaves open, where there is one."""
        self._keys: dict[int, int] = {}
        self._codes: dict[tuple[int, int], tuple[int, int]] = {}
        largest = max((len(held) for held in self.thresholds), default=0)
        if largest > _PAIR:
            raise NotLowered(f"a feature has {largest} thresholds")

    def _rounded(self, table: Table | None) -> Table | None:
        if table is None or self._node.compare == "float64":
            return table
        with np.errstate(over="ignore"):
            return Table(table.keys, table.values.astype(np.float32).astype(np.float64))

    def _rights(self, feature: int, place: int) -> Booleans:
        """Which keys a node sends right."""
        node, table = self._node, self._tables[feature]
        assert table is not None
        if node.set_of[place] >= 0:
            held = table.values
            whole = np.where(np.isfinite(held), np.trunc(held), -1.0)
            found = ~np.isin(whole, self._members(place))
        else:
            found = table.values > node.threshold[place]
        return np.where(np.isnan(table.values), not node.missing_left[place], found)

    def _members(self, place: int) -> npt.NDArray[np.int32]:
        node = self._node
        here = node.set_of[place]
        return node.set_members[node.set_starts[here] : node.set_starts[here + 1]]

    def _one_key(self, feature: int) -> tuple[int, bool] | None:
        """The key that all of a feature's nodes set apart, and whether it goes left; None where they differ."""
        if self._tables[feature] is None or not len(self._nodes[feature]):
            return None
        found: set[tuple[int, bool]] = set()
        node, seen = self._node, set()
        for place in self._nodes[feature].tolist():
            told = (node.threshold[place], node.missing_left[place], node.set_of[place])
            if told in seen:
                continue
            seen.add(told)
            rights = self._rights(feature, place)
            apart = np.flatnonzero(rights if 2 * rights.sum() <= len(rights) else ~rights)
            if len(apart) != 1:
                return None
            found.add((int(apart[0]), not rights[apart[0]]))
        return found.pop() if len(found) == 1 else None

    def emit(self, column: Column, done: Callable[[int], None]) -> None:
        """Make all planes, and give each input back when it is one."""
        codes: dict[int, set[int]] = {}
        for feature in range(len(self._tables)):
            table, hot = self._tables[feature], self._hot[feature]
            if table is not None and hot is not None:
                codes.setdefault(table.keys, set()).add(hot[0])
            elif table is not None:
                self._emit_by_key(feature, table)
            else:
                self._emit_number(feature, column(feature))
            done(feature)
        for keys, chosen in codes.items():
            self._emit_codes(keys, sorted(chosen))

    def _lows(self, feature: int) -> list[bool]:
        """The sides on which the nodes with thresholds want a missing value: True for that of the lowest rank."""
        here = self._nodes[feature]
        found = np.unique(self._node.missing_left[here[self._node.set_of[here] < 0]])
        return [bool(low) for low in found]

    def _plane(self, feature: int, *, low: bool) -> int:
        plane = self._assembler.planes(2 if self._wide[feature] else 1)
        self._planes[feature, low] = plane
        self.planes.append((plane, self._wide[feature]))
        return plane

    def _emit_number(self, feature: int, given: int) -> None:
        """Ranks of a column, and its categories as places in the sets' tables."""
        register, assembler = given, self._assembler
        if self._node.compare == "float32":
            register = assembler.register()
            assembler.emit(l_.APPLY, l_.APPLY_CODES["float32"], register, given)
        self._emit_ranks(feature, register)
        sets = [place for place in self._nodes[feature].tolist() if self._node.set_of[place] >= 0]
        if sets:
            keys = self._keys[feature] = assembler.keys()
            assembler.emit(l_.RANK_SET, keys, register, self._largest(sets))
        if register != given:
            assembler.release(register)

    def _emit_ranks(self, feature: int, register: int) -> None:
        held, lows = self.thresholds[feature], self._lows(feature)
        if not lows:
            return
        grid = grid_of(held)
        # A step may look as far behind the last threshold as it is long.
        ends = [np.inf] * (1 << grid.steps)
        place = self._assembler.constant(grid.low, grid.high, grid.scale, *held, *ends)
        cells = 0 if grid.cells is None else self._assembler.table(grid.cells)
        low, high = (self._plane(feature, low=side) if side in lows else -1 for side in (True, False))
        self._assembler.emit(l_.RANK, register, low, high, place, len(held), self._wide[feature], cells, grid.steps)

    def _largest(self, sets: list[int]) -> int:
        return max(int(self._members(place).max(initial=-1)) + 1 for place in sets)

    def _emit_by_key(self, feature: int, table: Table) -> None:
        held = self.thresholds[feature]
        ranks = np.searchsorted(held, table.values)
        for low in self._lows(feature):
            by_key = np.where(np.isnan(table.values), 0 if low else len(held), ranks)
            self._emit_plane(self._plane(feature, low=low), table.keys, by_key, wide=self._wide[feature])

    def _emit_codes(self, keys: int, chosen: list[int]) -> None:
        """The keys that one-hot columns set apart, numbered: as many to a plane as it has numbers."""
        wide = bool(self._all_wide)
        count = next(len(table.values) for table in self._tables if table is not None and table.keys == keys)
        most = _PAIR if wide else _BYTE
        for first in range(0, len(chosen), most):
            here = chosen[first : first + most]
            by_key = np.zeros(count, np.int64)
            by_key[here] = np.arange(1, len(here) + 1)
            plane = self._assembler.planes(2 if wide else 1)
            self.planes.append((plane, wide))
            self._emit_plane(plane, keys, by_key, wide=wide)
            self._codes.update({(keys, key): (plane, code) for code, key in enumerate(here, 1)})

    def _emit_plane(self, plane: int, keys: int, by_key: npt.NDArray[np.int64], *, wide: bool) -> None:
        table = self._assembler.table(by_key.astype(np.uint16 if wide else np.uint8))
        self._assembler.emit(l_.PLANE_OF_KEY, plane, keys, table, wide)

    def copy_keys(self) -> None:
        """Take a second register for each key that a table is looked up by."""
        tables = [
            table for table, hot in zip(self._tables, self._hot, strict=True) if table is not None and hot is None
        ]
        for keys in {*self._keys.values(), *(table.keys for table in tables)}:
            self.copies[keys] = self._assembler.keys()

    def test(self, place: int) -> Test:
        """Of one node, once the planes are made."""
        node, feature = self._node, int(self._node.feature[place])
        table, hot = self._tables[feature], self._hot[feature]
        if table is not None and hot is not None:
            plane, code = self._codes[table.keys, hot[0]]
            return Test(l_.BY_PAIR if self._all_wide else l_.BY_BYTE, plane, code, equal=True, left=hot[1])
        if node.set_of[place] < 0:
            rank = int(np.searchsorted(self.thresholds[feature], node.threshold[place]))
            kind = l_.BY_PAIR if self._wide[feature] else l_.BY_BYTE
            return Test(kind, self._planes[feature, bool(node.missing_left[place])], rank)
        if table is not None:
            return Test(l_.BY_KEY, table.keys, rights=self._rights(feature, place))
        sets = [other for other in self._nodes[feature].tolist() if node.set_of[other] >= 0]
        rights = np.ones(self._largest(sets) + 2, bool)
        rights[self._members(place)] = False
        rights[-1] = not node.missing_left[place]
        return Test(l_.BY_KEY, self._keys[feature], rights=rights)


def thresholds_of(node: Trees) -> list[Floats]:
    """Of each feature, ascending."""
    numeric = np.flatnonzero(reachable(node) & (node.set_of < 0))
    return [np.unique(node.threshold[places]) for places in _by_feature(node, numeric)]


def _by_feature(node: Trees, places: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    places = places[np.argsort(node.feature[places], kind="stable")]
    edges = np.searchsorted(node.feature[places], np.arange(len(node.inputs) + 1))
    return [places[a:b] for a, b in itertools.pairwise(edges)]
