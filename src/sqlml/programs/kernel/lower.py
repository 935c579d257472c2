"""A Program becomes an image: the instructions that answer some of its heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sqlml.programs.evaluate import evaluate_node, keeps
from sqlml.programs.kernel import layout as l_
from sqlml.programs.kernel.ensembles import emit_trees
from sqlml.programs.kernel.image import Assembler, Image, NotLowered
from sqlml.programs.kernel.layout import Target, What
from sqlml.programs.kernel.splits import Table
from sqlml.programs.kernel.texts import dictionary
from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Constant,
    Distances,
    Encode,
    FillText,
    Floats,
    Guard,
    Input,
    Linear,
    Link,
    Median,
    Node,
    OneHot,
    Piecewise,
    Program,
    Ref,
    Replace,
    Screened,
    Trees,
)
from sqlml.programs.simplify import narrowed, prune

_MOST_WHOLE = 1 << 16
"""Numbers from the first to the last key that are looked up rather than searched."""


def lower(
    program: Program, whats: Sequence[What], inputs: Sequence[tuple[Target, bool]], *, strict: bool = False
) -> Image:
    """The image that gives some results of a program.

    Args:
        program: what to run.
        whats: the results.
        inputs: for each argument its type, and whether a missing value makes the row NULL.
        strict: whether such a row is refused instead.

    Raises:
        NotLowered: it is beyond the machine.
    """
    heads = {what.name: _head(program, what) for what in whats}
    pruned = prune(program, heads)
    lowering = _Lowering(pruned, inputs)
    outputs = [(what, [lowering.register(ref) for ref in pruned.heads[what.name]]) for what in whats]
    lowering.require_the_rest()
    return lowering.assembler.image(inputs, outputs, lowering.texts, strict=strict)


def _head(program: Program, what: What) -> tuple[Ref, ...]:
    if what == What.SCORE:
        return program.heads["probabilities"][-1:]
    return program.heads[what.name.lower()]


class _Lowering:
    """Emits columns as they are asked for, each once, and gives registers back when nobody asks any more."""

    def __init__(self, program: Program, inputs: Sequence[tuple[Target, bool]]) -> None:
        self.assembler = Assembler()
        self.texts: dict[int, tuple[str, ...]] = {}
        self._nodes = program.nodes
        self._inputs = inputs
        self._held: dict[Ref, int] = {}
        self._same_as: dict[Ref, Ref] = {}
        self._read: set[int] = set()
        self._tables: dict[Ref, Table | None] = {}
        self._uses = Counter(ref for node in program.nodes for ref in node.inputs)
        # What the heads name is kept to the end.
        heads = [ref for refs in program.heads.values() for ref in refs]
        self._uses.update(heads)
        self._summed = _summed(program.nodes, set(heads))

    def register(self, ref: Ref) -> int:
        """The register that a column is in, emitted if it is not there yet."""
        if ref not in self._held:
            table = self._table(ref)
            if table is not None:
                self.assembler.emit(l_.LOOK_UP, self.new(ref), table.keys, self.assembler.constant(*table.values))
            else:
                _EMIT[type(self._nodes[ref[0]])](self, self._nodes[ref[0]], ref)
        return self._held[ref]

    def new(self, ref: Ref) -> int:
        """A register for a column."""
        self._held[ref] = register = self.assembler.register()
        return register

    def done(self, ref: Ref) -> None:
        """One who took a column is through with it."""
        self._uses[ref] -= 1
        if not self._uses[ref] and ref in self._held:
            if ref in self._same_as:
                self.done(self._same_as[ref])
            else:
                self.assembler.release(self._held[ref])

    # Columns as they are given

    def input(self, node: Input, ref: Ref) -> None:
        """An argument's numbers. Where a sum shows that one is missing, nobody looks before."""
        self._held[ref] = register = self.assembler.register(borrows=True)
        self._read.add(ref[0])
        self.assembler.emit(l_.LOAD, register, ref[0])
        if self._inputs[ref[0]][1] and ref not in self._summed:
            self.assembler.emit(l_.REQUIRE, register)

    def require_the_rest(self) -> None:
        """Look whether an argument is missing which these results don't depend on: another one does."""
        for place, (target, required) in enumerate(self._inputs):
            if not required or place in self._read:
                continue
            if target == Target.TEXT:
                self._text_keys(self.assembler.keys(), place, ())
            else:
                register = self.assembler.register(borrows=True)
                self.assembler.emit(l_.LOAD, register, place)
                self.assembler.emit(l_.REQUIRE, register)

    def guard(self, node: Guard, ref: Ref) -> None:
        """Columns as they are."""
        source = node.inputs[ref[1]]
        self._held[ref] = register = self.register(source)
        self._same_as[ref] = source
        if ref not in self._summed or node.rule.startswith("float32"):
            limit = self.assembler.constant(_FLOAT32_TOP if node.rule.startswith("float32") else np.inf)
            self.assembler.emit(l_.GUARD, register, limit, node.rule.endswith("missing"))

    # Columns that depend on one key

    def _table(self, ref: Ref) -> Table | None:
        if ref not in self._tables:
            self._tables[ref] = self._made_table(ref)
        return self._tables[ref]

    def _made_table(self, ref: Ref) -> Table | None:
        node = self._nodes[ref[0]]
        if isinstance(node, Encode):
            return self._encoded(node)
        if not isinstance(node, Apply | Arithmetic | Guard | OneHot | Replace):
            return None
        narrow, (place,) = narrowed(node, [ref[1]])
        source = self._table(node.inputs[place])
        if source is None:
            return None
        if isinstance(narrow, Guard):
            return source if keeps(narrow.rule, source.values) else None
        return Table(source.keys, evaluate_node(narrow, source.values[:, None])[:, 0])

    def _encoded(self, node: Encode) -> Table:
        """The codes by key, after the instructions that find a row's key and refuse what must be."""
        (source,) = node.inputs
        unknown = np.nan if node.unknown is None else node.unknown
        missing = np.nan if node.missing is None else node.missing
        refuses_missing = node.missing is None
        filled = self._nodes[source[0]]
        if isinstance(filled, FillText) and isinstance(node.keys, tuple):
            text = filled.texts[source[1]]
            known = text in node.keys
            missing = node.codes[node.keys.index(text)] if known else unknown
            refuses_missing = not known and node.unknown is None
            source = filled.inputs[source[1]]
        keys = self.assembler.keys()
        codes = node.codes
        if isinstance(node.keys, tuple):
            self._text_keys(keys, source[0], node.keys)
        else:
            order = np.argsort(node.keys)
            codes = codes[order]
            k = self.assembler.constant(*node.keys[order])
            table = self._whole_keys(node.keys[order])
            self.assembler.emit(l_.KEY_OF_NUMBER, keys, self.register(source), k, len(codes), table)
            self.done(source)
        if refuses_missing:
            self.assembler.emit(l_.REFUSE_KEY, keys, l_.MISSING)
        if node.unknown is None:
            self.assembler.emit(l_.REFUSE_KEY, keys, l_.UNKNOWN)
        return Table(keys, np.concatenate([[missing, unknown], codes]))

    def _whole_keys(self, sorted_: Floats) -> int:
        """The address of a table over whole numbers; 0 where keys are no such numbers, or too far apart."""
        if not len(sorted_) or not (np.abs(sorted_) <= 2**31).all() or (sorted_ != np.rint(sorted_)).any():
            return 0
        places = (sorted_ - sorted_[0]).astype(np.int64)
        if places[-1] >= _MOST_WHOLE:
            return 0
        table = np.full(places[-1] + 1, l_.UNKNOWN, np.int32)
        # Of equal keys the first counts, as where they are searched.
        table[places[::-1]] = np.arange(len(places))[::-1] + l_.FIRST_KEY
        return self.assembler.table(table)

    def _text_keys(self, keys: int, argument: int, texts: tuple[str, ...]) -> None:
        self._read.add(argument)
        if self.texts.setdefault(argument, texts) != texts:
            raise NotLowered("two encoders know different categories of one argument")
        self.assembler.emit(l_.KEY_OF_TEXT, keys, argument, dictionary(self.assembler, texts))
        if self._inputs[argument][1]:
            self.assembler.emit(l_.REQUIRE_KEY, keys)

    # Sums

    def linear(self, node: Linear, ref: Ref) -> None:
        """Weighted sums: columns of a key through tables, others four at a time."""
        sums = [self.new((ref[0], output)) for output in range(node.width)]
        for register, bias in zip(sums, node.bias, strict=True):
            self.assembler.emit(l_.CONSTANT, register, self.assembler.constant(bias))
        self._add_tables(node, sums)
        waiting: list[tuple[Ref, float, Floats]] = []
        for column, weights in zip(node.inputs, node.weights, strict=True):
            if self._table(column) is not None:
                self.done(column)
                continue
            waiting.append(self._shifted(column, weights))
            if len(waiting) == 4:
                self._weigh(sums, waiting)
                waiting = []
        for one in waiting:
            self._weigh(sums, [one])
        if any(column in self._summed for column in node.inputs):
            self.assembler.emit(l_.SETTLE, sums[0])

    def _add_tables(self, node: Linear, sums: Sequence[int]) -> None:
        whole: dict[int, Floats] = {}
        for column, weights in zip(node.inputs, node.weights, strict=True):
            table = self._table(column)
            if table is not None:
                found = whole.setdefault(table.keys, np.zeros((len(table.values), node.width)))
                rows = np.flatnonzero(table.values)
                found[rows] += table.values[rows, None] * weights
        for keys, values in whole.items():
            for output, register in enumerate(sums):
                self.assembler.emit(l_.ADD_UP, register, keys, self.assembler.constant(*values[:, output]))

    def _shifted(self, ref: Ref, weights: Floats) -> tuple[Ref, float, Floats]:
        """A column as (x - centre) times weights: scaling goes into the weights, which round once more, no worse."""
        node, centre = self._step(ref), 0.0
        if node is not None and node.op in ("divide", "multiply"):
            scale = node.operand[ref[1]]
            weights = weights / scale if node.op == "divide" else weights * scale
            ref = self._source(ref)
            node = self._step(ref)
        if node is not None and node.op == "subtract":
            centre = float(node.operand[ref[1]])
            ref = self._source(ref)
        return ref, centre, weights

    def _step(self, ref: Ref) -> Arithmetic | None:
        """The arithmetic that makes a column which nobody else takes."""
        node = self._nodes[ref[0]]
        return node if isinstance(node, Arithmetic) and self._uses[ref] == 1 and ref not in self._held else None

    def _source(self, ref: Ref) -> Ref:
        """What a column is made from, behind guards that a sum makes needless."""
        ref = self._nodes[ref[0]].inputs[ref[1]]
        node = self._nodes[ref[0]]
        while isinstance(node, Guard) and ref in self._summed and self._uses[ref] == 1:
            if node.rule.startswith("float32"):
                break
            ref = node.inputs[ref[1]]
            node = self._nodes[ref[0]]
        return ref

    def _weigh(self, sums: Sequence[int], columns: Sequence[tuple[Ref, float, Floats]]) -> None:
        registers = [self.register(ref) for ref, _, _ in columns]
        for output, register in enumerate(sums):
            pairs = [number for _, centre, weights in columns for number in (centre, weights[output])]
            place = self.assembler.constant(*pairs)
            self.assembler.emit(l_.WEIGH if len(columns) == 4 else l_.WEIGH_ONE, register, *registers, place)
        for ref, _, _ in columns:
            self.done(ref)

    def distances(self, node: Distances, ref: Ref) -> None:
        """Sums of squares, column by column."""
        sums = [self.new((ref[0], output)) for output in range(node.width)]
        for register in sums:
            self.assembler.emit(l_.CONSTANT, register, self.assembler.constant(0.0))
        for place, column in enumerate(node.inputs):
            source = self.register(column)
            for register, point in zip(sums, node.points, strict=True):
                self.assembler.emit(l_.SQUARED, register, source, self.assembler.constant(point[place]))
            self.done(column)

    # One column from one or several

    def constant(self, node: Constant, ref: Ref) -> None:
        """A number."""
        self.assembler.emit(l_.CONSTANT, self.new(ref), self.assembler.constant(node.values[ref[1]]))

    def arithmetic(self, node: Arithmetic, ref: Ref) -> None:
        """With a constant."""
        source = self.register(node.inputs[ref[1]])
        place = self.assembler.constant(node.operand[ref[1]])
        self.assembler.emit(l_.ARITHMETIC, l_.ARITHMETIC_CODES[node.op], self.new(ref), source, place)
        self.done(node.inputs[ref[1]])

    def apply(self, node: Apply, ref: Ref) -> None:
        """A function."""
        source = self.register(node.inputs[ref[1]])
        self.assembler.emit(l_.APPLY, l_.APPLY_CODES[node.function], self.new(ref), source)
        self.done(node.inputs[ref[1]])

    def replace(self, node: Replace, ref: Ref) -> None:
        """Another value."""
        source = self.register(node.inputs[ref[1]])
        old, new = self.assembler.constant(node.old), self.assembler.constant(node.new[ref[1]])
        self.assembler.emit(l_.REPLACE, self.new(ref), source, old, new)
        self.done(node.inputs[ref[1]])

    def one_hot(self, node: OneHot, ref: Ref) -> None:
        """Of a column that is no key's."""
        source = self.register(node.inputs[0])
        code = self.assembler.constant(node.codes[ref[1]])
        self.assembler.emit(l_.ARITHMETIC, l_.ARITHMETIC_CODES["equal"], self.new(ref), source, code)
        self._done_after(node, ref)

    def piecewise(self, node: Piecewise, ref: Ref) -> None:
        """A column of polynomials between edges."""
        source = self.register(node.inputs[0])
        powers = node.coefficients.shape[2]
        pieces = np.column_stack([node.origins, node.coefficients[:, ref[1]]])
        place = self.assembler.constant(*node.edges, *pieces.ravel())
        self.assembler.emit(l_.PIECE, self.new(ref), source, len(node.edges), place, powers, node.left)
        self._done_after(node, ref)

    def _done_after(self, node: Node, ref: Ref) -> None:
        """A node whose columns all take its one input: it counts as one use, over with the last of them."""
        if all((ref[0], column) in self._held for column in range(node.width)):
            self.done(node.inputs[0])

    def combine(self, node: Combine, ref: Ref) -> None:
        """A column of several. Groups share columns, so that these are given back when all groups are made."""
        for column, group in enumerate(node.groups.tolist()):
            sources = [self.register(node.inputs[i]) for i in group]
            to = self.new((ref[0], column))
            if node.op == "argmax":
                best = self.assembler.register()
                self.assembler.emit(l_.COPY, best, sources[0])
                self.assembler.emit(l_.CONSTANT, to, self.assembler.constant(0.0))
                for place, source in enumerate(sources[1:], 1):
                    self.assembler.emit(l_.BETTER, to, best, source, self.assembler.constant(float(place)))
                self.assembler.release(best)
                continue
            self._fold(_FOLDED[node.op], to, sources)
            if node.op == "mean":
                count = self.assembler.constant(float(len(sources)))
                self.assembler.emit(l_.ARITHMETIC, l_.ARITHMETIC_CODES["divide"], to, to, count)
        for column_taken in node.inputs:
            self.done(column_taken)

    def _fold(self, op: str, to: int, sources: Sequence[int]) -> None:
        if len(sources) == 1:
            self.assembler.emit(l_.COPY, to, sources[0])
        for place, source in enumerate(sources[1:], 1):
            self.assembler.emit(l_.PAIR, l_.PAIR_CODES[op], to, sources[0] if place == 1 else to, source)

    def median(self, node: Median, ref: Ref) -> None:
        """Of all columns."""
        sources = [self.register(column) for column in node.inputs]
        places = self.assembler.table(np.array(sources, np.int64))
        weights = self.assembler.constant(*node.weights)
        self.assembler.emit(l_.MEDIAN, self.new(ref), len(sources), places, weights)
        for column in node.inputs:
            self.done(column)

    def link(self, node: Link, ref: Ref) -> None:
        """All columns together."""
        given = [self.register(column) for column in node.inputs]
        total = self.assembler.register()
        found = [self.new((ref[0], column)) for column in range(node.width)]
        if node.function == "softmax":
            self._fold("maximum", total, given)
            for to, source in zip(found, given, strict=True):
                self.assembler.emit(l_.PAIR, l_.PAIR_CODES["subtract"], to, source, total)
                self.assembler.emit(l_.APPLY, l_.APPLY_CODES["exp"], to, to)
            given = found
        self._fold("sum", total, given)
        for to, source in zip(found, given, strict=True):
            self.assembler.emit(l_.PAIR, l_.PAIR_CODES["divide"], to, source, total)
            if node.function == "normalize":
                old, new = self.assembler.constant(np.nan), self.assembler.constant(1.0 / node.width)
                self.assembler.emit(l_.REPLACE, to, to, old, new)
        self.assembler.release(total)
        for column in node.inputs:
            self.done(column)

    def trees(self, node: Trees, ref: Ref) -> None:
        """An ensemble, with its columns' registers given back as soon as they are ranks."""
        registers = emit_trees(
            self.assembler,
            node,
            lambda feature: self.register(node.inputs[feature]),
            lambda feature: self.done(node.inputs[feature]),
            lambda feature: self._table(node.inputs[feature]),
        )
        for column, register in enumerate(registers):
            self._held[ref[0], column] = register


