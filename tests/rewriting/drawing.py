"""Queries drawn by hypothesis: models called wherever SQL allows, over joins, filters and subqueries of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import assume

from rewriting.models import Fitted
from rewriting.tables import CARRIERS, COLUMNS, KEYS, MAKERS, ZONES

PLACE_OF = {column: table for table in ("places", "planes", "facts") for column in COLUMNS[table]}
MAY_FAIL = ("careful", "strict")
"""Functions that there are rows for which they are an error."""
_LITERALS: dict[str, list[str]] = {
    "VARCHAR": ["'AA'", "'UA'", "'Boeing'", "'north'", "'süd'", "'o''h'", "'never seen'", "''", "NULL"],
    "DOUBLE": ["0", "250.5", "-3", "1e2", "1999.9", "NULL"],
    "FLOAT": ["0", "2.5", "-7.25", "0.1", "NULL"],
    "INTEGER": ["0", "7", "150", "-1", "NULL"],
    "BIGINT": ["0", "7", "150", "1000000", "NULL"],
    "DECIMAL(10,2)": ["0", "99.99", "450.5", "NULL"],
    "BOOLEAN": ["true", "false", "NULL"],
}
_TEXTS = {"carrier": CARRIERS, "maker": MAKERS, "zone": ZONES, "note": ["", "NULL", "late", "x"]}


@dataclass(frozen=True)
class Call:
    """A call as SQL, and what it gives."""

    text: str
    gives: str
    exact: bool
    classes: tuple[str, ...]
    total: bool

    @property
    def groups(self) -> bool:
        """Whether rows may be told apart by it, which another order of adding must not change."""
        return self.gives == "label" or (self.gives == "number" and self.exact)


@dataclass(frozen=True)
class Drawn:
    """A query; with LIMIT only its first column, in order, is certain. `shape` says what it is one of."""

    text: str
    ordered: bool
    shape: str


class Draw:
    """Draws the parts of one query.

    Args:
        random: what decides. Hypothesis' own choices are too much alike where there are so many of them.
        models: the functions that may be called.
        tables: SQL of each table, by the name that it has in `COLUMNS`.
        quote: how a name is quoted.
        answers: the first column of a query as it stands, to compare predictions with.
        qualify: whether there is QUALIFY.
    """

    def __init__(
        self,
        random: Random,
        models: dict[str, Fitted],
        tables: dict[str, str],
        quote: str,
        answers: Callable[[str], list[Any]],
        *,
        qualify: bool,
    ) -> None:
        self._random = random
        self._models = models
        self._tables = tables
        self._quote = quote
        self._answers = answers
        self._qualify = qualify
        self._calls: list[Call] = []
        self._ctes: list[str] = []
        self._aliases: dict[str, str] = {}
        self._from = ""
        self._where: list[str] = []

    def one(self, *options: Any) -> Any:
        return self._random.choice(options)

    def chance(self, of: int = 2) -> bool:
        return self._random.randrange(of) == 0

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def name(self, name: str) -> str:
        return self._quote + name.replace(self._quote, self._quote * 2) + self._quote

    def column(self, column: str) -> str:
        return f"{self._aliases[PLACE_OF[column]]}.{self.name(column) if not column.isidentifier() else column}"

    def columns(self) -> list[str]:
        """Those of the sources that are not in two of them."""
        return [name for name, table in PLACE_OF.items() if table in self._aliases and name not in ("tail", "place")]

    def id(self) -> str:
        return self.column("id") if "facts" in self._aliases else f"{next(iter(self._aliases.values()))}.*"

    def sources(self) -> None:
        """Draw FROM, and the conditions that it puts into WHERE."""
        held: Sequence[str] = self.one(
            ("facts",), ("facts", "planes"), ("facts", "planes", "places"), ("planes", "facts", "places"), ("facts", "places"),
            ("places", "facts"), ("planes",),
        )  # fmt: skip
        style = self.one(
            {"facts": "f", "planes": "p", "places": "q"}, {"facts": self.name("My f"), "planes": "P", "places": "x"}
        )
        self._aliases, self._where, self._calls = {}, [], []
        self._from = ""
        for table in held:
            alias = style[table]
            source = f"{self._source(table)} AS {alias}"
            if not self._from:
                self._from = source
            else:
                self._from += self._join(table, source, alias)
            self._aliases[table] = alias

    def _source(self, table: str) -> str:
        plain = self._tables[table]
        kind = self.number(0, 7)
        if kind < 5:
            return plain
        condition = self.one(
            *(f"{name} IS NOT NULL" for name in list(COLUMNS[table])[:3]), *(["dist > 100"] if table == "facts" else [])
        )
        query = f"SELECT * FROM {plain} WHERE {condition}"
        if kind == 5:
            return f"({query})"
        # A table's own name may be that of a CTE.
        name = plain if kind == 6 and plain.isidentifier() else f"cte_{len(self._ctes)}"
        if any(cte.startswith(f"{name} AS") for cte in self._ctes) or (name == plain and self._ctes):
            return plain
        twice = f" UNION ALL {query}" if self.chance(3) else ""
        self._ctes.append(f"{name} AS ({query}{twice})")
        return name

    def _join(self, table: str, source: str, alias: str) -> str:
        dimension = table if table != "facts" else next(iter(self._aliases))
        key = KEYS[dimension]
        other = self._aliases["facts" if table != "facts" else dimension]
        on = f"{other}.{key} = {alias}.{key}" if self.chance() else f"{alias}.{key} = {other}.{key}"
        kind = self.number(0, 9)
        if kind == 9:
            self._where.append(on)
            return f" CROSS JOIN {source}"
        joined = [
            "JOIN",
            "INNER JOIN",
            "LEFT JOIN",
            "LEFT JOIN",
            "RIGHT JOIN",
            "JOIN",
            "LEFT JOIN",
            "JOIN",
            "LEFT JOIN",
        ][kind]
        if kind in (5, 6):
            return f" {joined} {source} USING ({key})"
        if kind in (7, 8) and table != "facts":
            more = {"planes": f"{alias}.age > 12", "places": f"{alias}.zone <> 'north'"}[table]
            on = f"{on} AND {more}"
        return f" {joined} {source} ON {on}"

    def call(
        self, *, wanted: Sequence[str] = ("label", "number", "map"), groups: bool = False, total: bool = False
    ) -> Call:
        """Draw a call; what its function reads and no source has is a constant.

        A `total` one fails for no row: of two conditions none is looked at first for certain.
        """
        before = [
            call
            for call in self._calls
            if call.gives in wanted and (call.groups or not groups) and (call.total or not total)
        ]
        if before and self.chance():
            return self.one(*before)
        there = set(self.columns())
        fitting = [
            name
            for name, held in self._models.items()
            if there & set(held.columns) and (name not in MAY_FAIL or not total)
        ]
        assume(fitting)
        name = self.one(*fitting)
        held = self._models[name]
        outputs = ["label" if held.classes else "number"]
        if held.classes:
            outputs += ["map"] + (["number"] if len(held.classes) == 2 else [])
        outputs = [output for output in outputs if output in wanted]
        assume(outputs)
        gives = self.one(*outputs)
        suffix = "" if gives == "label" or not held.classes else "_score" if gives == "number" else "_proba"
        call = Call(
            self._called(f"{name}{suffix}", held),
            gives,
            held.exact,
            tuple(str(one) for one in held.classes),
            name not in MAY_FAIL,
        )
        if groups:
            assume(call.groups)
        self._calls.append(call)
        return call

    def _called(self, name: str, held: Fitted) -> str:
        there = set(self.columns())
        types = {column: COLUMNS[PLACE_OF[column]][column] for column in held.columns}
        own = {PLACE_OF[column] for column in held.columns}
        if own <= set(self._aliases) and len(own) == 1 and self.chance(4):
            return f"{name}({self._aliases[own.pop()]})"
        given = {}
        for column in held.columns:
            kind = self.number(0, 11)
            literal = self.one(*_LITERALS[types[column]])
            if column not in there or kind == 11:
                given[column] = literal
            elif kind == 10 and types[column] == "DOUBLE":
                given[column] = f"({self.column(column)} * 2)"
            elif kind == 9:
                given[column] = f"coalesce({self.column(column)}, {literal})"
            else:
                given[column] = self.column(column)
        # Whole numbers may be given where any are taken; a category only as it is.
        way = self.number(0, 5)
        if way == 5 and all(column.isidentifier() for column in given):
            return f"{name}({', '.join(f'{column} := {sql}' for column, sql in given.items())})"
        if way == 4 and self._quote == '"':
            fields = ", ".join("'" + column.replace("'", "''") + f"': {sql}" for column, sql in given.items())
            return f"{name}({{{fields}}})"
        return f"{name}({', '.join(given.values())})"

    def predicate(self, depth: int = 2) -> str:
        """Draw a condition."""
        if depth and self.chance():
            one, other = self.predicate(depth - 1), self.predicate(depth - 1)
            return self.one(f"{one} AND {other}", f"({one} OR {other})", f"NOT ({one})", f"({one}) AND {other}")
        return self._on_call() if self.chance() else self._on_column()

    def _on_column(self) -> str:
        name = self.one(*self.columns())
        column, type_ = self.column(name), COLUMNS[PLACE_OF[name]][name]
        if self.chance(6):
            return self.one(f"{column} IS NULL", f"{column} IS NOT NULL")
        if type_ == "BOOLEAN":
            return self.one(column, f"NOT {column}", f"{column} = true", f"{column} IS NOT TRUE", f"{column} <> true")
        literal = (
            self.one(*_LITERALS[type_])
            if type_ != "VARCHAR"
            else _text(self.one(*_TEXTS.get(name, ["N001"]), "never seen"))
        )
        other = self.one(*_LITERALS[type_]) if type_ != "VARCHAR" else _text(self.one(*_TEXTS.get(name, ["N002"])))
        if type_ == "VARCHAR":
            return self.one(
                f"{column} = {literal}", f"{literal} = {column}", f"{column} IN ({literal}, {other})", f"{column} <> {literal}",
                f"{column} LIKE '%a%'", f"length({column}) > 1", f"{column} NOT IN ({literal}, {other})",
                f"upper({column}) = upper({literal})", f"{column} = {literal} OR {column} = {other}",
            )  # fmt: skip
        return self.one(
            f"{column} > {literal}", f"{column} <= {literal}", f"{literal} < {column}", f"{column} BETWEEN {literal} AND {other}",
            f"{column} = {literal}", f"abs({column}) > 3", f"{column} IN ({literal}, {other})", f"{column} >= {literal}",
            f"{column} NOT BETWEEN {literal} AND {other}", f"{column} < {literal}",
        )  # fmt: skip

    def _on_call(self) -> str:
        call = self.call(wanted=("label", "number"), total=True)
        if self.chance(6):
            return self.one(f"{call.text} IS NULL", f"{call.text} IS NOT NULL")
        if call.gives == "label":
            label, other = (_text(self.one(*call.classes, "nothing")) for _ in range(2))
            return self.one(
                f"{call.text} = {label}", f"{label} = {call.text}", f"{call.text} IN ({label}, {other})", f"{call.text} <> {label}",
                f"length({call.text}) > 3",
            )  # fmt: skip
        bound, other = self._bound(call), self._bound(call)
        return self.one(
            f"{call.text} > {bound}", f"{call.text} >= {bound}", f"{call.text} < {bound}", f"{bound} >= {call.text}",
            f"{call.text} BETWEEN {bound} AND {other}", f"{call.text} * 2 > {bound}",
        )  # fmt: skip

    def _bound(self, call: Call) -> str:
        """A number to compare a prediction with: one that a row has, or one beyond all."""
        if self.chance(5):
            return str(self.one("0.5", "0", "-1e3", "1.0", "2", "CAST('NaN' AS DOUBLE)"))
        held = sorted(
            {
                value
                for value in self._answers(f"SELECT {call.text} {self.tail()}")
                if value is not None and value == value
            }
        )
        assume(held)
        value = held[self.number(0, len(held) - 1)]
        if not call.exact:
            # A sum in another order may be on the other side of what it was.
            value += 1e-6 * (1 + abs(value))
        return str(self.one(f"{value!r}", f"{value:.17e}", f"CAST('{value!r}' AS DOUBLE)"))

    def tail(self, more: Sequence[str] = ()) -> str:
        """FROM and WHERE."""
        conditions = [*self._where, *more]
        return f"FROM {self._from}" + (f" WHERE {' AND '.join(conditions)}" if conditions else "")

    def item(self, *, groups: bool = False) -> str:
        """An item of a SELECT list."""
        call = self.call(wanted=("label", "number") if groups else ("label", "number", "map"), groups=groups)
        if self.chance(4) and call.gives != "map":
            return f"CASE WHEN {self.predicate(1)} THEN {call.text} END"
        return call.text

    def filtered(self) -> str:
        """FROM and WHERE, mostly with a condition."""
        return self.tail([self.predicate()] if self.chance(4) or not self.chance(4) else [])

    def statement(self) -> Drawn:
        """Draw a query."""
        shape = self.one(
            "plain", "plain", "group", "first", "distinct", "sets", "in", "nested", "aggregates", "windows", "star"
        )
        self._ctes = []
        self.sources()
        text, ordered = getattr(self, f"_{shape}")()
        ctes = f"WITH {', '.join(self._ctes)} " if self._ctes else ""
        return Drawn(f"{ctes}{text}", ordered, shape)

    def _plain(self) -> tuple[str, bool]:
        items = [self.item() for _ in range(self.number(1, 2))]
        return f"SELECT {', '.join([self.id(), *items])} {self.filtered()}", False

    def _star(self) -> tuple[str, bool]:
        star = self.one("*", *(f"{alias}.*" for alias in self._aliases.values()))
        return f"SELECT {star}, {self.item()} AS y {self.filtered()}", False

    def _group(self) -> tuple[str, bool]:
        call = self.call(wanted=("label", "number"), groups=True).text
        having = self.one("", " HAVING count(*) > 1", f" HAVING {call} IS NOT NULL")
        key = self.one(call, "y", "1")
        column = self.column(self.one(*self.columns()))
        return self.one(
            f"SELECT {call} AS y, count(*), min({column}) {self.filtered()} GROUP BY {key}{having}",
            f"SELECT {column}, count(*), max({call}) {self.filtered()} GROUP BY {column}",
            f"SELECT {column}, max({call}), count({call}) {self.filtered()} GROUP BY ROLLUP ({column})",
        ), False

    def _first(self) -> tuple[str, bool]:
        call = self.call(wanted=("label", "number")).text
        order = self.one("", " DESC", " ASC NULLS FIRST", " DESC NULLS FIRST", " ASC NULLS LAST", " DESC NULLS LAST")
        limit = f"LIMIT {self.number(0, 7)}" + self.one("", " OFFSET 2", "")
        key = self.one(call, "y")
        return f"SELECT {call} AS y {self.filtered()} ORDER BY {key}{order} {limit}", True

    def _distinct(self) -> tuple[str, bool]:
        return f"SELECT DISTINCT {self.item(groups=True)} AS y {self.filtered()}", False

    def _sets(self) -> tuple[str, bool]:
        word = self.one("UNION ALL", "UNION", "EXCEPT", "INTERSECT")
        call = self.call(wanted=("label",)).text
        column = self.column(self.one(*self.columns()))
        first = f"SELECT {column} AS c, {call} AS y {self.filtered()}"
        second = f"SELECT {column}, {call} {self.filtered()}"
        return f"{first} {word} {second}", False

    def _in(self) -> tuple[str, bool]:
        assume("facts" in self._aliases)
        call, inner = self.item(), self.filtered()
        word = self.one("IN", "NOT IN")
        return f"SELECT {self.id()}, {call} {self.tail([f'{self.id()} {word} (SELECT {self.id()} {inner})'])}", False

    def _nested(self) -> tuple[str, bool]:
        call = self.call(wanted=("number", "label"), total=True)
        one = _text(call.classes[0]) if call.gives == "label" else self._bound(call)
        test = self.one(f"y = {one}", f"y > {one}", "y IS NULL", f"NOT (y < {one})")
        column = self.column(self.one(*self.columns()))
        inner = f"SELECT {column} AS c, {call.text} AS y {self.filtered()}"
        test += self.one(
            "", " AND c IS NOT NULL", " AND (s.c IS NULL OR s.y IS NULL)", " AND coalesce(c, c) IS NOT NULL"
        )
        if self.chance():
            self._ctes.append(f"s AS ({inner})")
            return f"SELECT count(*), min(c) FROM s WHERE {test}", False
        return f"SELECT count(*), min(c) FROM ({inner}) AS s WHERE {test}", False

    def _aggregates(self) -> tuple[str, bool]:
        call = self.call(wanted=("number", "label"), groups=True).text
        return (
            f"SELECT count(*), count({call}), min({call}), sum(CASE WHEN {self.predicate(1)} THEN 1 ELSE 0 END) {self.filtered()}",
            False,
        )

    def _windows(self) -> tuple[str, bool]:
        assume("facts" in self._aliases and len(self._aliases) == 1)
        call = self.call(wanted=("number", "label"), groups=True).text
        over = f"OVER (PARTITION BY {self.column('carrier')} ORDER BY {call} DESC, {self.column('id')})"
        branch = f"CASE WHEN {self._on_column()} THEN max({call}) OVER () END"
        if self._qualify and self.chance():
            return f"SELECT {self.id()}, {call} {self.filtered()} QUALIFY row_number() {over} <= 2", False
        return f"SELECT {self.id()}, row_number() {over}, {branch} {self.filtered()}", False


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
