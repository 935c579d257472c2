"""Pieces of SQL text with what is known of their values, and how DuckDB and Spark write the same step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlglot import exp

Dialect = Literal["duckdb", "spark"]

MOST_TEXT = 200_000
"""Characters of the whole expression: reading it takes DuckDB longer than answering."""

DEEPEST = 200
"""Terms of a sum in a row."""

INFINITY, NAN = "CAST('inf' AS DOUBLE)", "CAST('nan' AS DOUBLE)"


class NoSql(Exception):
    """A program that can't or shouldn't be one SQL expression; says why.

    Example:
        >>> str(NoSql("a weighted median"))
        'a weighted median'
    """


@dataclass(frozen=True)
class Term:
    """An expression and what may become of it. A missing number is NULL or NaN, as the flags say."""

    text: str
    null: bool = False
    nan: bool = False
    infinite: bool = True
    test: str | None = None
    """The condition behind a 1 or 0; where it is not true, it may be false or NULL."""
    position: str | None = None
    """The same number plus 1, as an integer that is computed once."""

    @property
    def missing(self) -> bool:
        """Whether it may be a missing number."""
        return self.null or self.nan


def number(value: float) -> str:
    """A float64 as a DOUBLE literal that reads back to the same bits: without an exponent it would be a DECIMAL.

    Example:
        >>> number(0.1), number(-2.0), number(1e308), number(float("-inf"))
        ('0.1e0', '(-2.0e0)', '1e+308', "CAST('-inf' AS DOUBLE)")
    """
    if not math.isfinite(value):
        return NAN if math.isnan(value) else f"CAST('{value}' AS DOUBLE)"
    text = repr(float(value))
    text = text if "e" in text else text + "e0"
    return f"({text})" if text.startswith("-") else text


def constant(value: float) -> Term:
    """A number as a term."""
    return Term(number(value), nan=math.isnan(value), infinite=math.isinf(value))


def string(value: str, dialect: Dialect) -> str:
    """A text as a literal; raises NoSql for one that no literal can hold."""
    if "\0" in value:
        raise NoSql("a text with a zero byte")
    return exp.Literal.string(value).sql(dialect=dialect)


def quoted(name: str, dialect: Dialect) -> str:
    """A name as an identifier in quotes.

    Example:
        >>> quoted('a"b', "duckdb"), quoted("select", "spark")
        ('"a""b"', '`select`')
    """
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect)


def label(value: Any, dialect: Dialect) -> str:
    """A class as a literal of its own type.

    Example:
        >>> label("it's", "duckdb"), label(True, "spark"), label(3, "duckdb")
        ("'it''s'", 'TRUE', 'CAST(3 AS BIGINT)')
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"CAST({value} AS BIGINT)"
    return number(value) if isinstance(value, float) else string(str(value), dialect)


def missing(term: Term) -> str:
    """The condition that a term is a missing number; only for one that may be."""
    tests = [f"{term.text} IS NULL"] * term.null + [f"isnan({term.text})"] * term.nan
    return f"({' OR '.join(tests)})"


def whole(term: Term) -> Term:
    """A term in which a missing number is NaN and never NULL."""
    return replace(term, text=f"coalesce({term.text}, {NAN})", null=False, nan=True) if term.null else term


def case(branches: Sequence[tuple[str, str]], otherwise: str) -> str:
    """The first branch whose condition holds."""
    shown = " ".join(f"WHEN {condition} THEN {text}" for condition, text in branches)
    return f"CASE {shown} ELSE {otherwise} END" if branches else otherwise


def added(texts: Sequence[str], *, any_order: bool = False) -> str:
    """A sum from left to right; in any order it is made of shorter ones, for DuckDB nests no deeper than 1,000.

    Example:
        >>> added(["a", "b"])
        '(a + b)'
    """
    if len(texts) > DEEPEST and any_order:
        return added([added(texts[i : i + DEEPEST]) for i in range(0, len(texts), DEEPEST)], any_order=True)
    if len(texts) > 2 * DEEPEST:
        raise NoSql(f"a sum of {len(texts)}, which must be added up in order")
    return f"({' + '.join(texts)})"


