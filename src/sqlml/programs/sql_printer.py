"""The columns of a program as SQL terms, and what keeps a row from an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqlml.programs.program import (
    Apply,
    Arithmetic,
    Combine,
    Encode,
    FillText,
    Guard,
    Input,
    Linear,
    Link,
    Node,
    OneHot,
    Program,
    Ref,
    Replace,
)
from sqlml.programs.sql_nodes import FLOAT32_END, PRINTED, link_list
from sqlml.programs.sql_terms import (
    INFINITY,
    MOST_TEXT,
    Dialect,
    NoSql,
    Term,
    Writer,
    added,
    case,
    missing,
    number,
    string,
    whole,
)

MOST_BRANCHES: Mapping[Dialect, int] = {"duckdb": 10, "spark": 64}
"""Categories of a CASE."""
MOST_CATEGORIES = 1024
"""Categories of a list that DuckDB looks a text's place up in."""
MOST_SHIFT = 16.0
"""How far a mean may be from 0, in units of its scale, to go into the bias: a sum loses that much more by it."""
SCALES = (1e-100, 1e100)
"""Scales that go into the weights, for the products can't overflow with them where they didn't without."""


@dataclass(frozen=True)
class Check:
    """Why a row may get no answer: a condition, and the error that it is, or NULL where that is None."""

    ref: Ref
    condition: str
    error: str | None
    finite: bool
    """Whether the row passes where the column that it is about is a finite number."""


def needed_nodes(program: Program, refs: Sequence[Ref]) -> list[int]:
    """The places of the nodes that columns depend on, in order."""
    found = {node for node, _ in refs}
    open_ = list(found)
    while open_:
        for node, _ in program.nodes[open_.pop()].inputs:
            if node not in found:
                found.add(node)
                open_.append(node)
    return sorted(found)


