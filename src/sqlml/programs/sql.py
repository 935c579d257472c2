"""A Program as one scalar SQL expression, for DuckDB and for Spark.

A row is answered as `evaluate` answers it: NULL where an argument that the model needs is missing, an error where the
program refuses the row. Sums of weights may be added up in another order. DuckDB must compute as IEEE does, which its
setting `ieee_floating_point_ops` says, and which is the default.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlglot
from sqlglot import exp

from sqlml.programs.program import Head, Program, Ref
from sqlml.programs.sql_printer import Printer
from sqlml.programs.sql_terms import INFINITY, MOST_TEXT, Dialect, NoSql, Term, Writer, case, label, whole

__all__ = ["Dialect", "NoSql", "Shape", "sql_text", "to_sql"]

Shape = Literal["list", "map", "last"]
"""How probabilities are given: a list, a map by label, or the last one alone."""


def to_sql(
    program: Program,
    head: Head,
    columns: Sequence[exp.Expr | str],
    dialect: Dialect = "duckdb",
    labels: Sequence[Any] | None = None,
    *,
    shape: Shape = "list",
    required: Collection[int] | None = None,
    strict: bool = False,
) -> exp.Expr:
    """What `sql_text` gives, as an expression of sqlglot's."""
    text = sql_text(program, head, columns, dialect, labels, shape=shape, required=required, strict=strict)
    return sqlglot.parse_one(text, dialect=dialect)


def sql_text(
    program: Program,
    head: Head,
    columns: Sequence[exp.Expr | str],
    dialect: Dialect = "duckdb",
    labels: Sequence[Any] | None = None,
    *,
    shape: Shape = "list",
    required: Collection[int] | None = None,
    strict: bool = False,
) -> str:
    """One head of a program as the text of one expression.

    Args:
        program: what to print.
        head: which of its heads. A `value` of several columns is a list.
        columns: an expression for each of its inputs, in order, of the type DOUBLE or VARCHAR.
        dialect: whose SQL it is.
        labels: the classes. Without them a label is its place, as a DOUBLE.
        shape: how probabilities are given.
        required: the places of the inputs whose missing value makes the answer NULL; None for those without which no
            number is made: all that are used.
        strict: whether such a missing value is an error instead.

    Raises:
        NoSql: the program can't be one expression, or is too large for that.
    """
    given = [column if isinstance(column, str) else column.sql(dialect=dialect) for column in columns]
    refs = program.heads[head][-1:] if head == "probabilities" and shape == "last" else program.heads[head]
    wanted = range(len(given)) if required is None else required
    printer = Printer(program, given, dialect, frozenset(wanted))
    text = _guarded(printer, refs, _Answer(head, refs, labels, shape), strict=strict)
    if len(text) > MOST_TEXT:
        raise NoSql(f"an expression of {len(text)} characters")
    return text


@dataclass(frozen=True)
class _Answer:
    """How the columns of a head become the answer."""

    head: Head
    refs: Sequence[Ref]
    labels: Sequence[Any] | None
    shape: Shape

    def text(self, printer: Printer) -> str:
        """The answer of a row that gets one."""
        if self.head == "label":
            return self._label(printer.term(self.refs[0]), printer.writer)
        if self.shape == "last" or (self.head == "value" and len(self.refs) == 1):
            return whole(printer.term(self.refs[0])).text
        held = printer.columns(self.refs)
        if self.shape != "map" or self.head == "value":
            return held
        assert self.labels is not None
        return printer.writer.mapping([label(one, printer.writer.dialect) for one in self.labels], held)

    def _label(self, place: Term, writer: Writer) -> str:
        if self.labels is None:
            return whole(place).text
        shown = [label(one, writer.dialect) for one in self.labels]
        if len(shown) == 1:
            return shown[0]
        if place.test is not None:
            return case([(place.test, shown[1])], shown[0])
        position = place.position or f"(CAST({place.text} AS INTEGER) + 1)"
        return writer.item(writer.items(shown), position)


def _guarded(printer: Printer, refs: Sequence[Ref], answer: _Answer, *, strict: bool) -> str:
    """The answer behind the checks: behind one look at a weighted sum where that spares a look at each column."""
    checks = printer.checks(refs, strict=strict)
    if not checks:
        return answer.text(printer)
    outcomes = [(check.condition, check.error or "NULL") for check in checks]
    slow = case(outcomes, answer.text(printer))
    sums, spared = printer.most_telling(refs, checks)
    if sums is None:
        return slow
    left = [f"coalesce({check.condition}, FALSE) = FALSE" for check in checks if check not in spared]
    margin = printer.term(sums).text
    # Infinity and NaN are not below infinity, and NULL is not either.
    ready = " AND ".join([f"abs({margin}) < {INFINITY}", *left])
    assured = printer.knowing(sums, Term(margin, infinite=False))
    fast = answer.text(assured)
    if fast.count(margin) > 1:
        # DuckDB finds a common part of the condition and its outcome, but none within the outcome.
        held = printer.writer.variable()
        inner = printer.knowing(sums, Term(held, infinite=False))
        fast = printer.writer.bind(held, margin, answer.text(inner))
    return case([(ready, fast)], slow)
