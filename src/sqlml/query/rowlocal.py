"""Whether a query answers each row by itself, so that parts of a table, or large batches, may be asked apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

SOURCE = "__sqlml_source"

_SAME_IN_BOTH: tuple[type[exp.Expr], ...] = (
    *(exp.Select, exp.From, exp.Table, exp.TableAlias, exp.Where, exp.Alias, exp.Identifier, exp.Column, exp.Star),
    *(exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or, exp.Is, exp.In, exp.Between),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Add, exp.Sub, exp.Mul, exp.Coalesce, exp.Case, exp.If),
    *(exp.Dot, exp.Anonymous),
)
"""What DuckDB and Spark make the same of, where the numbers are DOUBLE or whole."""


@dataclass(frozen=True)
class RowLocal:
    """A query over one table: the table as it is written, and DuckDB's text of the query over `SOURCE`."""

    table: str
    text: str


class NotRowLocal(Exception):
    """Why a query is none."""


def row_local(text: str, dialect: str, functions: Collection[str]) -> RowLocal:
    """A query as one over any part of its table.

    Args:
        text: what the engine gets, with the hidden names of functions.
        dialect: sqlglot's name of its SQL.
        functions: those names.

    Raises:
        NotRowLocal: it isn't one, or holds what the two engines may see differently.
    """
    tree = _select(text, dialect, _ACROSS)
    source = tree.args.get("from_")
    if source is None or not isinstance(source.this, exp.Table):
        raise NotRowLocal("it is not over one table")
    table = source.this
    for node in tree.walk():
        if node is not tree and isinstance(node, exp.Query):
            raise NotRowLocal("it has a subquery")
        if not isinstance(node, _SAME_IN_BOTH):
            raise NotRowLocal(f"the engines may differ in {node.key.upper()}")
        if isinstance(node, exp.Anonymous) and node.name.casefold() not in functions:
            raise NotRowLocal(f"it calls {node.name}")
    for part in ("joins", "pivots", "sample", "version", "when"):
        if table.args.get(part):
            raise NotRowLocal("its table is more than a table")
    bare = table.copy()
    bare.set("alias", None)
    alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
    table.replace(exp.Table(this=exp.to_identifier(SOURCE), alias=alias))
    return RowLocal(bare.sql(dialect=dialect), tree.sql(dialect="duckdb", normalize_functions=False))


@dataclass(frozen=True)
class Batched:
    """A query whose calls are left to whoever reads its rows: `calls` are, by the place of a column, a function's name.

    Such a column of `text` is a struct of the function's arguments in order; `names` are those of all the columns.
    """

    text: str
    names: tuple[str, ...]
    calls: Mapping[int, str]


def batched(text: str, dialect: str, functions: Collection[str]) -> Batched:
    """A query without its calls of some functions, each of which is an item of its SELECT list.

    Raises:
        NotRowLocal: a call stands elsewhere, or rows are put together or apart by an answer.
    """
    tree = _select(text, dialect, ("group", "having", "qualify", "distinct", "order"))
    names, calls, items = [], {}, []
    for place, item in enumerate(tree.expressions):
        call = item.unalias()
        if isinstance(call, exp.Anonymous) and call.name.casefold() in functions:
            calls[place] = call.name
            fields = [
                exp.PropertyEQ(this=exp.to_identifier(f"a{i}"), expression=one)
                for i, one in enumerate(call.expressions)
            ]
            item = exp.Struct(expressions=fields)
        elif item.is_star:
            raise NotRowLocal("it has a star")
        names.append(tree.expressions[place].alias_or_name or f"c{place}")
        items.append(exp.alias_(item.unalias(), f"c{place}", quoted=True))
    tree.set("expressions", items)
    if any(node.name.casefold() in functions for node in tree.find_all(exp.Anonymous)):
        raise NotRowLocal("a call stands inside an expression")
    return Batched(tree.sql(dialect=dialect, normalize_functions=False), tuple(names), calls)


def _select(text: str, dialect: str, without: Iterable[str]) -> exp.Select:
    """The query's tree, which has none of those clauses."""
    try:
        tree = sqlglot.parse_one(text, dialect=dialect)
    except SqlglotError as error:
        raise NotRowLocal("it can't be read") from error
    if not isinstance(tree, exp.Select):
        raise NotRowLocal("it is no SELECT")
    for key in without:
        if tree.args.get(key):
            raise NotRowLocal(f"it has {_ACROSS[key]}")
    return tree


_ACROSS = {
    "with_": "a WITH",
    "joins": "a join",
    "laterals": "a lateral view",
    "group": "a GROUP BY",
    "having": "a HAVING",
    "windows": "a window",
    "qualify": "a QUALIFY",
    "distinct": "a DISTINCT",
    "order": "an ORDER BY",
    "limit": "a LIMIT",
    "offset": "an OFFSET",
    "cluster": "a CLUSTER BY",
    "distribute": "a DISTRIBUTE BY",
    "sort": "a SORT BY",
    "sample": "a sample",
}