class Printer:
    """Columns of a program as terms, each printed once. `known` are terms that stand for columns already."""

    def __init__(
        self,
        program: Program,
        given: Sequence[str],
        dialect: Dialect,
        required: frozenset[int],
        known: Mapping[Ref, Term] | None = None,
    ) -> None:
        self.program, self.required, self._given = program, required, given
        self.writer = Writer(dialect)
        self._terms: dict[Ref, Term] = dict(known or {})
        self._nodes = program.nodes

    def knowing(self, ref: Ref, term: Term) -> Printer:
        """The same, in which a term stands for a column."""
        other = Printer(self.program, self._given, self.writer.dialect, self.required, {ref: term})
        other.writer = self.writer
        return other

    def term(self, ref: Ref) -> Term:
        """A column of a node."""
        found = self._terms.get(ref)
        if found is None:
            found = self._terms[ref] = self._printed(self._nodes[ref[0]], ref[0], ref[1])
            if len(found.text) > MOST_TEXT:
                raise NoSql(f"an expression of more than {MOST_TEXT} characters")
        return found

    def _printed(self, node: Node, place: int, column: int) -> Term:
        if isinstance(node, Input):
            text = self._given[place]
            missing = place not in self.required
            return Term(text if text.isidentifier() else f"({text})", null=missing, nan=missing and not node.text)
        if isinstance(node, FillText):
            filled = string(node.texts[column], self.writer.dialect)
            return Term(f"coalesce({self.term(node.inputs[column]).text}, {filled})")
        if isinstance(node, Encode):
            return self._encoded(node, 1.0)
        if isinstance(node, Linear):
            return self._linear(node, column)
        written = PRINTED.get(type(node))
        if written is None:
            raise NoSql(f"a {node.kind.replace('_', ' ')}")
        if isinstance(node, Arithmetic | Apply | Guard | Replace):
            # These take a column each: the others need not be printed.
            given: Sequence[Term] = _Lazy(self, node.inputs)
        else:
            given = [self.term(ref) for ref in node.inputs]
        if isinstance(node, OneHot) and (encoded := self._key_test(node, column)) is not None:
            return encoded
        return written(node, given, column, self.writer)

    def columns(self, refs: Sequence[Ref]) -> str:
        """Columns as a list."""
        node = self._nodes[refs[0][0]]
        if isinstance(node, Link) and list(refs) == [(refs[0][0], i) for i in range(node.width)]:
            return link_list(node, [self.term(ref) for ref in node.inputs], self.writer)
        return self.writer.items([whole(self.term(ref)).text for ref in refs])

    # Categories

    def _linear(self, node: Linear, column: int) -> Term:
        """A weighted sum, in which the columns of one category are one CASE of weights."""
        weights = node.weights[:, column]
        sources: dict[Ref, list[int]] = {}
        for i, (place, _) in enumerate(node.inputs):
            hot = self._nodes[place]
            if (
                isinstance(hot, OneHot)
                and isinstance(self._nodes[hot.inputs[0][0]], Encode)
                and math.isfinite(weights[i])
            ):
                sources.setdefault(hot.inputs[0], []).append(i)
        folded = {i for places in sources.values() for i in places}
        alone = [i for i in range(len(weights)) if i not in folded]
        scaled = [self._unscaled(node.inputs[i], float(weights[i])) for i in alone]
        plain = Linear(
            inputs=tuple(ref for ref, _, _ in scaled),
            weights=np.array([weight for _, weight, _ in scaled]).reshape(-1, 1),
            bias=np.array([float(node.bias[column]) + sum(shift for _, _, shift in scaled)]),
        )
        rest = PRINTED[Linear](plain, [self.term(ref) for ref in plain.inputs], 0, self.writer)
        terms = [self._weights(ref, node, places, column) for ref, places in sources.items()]
        if not terms:
            return rest
        return Term(added([*(term.text for term in terms), rest.text], any_order=True), rest.null, nan=True)

    def _unscaled(self, ref: Ref, weight: float) -> tuple[Ref, float, float]:
        """What a standardized column is made of, its weight then, and what goes to the bias."""
        whole_ref, whole_weight, shift = ref, weight, 0.0
        if (step := self._step(ref, "divide", "multiply")) is not None:
            node, scale = step
            if not SCALES[0] <= abs(scale) <= SCALES[1] or not SCALES[0] <= abs(weight) <= SCALES[1]:
                return ref, weight, 0.0
            whole_ref = node.inputs[ref[1]]
            whole_weight = weight / scale if node.op == "divide" else weight * scale
        if (step := self._step(whole_ref, "subtract", "add")) is not None:
            node, centre = step
            centre = centre if node.op == "subtract" else -centre
            if math.isfinite(weight) and abs(centre * whole_weight) <= MOST_SHIFT * abs(weight):
                shift = -centre * whole_weight
                whole_ref = node.inputs[whole_ref[1]]
        return whole_ref, whole_weight, shift

    def _step(self, ref: Ref, *ops: str) -> tuple[Arithmetic, float] | None:
        """The arithmetic that makes a column, and its constant."""
        node = self._nodes[ref[0]]
        if ref in self._terms or not isinstance(node, Arithmetic) or node.op not in ops:
            return None
        return node, float(node.operand[ref[1]])

    def _weights(self, ref: Ref, node: Linear, places: Sequence[int], column: int) -> Term:
        """The weight of a category's code."""
        encode = self._nodes[ref[0]]
        assert isinstance(encode, Encode)
        by_code: dict[float, float] = {}
        for i in places:
            source, hot_column = node.inputs[i]
            hot = self._nodes[source]
            assert isinstance(hot, OneHot)
            code = float(hot.codes[hot_column])
            by_code[code] = by_code.get(code, 0.0) + float(node.weights[i, column])
        return self._encoded(encode, by_code)

    def _key_test(self, node: OneHot, column: int) -> Term | None:
        """A column of a one-hot encoding as a comparison with the one text that it stands for."""
        encode = self._nodes[node.inputs[0][0]]
        if not isinstance(encode, Encode) or not isinstance(encode.keys, tuple):
            return None
        code = float(node.codes[column])
        keys = [key for key, own in zip(encode.keys, encode.codes.tolist(), strict=True) if own == code]
        if len(keys) != 1 or code in (encode.missing, encode.unknown):
            return None
        test = f"({self.term(encode.inputs[0]).text} = {string(keys[0], self.writer.dialect)})"
        return Term(f"CASE WHEN {test} THEN 1e0 ELSE 0e0 END", infinite=False, test=test)

    def _encoded(self, node: Encode, weights: float | Mapping[float, float]) -> Term:
        """The code of a value, or the weight of its code. A refused one gives NULL: checks see to it."""

        def shown(code: float | None) -> str:
            if code is None:
                return "NULL"
            return number(code if isinstance(weights, float) else weights.get(code, 0.0))

        x = self.term(node.inputs[0])
        keys = self._key_texts(node)
        branches = [(key, shown(float(code))) for key, code in zip(keys, node.codes, strict=True)]
        codes = [code for code in (*node.codes.tolist(), node.missing, node.unknown) if code is not None]
        nan = any(math.isnan(code) for code in codes)
        text = self._looked_up(node, x, branches, shown(node.unknown))
        if x.missing and node.missing is not None:
            text = case([(missing(x), shown(node.missing))], text)
        elif x.missing and node.unknown is not None:
            text = case([(missing(x), "NULL")], text)
        typed = any(shown != "NULL" for _, shown in branches) or node.unknown is not None
        return Term(text if typed else f"CAST({text} AS DOUBLE)", nan=nan, infinite=False)

    def _key_texts(self, node: Encode) -> list[str]:
        if isinstance(node.keys, tuple):
            return [string(key, self.writer.dialect) for key in node.keys]
        # No number equals NaN.
        return [number(float(key)) if not np.isnan(key) else "NULL" for key in node.keys]

    def _looked_up(self, node: Encode, x: Term, branches: Sequence[tuple[str, str]], otherwise: str) -> str:
        worth = [(key, text) for key, text in branches if text != otherwise]
        if len(worth) <= MOST_BRANCHES[self.writer.dialect]:
            shown = " ".join(f"WHEN {key} THEN {text}" for key, text in worth)
            return f"CASE {x.text} {shown} ELSE {otherwise} END" if worth else otherwise
        if self.writer.dialect == "spark" or len(worth) > MOST_CATEGORIES or not isinstance(node.keys, tuple):
            raise NoSql(f"a lookup among {len(worth)} categories")
        # The place of a text in a list of texts that is known beforehand: DuckDB hashes those of an ENUM.
        members = f"ENUM({', '.join(key for key, _ in worth)})"
        place = f"CAST(enum_code(TRY_CAST({x.text} AS {members})) AS INTEGER)"
        found = self.writer.item(self.writer.items([text for _, text in worth]), f"{place} + 1")
        return f"coalesce({found}, {otherwise})" if otherwise != "NULL" else found

    # What keeps a row from an answer

    def checks(self, refs: Sequence[Ref], *, strict: bool) -> list[Check]:
        """Missing values first: what else would be wrong with such a row doesn't matter."""
        needed = needed_nodes(self.program, refs)
        found = [self._required(place, strict=strict) for place in needed if self._is_required(place)]
        for place in needed:
            node = self._nodes[place]
            if isinstance(node, Guard):
                found += [check for ref in node.inputs if (check := self._guard(node, ref)) is not None]
            elif isinstance(node, Encode):
                found += self._refusals(node, place)
        return found

    def _is_required(self, place: int) -> bool:
        return place in self.required and isinstance(self._nodes[place], Input)

    def _required(self, place: int, *, strict: bool) -> Check:
        node = self._nodes[place]
        assert isinstance(node, Input)
        text = self.term((place, 0)).text
        condition = missing(Term(text, null=True, nan=not node.text))
        error = self.writer.error(self._message(node.name, "is missing")) if strict else None
        return Check((place, 0), condition, error, finite=True)

    def _guard(self, node: Guard, ref: Ref) -> Check | None:
        x, keeps = self.term(ref), node.rule.endswith("_or_missing")
        narrow = node.rule.startswith("float32")
        if not narrow and not x.infinite and (keeps or not x.missing):
            return None
        end = number(FLOAT32_END) if narrow else INFINITY
        condition = f"abs({x.text}) >= {end}"
        if keeps and x.nan:
            condition = f"({condition} AND {x.text} <= {INFINITY})" if narrow else f"abs({x.text}) = {INFINITY}"
        elif not keeps and x.null:
            condition = f"({x.text} IS NULL OR {condition})"
        what = "is infinite" if keeps else "is infinite or missing"
        what = "is too large for float32" if narrow else what if x.missing else "is infinite"
        error = self.writer.error(self._message(self._name(ref), what))
        return Check(ref, condition, error, finite=not narrow)

    def _refusals(self, node: Encode, place: int) -> list[Check]:
        x, name = self.term(node.inputs[0]), self._name(node.inputs[0])
        found = []
        if node.missing is None and x.missing:
            error = self.writer.error(self._message(name, "is missing, which the model refuses"))
            found.append(Check((place, 0), missing(x), error, finite=True))
        if node.unknown is None:
            keys = self._key_texts(node)
            if len(keys) > MOST_CATEGORIES:
                raise NoSql(f"a lookup among {len(keys)} categories")
            # NOT IN is never true of a list with NULL in it.
            listed = ", ".join(key for key in keys if key != "NULL")
            unknown = f"{x.text} NOT IN ({listed})" if listed else f"{x.text} IS NOT NULL"
            if x.nan:
                unknown = f"({unknown} AND NOT isnan({x.text}))"
            parts = [
                self._message(name, "is '"),
                f"CAST({x.text} AS STRING)",
                string("', which the model never saw", self.writer.dialect),
            ]
            found.append(Check((place, 0), unknown, self.writer.error(*parts), finite=True))
        return found

    def _message(self, name: str, what: str) -> str:
        return string(f"The argument '{name}' {what}".replace("\0", ""), self.writer.dialect)

    def _name(self, ref: Ref) -> str:
        """The first argument that a column is made of."""
        node = self._nodes[ref[0]]
        while not isinstance(node, Input) and node.inputs:
            node = self._nodes[node.inputs[min(ref[1], len(node.inputs) - 1)][0]]
        return node.name if isinstance(node, Input) else ""

    # What one look at a sum tells

    def most_telling(self, refs: Sequence[Ref], checks: Sequence[Check]) -> tuple[Ref | None, list[Check]]:
        """The weighted sum which, where it is finite, makes the most checks needless; None where none spares two."""
        best: tuple[Ref | None, list[Check]] = (None, [])
        for place in needed_nodes(self.program, refs):
            if isinstance(self._nodes[place], Linear):
                told = self._carried((place, 0))
                spared = [check for check in checks if check.finite and check.ref in told]
                if len(spared) > max(1, len(best[1])):
                    best = ((place, 0), spared)
        return best

    def _carried(self, ref: Ref) -> set[Ref]:
        """The columns which are finite numbers wherever this one is."""
        found, open_ = set(), [ref]
        while open_:
            here = open_.pop()
            if here not in found:
                found.add(here)
                open_ += self._shows(self._nodes[here[0]], here[1])
        return found

    def _shows(self, node: Node, column: int) -> list[Ref]:
        if isinstance(node, Linear):
            weights = node.weights[:, column]
            shown = [ref for ref, w in zip(node.inputs, weights.tolist(), strict=True) if w != 0.0 and math.isfinite(w)]
            hot = [ref for ref in shown if isinstance(self._nodes[ref[0]], OneHot)]
            # The weights of a category are looked up at once, and there are none for one that is refused.
            sources = {self._nodes[place].inputs[0] for place, _ in hot}
            return [ref for ref in shown if ref not in hot] + [
                ref for ref in sources if isinstance(self._nodes[ref[0]], Encode)
            ]
        if isinstance(node, Arithmetic):
            operand = float(node.operand[column])
            keeps = node.op in ("add", "subtract") or (node.op in ("multiply", "divide") and operand != 0.0)
            return [node.inputs[column]] if keeps and math.isfinite(operand) else []
        if isinstance(node, Guard) or (isinstance(node, Apply) and node.function in ("negative", "abs", "square")):
            return [node.inputs[column]]
        if isinstance(node, Encode) and node.unknown is None:
            # Whatever is no key gives NULL.
            return list(node.inputs)
        if isinstance(node, Combine) and node.op in ("sum", "mean"):
            return [node.inputs[i] for i in node.groups[column]]
        return []


class _Lazy(Sequence[Term]):
    """The terms of columns, printed when they are asked for."""

    def __init__(self, printer: Printer, refs: Sequence[Ref]) -> None:
        self._printer, self._refs = printer, refs

    def __getitem__(self, place: Any) -> Any:
        return self._printer.term(self._refs[place])

    def __len__(self) -> int:
        return len(self._refs)
