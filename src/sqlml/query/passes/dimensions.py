"""What a model makes of a dimension's columns is computed once a row of the dimension, before the join.

A linear model's terms become one partial sum, categories become small numbers, and a function of one dimension's
columns alone is that dimension's. The join then carries a few numbers in place of the columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from sqlml.programs.absent import answer_to_nothing
from sqlml.programs.cut import Part
from sqlml.query.remembered import cut, is_total
from sqlml.query.rewriting import PART, Asked, Facts, Given, State
from sqlml.query.selects import Item, columns_given, has_star, name_of, select_of, selects, sources

_TIMES_SMALLER = 4
"""A dimension has at most so many times fewer rows than the largest source: else nothing is gained."""


def compute_on_dimensions(state: State, facts: Facts) -> State:
    """Move what depends on one dimension alone below the join."""
    for select in selects(state.tree):
        items = sources(select, facts)
        if items is None or len(items) < 2 or any(item.joined == "other" for item in items):
            continue
        small = [item for item in items if _is_dimension(item, items, select, facts)]
        if not small:
            continue
        moving = _Moving(state, select, small, facts)
        for node in state.calls(select):
            # A call in a JOIN's condition is part of what joins.
            if select_of(node) is select and node.find_ancestor(exp.Join, exp.Select) is select:
                moving.move(node, items)
        state = moving.done()
    return state


def _is_dimension(item: Item, items: Sequence[Item], select: exp.Select, facts: Facts) -> bool:
    if item.table is None or has_star(select, item.alias):
        return False
    counts = {one.alias: facts.table(name_of(one.table, facts.dialect)).rows for one in items if one.table is not None}
    mine = counts[item.alias]
    largest = max((count for count in counts.values() if count is not None), default=None)
    return mine is not None and largest is not None and mine * _TIMES_SMALLER <= largest


class _Moving:
    """The columns that a SELECT's dimensions get."""

    def __init__(self, state: State, select: exp.Select, dimensions: Sequence[Item], facts: Facts) -> None:
        self.state = state
        self.select = select
        self.dimensions = dimensions
        self.facts = facts
        self.columns: dict[str, dict[exp.Expr, str]] = {item.alias: {} for item in dimensions}

    def move(self, node: exp.Anonymous, items: Sequence[Item]) -> None:
        """Take a call apart."""
        asked = self.state.asked[node.name]
        if asked.program is None or asked.once:
            return
        groups = self._groups(asked, node, items)
        if not groups:
            return
        if (
            len(groups) == 1
            and len(next(iter(groups.values()))) == len(asked.arguments)
            and self._is_null_without(next(iter(groups)), asked)
            and is_total(asked.program, asked.inputs_known())
        ):
            alias = next(iter(groups))
            node.replace(self._column(alias, node.copy()))
            self.state = self.state.saying(f"{asked.function} is computed once a row of '{alias}'")
            return
        self._cut(node, asked, groups)

    def _is_null_without(self, alias: str, asked: Asked) -> bool:
        """Whether a row that finds no partner in a dimension has NULL for its answer, as its column then has."""
        item = next(item for item in self.dimensions if item.alias == alias)
        return item.joined != "left" or any(given.required for given in asked.arguments)

    def _groups(self, asked: Asked, node: exp.Anonymous, items: Sequence[Item]) -> dict[str, dict[int, exp.Column]]:
        """For each dimension the program's inputs that its columns are given to."""
        found: dict[str, dict[int, exp.Column]] = {}
        for given, column, item in columns_given(asked, node, items):
            if item in self.dimensions and self._surely(item, column, given):
                found.setdefault(item.alias, {})[given.place] = column
        return found

    def _surely(self, item: Item, column: exp.Column, given: Given) -> bool:
        """Whether no value of a column can fail to be one of the argument's type, not even in a row that joins none."""
        name = column.name.casefold()
        kind = item.columns[name].kind
        if given.type == "VARCHAR":
            return kind == "text"
        if given.type in ("INTEGER", "BIGINT"):
            return kind == "small"
        if kind == "whole" and item.table is not None:
            domain = self.facts.table(name_of(item.table, self.facts.dialect)).bounds.get(name)
            return domain is not None and max(abs(domain.low), abs(domain.high)) <= 2**53
        return kind in ("small", "boolean", "float32", "float64") and given.type == "DOUBLE"

    def _cut(self, node: exp.Anonymous, asked: Asked, groups: Mapping[str, Mapping[int, exp.Column]]) -> None:
        assert asked.program is not None
        aliases = list(groups)
        found = cut(asked.program, [frozenset(groups[alias]) for alias in aliases], asked.inputs_known())
        if not found.parts:
            return
        used = set(found.outer.used)
        pairs = zip(asked.arguments, node.expressions, strict=True)
        by_place = {given.place: (given, argument) for given, argument in pairs}
        kept = [pair for place, pair in by_place.items() if place in used]
        gone = {place: pair for place, pair in by_place.items() if place not in used}
        extra: list[tuple[Given, exp.Expr]] = []
        for number, part in enumerate(found.parts):
            alias = next(alias for alias in aliases if set(part.inputs) <= set(groups[alias]))
            given, column = self._part(asked, part, alias, by_place, len(asked.program.inputs) + number)
            extra.append((given, column))
            for place in part.inputs:
                gone.pop(place, None)
        # An argument without which the answer is NULL is still looked at.
        kept += [pair for pair in gone.values() if pair[0].required]
        outer = replace(asked, program=found.outer, arguments=tuple(given for given, _ in (*kept, *extra)))
        self.state, made = self.state.adding(outer)
        node.replace(exp.Anonymous(this=made.name, expressions=[argument for _, argument in (*kept, *extra)]))
        self._say(asked, found.parts, aliases, groups)

    def _say(
        self,
        asked: Asked,
        parts: Sequence[Part],
        aliases: Sequence[str],
        groups: Mapping[str, Mapping[int, exp.Column]],
    ) -> None:
        for alias in aliases:
            mine = [part for part in parts if set(part.inputs) <= set(groups[alias])]
            columns = len({place for part in mine for place in part.inputs})
            kinds = " and ".join(
                f"{count} {word}"
                for word, count in (
                    ("partial sum(s), added in another order", sum(part.kind == "sum" for part in mine)),
                    ("encoded column(s)", sum(part.kind != "sum" for part in mine)),
                )
                if count
            )
            if mine:
                self.state = self.state.saying(
                    f"{asked.function} takes {kinds} of '{alias}', computed once a row of it, in place of {columns}"
                )

    def _part(
        self,
        asked: Asked,
        part: Part,
        alias: str,
        by_place: Mapping[int, tuple[Given, exp.Expr]],
        place: int,
    ) -> tuple[Given, exp.Expr]:
        pairs = [by_place[held] for held in part.inputs]
        arguments = tuple(replace(given, place=i) for i, (given, _) in enumerate(pairs))
        made = Asked("", asked.call, asked.function, ("predict",), part.program, arguments, number=True)
        self.state, made = self.state.adding(made)
        call = exp.Anonymous(this=made.name, expressions=[argument.copy() for _, argument in pairs])
        column = self._column(alias, call)
        required = any(given.required for given, _ in pairs)
        item = next(item for item in self.dimensions if item.alias == alias)
        if item.joined == "left" and not required:
            column = exp.Coalesce(this=column, expressions=[_number(answer_to_nothing(part.program))])
        return Given(f"__part{place}", "DOUBLE", required, place), column

    def _column(self, alias: str, call: exp.Expr) -> exp.Expr:
        """The column of a dimension that holds a call's answers."""
        held = self.columns[alias]
        name = held.setdefault(call, f"{PART}{len(held)}")
        return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier(alias, quoted=True))

    def done(self) -> State:
        """Put the columns into the dimensions' places."""
        for item in self.dimensions:
            added = self.columns[item.alias]
            if not added:
                continue
            query = exp.select("*").from_(item.node.copy())
            for call, name in added.items():
                query = query.select(exp.alias_(call, name, quoted=True, copy=False), copy=False)
            item.node.replace(query.subquery(exp.to_identifier(item.alias, quoted=True)))
        return self.state


def _number(value: float) -> exp.Expr:
    if math.isnan(value):
        return exp.cast(exp.Literal.string("NaN"), "double")
    literal = exp.cast(exp.Literal.number(repr(abs(value))), "double")
    return exp.Neg(this=literal) if value < 0 else literal