def flag(test: str | None) -> Term:
    """1 where a condition holds, else 0; None never holds."""
    if test is None:
        return constant(0.0)
    return Term(f"CASE WHEN {test} THEN 1e0 ELSE 0e0 END", infinite=False, test=test)


def above(term: Term, bound: float, *, or_equal: bool = False) -> str | None:
    """The condition that a term is above a bound, which NaN is not: SQL takes it for the largest of all numbers."""
    if math.isnan(bound):
        return None
    test = f"{term.text} {'>=' if or_equal else '>'} {number(bound)}"
    return f"({test} AND {term.text} <= {INFINITY})" if term.nan else f"({test})"


class Writer:
    """How a dialect writes what the two don't write alike."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect: Dialect = dialect
        self._bound = 0

    def items(self, texts: Sequence[str]) -> str:
        """A list."""
        inner = ", ".join(texts)
        return f"[{inner}]" if self.dialect == "duckdb" else f"array({inner})"

    def item(self, held: str, position: str) -> str:
        """The element at a place that is counted from 1."""
        return f"list_extract({held}, {position})" if self.dialect == "duckdb" else f"element_at({held}, {position})"

    def each(self, held: str, variable: str, text: str) -> str:
        """A list of an expression over each element."""
        if self.dialect == "duckdb":
            return f"list_transform({held}, lambda {variable}: {text})"
        return f"transform({held}, {variable} -> {text})"

    def variable(self) -> str:
        """A name that no column has."""
        self._bound += 1
        return f"__sqlml_{self._bound}"

    def bind(self, variable: str, value: str, text: str) -> str:
        """An expression over a value that is computed once: a lambda over a list of one is SQL's only `let`."""
        return self.item(self.each(self.items([value]), variable, text), "1")

    def largest(self, held: str) -> str:
        """The largest of a list; NaN is larger than all."""
        return f"list_max({held})" if self.dialect == "duckdb" else f"array_max({held})"

    def total(self, held: str) -> str:
        """The sum of a list, from left to right."""
        if self.dialect == "duckdb":
            return f"list_sum({held})"
        return f"aggregate({held}, 0e0, (__sqlml_a, __sqlml_b) -> __sqlml_a + __sqlml_b)"

    def place(self, held: str, value: str) -> str:
        """The first place of a value, counted from 1."""
        name = "list_position" if self.dialect == "duckdb" else "array_position"
        return f"CAST({name}({held}, {value}) AS INTEGER)"

    def mapping(self, keys: Sequence[str], values: str) -> str:
        """A map of keys to a list's elements."""
        if self.dialect == "duckdb":
            return f"map({self.items(keys)}, {values})"
        return f"map_from_arrays({self.items(keys)}, {values})"

    def error(self, *parts: str) -> str:
        """Fail with a message put together from texts."""
        message = parts[0] if len(parts) == 1 else f"concat({', '.join(parts)})"
        return f"error({message})" if self.dialect == "duckdb" else f"raise_error({message})"

    def divided(self, left: str, right: str, *, zero: bool) -> str:
        """A quotient, in which Spark must be kept from dividing by 0: that is NULL or an error there."""
        if self.dialect == "duckdb" or not zero:
            return f"({left} / {right})"
        return f"CASE WHEN {right} = 0e0 THEN {left} * {INFINITY} ELSE {left} / {right} END"

    def logarithm(self, name: str, x: str) -> str:
        """ln, log2 or log10 as IEEE has it: Spark's is NULL at and below 0."""
        if self.dialect == "duckdb":
            return f"{name}({x})"
        return f"CASE WHEN {x} > 0e0 THEN {name}({x}) WHEN {x} = 0e0 THEN (-{INFINITY}) ELSE {x} * {NAN} END"

    def rint(self, x: str) -> str:
        """The nearest whole number, the even one of two."""
        return f"round_even({x}, 0)" if self.dialect == "duckdb" else f"rint({x})"


COMPARED: Mapping[str, str] = {"equal": "=", "greater": ">", "greater_equal": ">="}
