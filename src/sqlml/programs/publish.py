"""Statements that put a function into an engine for good: macros of a DuckDB file, SQL functions of Spark.

What they make needs nothing of this package. Two things SQL can't do: each argument is written as often as the
expression names it, so that `f(random())` draws several numbers; and a DECIMAL of more digits than a DOUBLE holds is
rounded in silence, where a text that is no number, or a part of a number for a whole one, is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlml.programs.program import Head, Program
from sqlml.programs.sql import sql_text
from sqlml.programs.sql_terms import Dialect, NoSql, Writer, case, number, quoted, string

Published = Literal["predict", "score", "proba"]

SUFFIXES: Mapping[Published, str] = {"predict": "", "score": "_score", "proba": "_proba"}
"""What follows the function's name."""

WHOLE: Mapping[str, int] = {"INTEGER": 2**31, "BIGINT": 2**63}
"""Types of whole numbers, with the first that is too large."""
FRACTIONS = ("FLOAT", "DOUBLE", "BOOLEAN")
_SPARK_TYPES: Mapping[str, str] = {"VARCHAR": "STRING"}


@dataclass(frozen=True)
class Publication:
    """A function to put into an engine.

    `arguments` are names with SQL types, in the order of the program's inputs; `required` the places of those without
    which the answer is NULL (None: all), or an error where `strict`. `returns` is the type of `predict`.
    """

    function: str
    arguments: Sequence[tuple[str, str]]
    program: Program
    outputs: Sequence[Published]
    returns: str = "DOUBLE"
    labels: Sequence[Any] | None = None
    label_type: str = "VARCHAR"
    required: frozenset[int] | None = None
    strict: bool = False


def duckdb_statements(publication: Publication) -> list[str]:
    """The persistent macros, one a statement: each takes the arguments, and a row where there are several.

    Raises:
        NoSql: the program, or the arguments' names or types, can't be in a macro.
    """
    _refuse_alike(publication)
    names = [quoted(name, "duckdb") for name, _ in publication.arguments]
    statements = []
    for output in publication.outputs:
        function = quoted(publication.function + SUFFIXES[output], "duckdb")
        overloads = [f"({', '.join(names)}) AS {macro_body(publication, output, names, 'duckdb')}"]
        if len(names) > 1:
            # A macro of one argument and one of a row can't be told apart.
            fields = [f"struct_extract(__sqlml_row, {string(name, 'duckdb')})" for name, _ in publication.arguments]
            overloads.append(f"(__sqlml_row) AS {macro_body(publication, output, fields, 'duckdb')}")
        statements.append(f"CREATE OR REPLACE MACRO {function}{', '.join(overloads)}")
    return statements


def spark_statements(publication: Publication) -> list[str]:
    """The SQL functions, one a statement; Spark has no function that takes a row by name.

    Raises:
        NoSql: the program, or the arguments' names or types, can't be in a function.
    """
    _refuse_alike(publication)
    names = [quoted(name, "spark") for name, _ in publication.arguments]
    return [
        f"CREATE OR REPLACE FUNCTION {quoted(publication.function + SUFFIXES[output], 'spark')}"
        f"({spark_parameters(publication, names)}) "
        f"RETURNS {_spark_type(_type(publication, output))} "
        f"RETURN {macro_body(publication, output, names, 'spark')}"
        for output in publication.outputs
    ]


def spark_parameters(publication: Publication, names: Sequence[str]) -> str:
    """The parameters of a SQL function of Spark, by their quoted names.

    Spark casts an argument to the declared type before the function sees it: 1.5 would be 1 for a BIGINT.
    """
    types = ("STRING" if type_ == "VARCHAR" else "DOUBLE" for _, type_ in publication.arguments)
    return ", ".join(f"{name} {type_}" for name, type_ in zip(names, types, strict=True))


def macro_body(publication: Publication, output: Published, given: Sequence[str], dialect: Dialect) -> str:
    """One output over argument expressions, behind the checks that casts don't make."""
    casts = [_cast(text, type_, dialect) for text, (_, type_) in zip(given, publication.arguments, strict=True)]
    head: Head = "probabilities"
    if output == "predict":
        head = "label" if "label" in publication.program.heads else "value"
    text = sql_text(
        publication.program,
        head,
        casts,
        dialect,
        publication.labels,
        shape="last" if output == "score" else "map",
        required=publication.required,
        strict=publication.strict,
    )
    if head == "value" and publication.returns != "DOUBLE":
        returns = _spark_type(publication.returns) if dialect == "spark" else publication.returns
        text = f"CAST({text} AS {returns})"
    wrong = [
        check
        for place in publication.program.used
        if (check := _not_whole(casts[place], *publication.arguments[place], dialect)) is not None
    ]
    return case(wrong, text)


def _cast(text: str, type_: str, dialect: Dialect) -> str:
    if type_ == "VARCHAR":
        return f"CAST({text} AS {'VARCHAR' if dialect == 'duckdb' else 'STRING'})"
    if type_ not in (*FRACTIONS, *WHOLE):
        raise NoSql(f"an argument of the type {type_}")
    if type_ == "FLOAT":
        return f"CAST(CAST(CAST({text} AS DOUBLE) AS FLOAT) AS DOUBLE)"
    return f"CAST({text} AS DOUBLE)"


def _not_whole(text: str, name: str, type_: str, dialect: Dialect) -> tuple[str, str] | None:
    """The condition that a number isn't one of a type of whole ones, and the error that it is."""
    if type_ == "BOOLEAN":
        wrong = f"({text} NOT IN (0e0, 1e0) AND NOT isnan({text}))"
    elif type_ in WHOLE:
        least, end = number(-WHOLE[type_]), number(WHOLE[type_])
        # NaN equals itself, and is the largest of all numbers.
        wrong = f"({text} <> floor({text}) OR {text} < {least} OR ({text} >= {end} AND NOT isnan({text})))"
    else:
        return None
    writer = Writer(dialect)
    begins = string(f"The argument '{name}' takes {type_}, and got ", dialect)
    return wrong, writer.error(begins, f"CAST({text} AS STRING)")


def _type(publication: Publication, output: Published) -> str:
    if output == "predict":
        return publication.label_type if "label" in publication.program.heads else publication.returns
    return "DOUBLE" if output == "score" else f"MAP({publication.label_type}, DOUBLE)"


def _spark_type(type_: str) -> str:
    if type_.endswith("[]"):
        return f"ARRAY<{_spark_type(type_[:-2])}>"
    if type_.startswith("MAP("):
        key, value = type_[4:-1].split(", ")
        return f"MAP<{_spark_type(key)}, {_spark_type(value)}>"
    return _SPARK_TYPES.get(type_, type_)


def _refuse_alike(publication: Publication) -> None:
    names = [name.casefold() for name, _ in publication.arguments]
    if len(set(names)) < len(names):
        raise NoSql("two arguments whose names differ only in case")