def _summed(nodes: Sequence[Node], heads: set[Ref]) -> set[Ref]:
    """Columns that go into weighted sums alone, at most scaled before: what is not finite in them shows there."""
    takers: dict[Ref, list[tuple[int, int]]] = {}
    for place, node in enumerate(nodes):
        for i, ref in enumerate(node.inputs):
            takers.setdefault(ref, []).append((place, i))
    found: set[Ref] = set()
    for place in range(len(nodes) - 1, -1, -1):
        for column in range(nodes[place].width):
            ref = (place, column)
            if ref in heads or not takers.get(ref):
                continue
            if all(
                isinstance(nodes[to], Linear) or (_keeps_infinity(nodes[to]) and (to, i) in found)
                for to, i in takers[ref]
            ):
                found.add(ref)
    return found


def _keeps_infinity(node: Node) -> bool:
    return isinstance(node, Guard) or (
        isinstance(node, Arithmetic) and node.op in ("add", "subtract", "multiply", "divide")
    )


_FLOAT32_TOP = float(np.finfo(np.float32).max) + 2.0**103
_FOLDED: Mapping[str, str] = {op: op for op in l_.PAIR_CODES} | {"mean": "sum"}

# By the node's class; text and keys are read where they are taken.
_EMIT: Mapping[type[Node], Callable[[_Lowering, Any, Ref], None]] = {
    Apply: _Lowering.apply,
    Arithmetic: _Lowering.arithmetic,
    Combine: _Lowering.combine,
    Constant: _Lowering.constant,
    Distances: _Lowering.distances,
    Guard: _Lowering.guard,
    Input: _Lowering.input,
    Linear: _Lowering.linear,
    Link: _Lowering.link,
    Median: _Lowering.median,
    OneHot: _Lowering.one_hot,
    Piecewise: _Lowering.piecewise,
    Replace: _Lowering.replace,
    Screened: _Lowering.trees,
    Trees: _Lowering.trees,
}
