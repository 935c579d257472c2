"""What an engine knows of a query's tables, written down as it is asked: the same answers make the same rewrites."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlml.engines.engine import Engine
from sqlml.errors import EngineError
from sqlml.programs.prune import Domain
from sqlml.query.rewriting import Clause, Column, Known

Record = Mapping[tuple[str, ...], Any]
"""What was asked, and what was answered."""

_HINTS = ("domains", "distinct")
_MANY_TIMES = 2
"""A number of rows is still the same while it has not grown or shrunk so many times."""


class EngineFacts:
    """What the engine knows, asked once a statement; `record` is what was asked."""

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        self.record: dict[tuple[str, ...], Any] = {}
        self._engine = engine
        self._tables: dict[str, Known] = {}
        self._guarded: set[str] = set()

    def needed(self) -> Record:
        """What the rewrites stand on: statistics are no part of it where no query looks at them again."""
        return {
            question: answer
            for question, answer in self.record.items()
            if question[-1] not in _HINTS or question[1] in self._guarded
        }

    def holds(self, record: Record) -> bool:
        """Whether the engine would answer today what it has answered."""
        return all(_same(self._ask(question), answer) for question, answer in record.items())

    def columns(self, query: str) -> Sequence[Column] | None:
        """The columns of a query; None where it can't be bound."""
        found: Sequence[Column] | None = self._ask(("columns", query))
        return found

    def table(self, name: str) -> Known:
        """What is known of a table."""
        return _Table(self, name)

    def samples(self) -> bool:
        """Whether a query may ask a model about a sample of its rows first, in a subquery."""
        return self._engine.samples

    def plain_texts(self) -> bool:
        """Whether texts are equal only if they are the same."""
        return bool(self._ask(("plain_texts",)))

    def repeats(self) -> Collection[Clause]:
        """The clauses for which the engine runs a function again, and can be kept from it."""
        return self._engine.repeats

    def nulls_last(self, *, descending: bool) -> bool:
        """Whether NULL is the last in an order that doesn't say where it is."""
        return bool(self._ask(("nulls_last", "down" if descending else "up")))

    def known(self, name: str) -> Known:
        """The engine's own answer, which is not written down."""
        if name not in self._tables:
            self._tables[name] = self._engine.facts(name)
        return self._tables[name]

    def guard(self, name: str, domains: Mapping[str, Domain]) -> str | None:
        """A condition that is true while a table's columns are in these domains."""
        self._guarded.add(name)
        return self.known(name).guard(domains)

    def of_table(self, name: str, what: str) -> Any:
        """One thing that is known of a table."""
        return self._ask(("table", name, what))

    def _ask(self, question: tuple[str, ...]) -> Any:
        if question not in self.record:
            self.record[question] = self._answer(question)
        return self.record[question]

    def _answer(self, question: tuple[str, ...]) -> Any:
        match question:
            case ("columns", query):
                try:
                    return [Column(one.name, one.kind) for one in self._engine.columns(query)]
                except EngineError:
                    return None
            case ("table", name, what):
                return getattr(self.known(name), what)
            case ("nulls_last", way):
                return self._engine.orders_nulls_last(descending=way == "down")
        return self._engine.compares_texts_plainly()


class _Table:
    """A table's facts, each of which is written down when it is asked."""

    def __init__(self, facts: EngineFacts, name: str) -> None:
        self._facts = facts
        self._name = name

    @property
    def rows(self) -> int | None:
        found: int | None = self._facts.of_table(self._name, "rows")
        return found

    @property
    def unique(self) -> Collection[frozenset[str]]:
        found: Collection[frozenset[str]] = self._facts.of_table(self._name, "unique")
        return found

    @property
    def references(self) -> Collection[tuple[tuple[str, ...], str, tuple[str, ...]]]:
        found: Collection[tuple[tuple[str, ...], str, tuple[str, ...]]] = self._facts.of_table(self._name, "references")
        return found

    @property
    def domains(self) -> Mapping[str, Domain]:
        found: Mapping[str, Domain] = self._facts.of_table(self._name, "domains")
        return found

    @property
    def bounds(self) -> Mapping[str, Domain]:
        found: Mapping[str, Domain] = self._facts.of_table(self._name, "bounds")
        return found

    @property
    def is_stored(self) -> bool:
        return bool(self._facts.of_table(self._name, "is_stored"))

    @property
    def distinct(self) -> Mapping[str, int]:
        found: Mapping[str, int] = self._facts.of_table(self._name, "distinct")
        return found

    def guard(self, domains: Mapping[str, Domain]) -> str | None:
        return self._facts.guard(self._name, domains)


def _same(one: Any, two: Any) -> bool:
    """Whether two answers are as good as the same: numbers of rows and of values are estimates."""
    if isinstance(one, int) and isinstance(two, int) and not isinstance(one, bool):
        return max(one, two) <= _MANY_TIMES * max(1, min(one, two))
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return all(_same(value, two[key]) for key, value in one.items())
    return bool(one == two)
