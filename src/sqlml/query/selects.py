"""A SELECT's sources, the columns they have, and what its filters say of every row that is left."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from sqlml.query.rewriting import CALL, PART, Asked, Column, Facts, Given

Joined = Literal["from", "inner", "left", "other"]


@dataclass(frozen=True)
class Item:
    """One source of a SELECT: its alias, how it is joined, its node, and its columns by casefolded name.

    `named` says that it goes by the name of a CTE, which may be a table's, too.
    """

    alias: str
    joined: Joined
    node: exp.Expr
    join: exp.Join | None
    columns: Mapping[str, Column]
    named: bool = False

    @property
    def table(self) -> exp.Table | None:
        """The table, where it is one by name and nothing more."""
        node = self.node
        if self.named or not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            return None
        more = ("pivots", "sample", "version", "when", "joins", "laterals")
        return None if any(node.args.get(key) for key in more) else node


def name_of(table: exp.Table, dialect: str) -> str:
    """A table's name as SQL, without its alias."""
    return ".".join(part.sql(dialect) for part in table.parts)


def sources(select: exp.Select, facts: Facts) -> list[Item] | None:
    """The sources of a SELECT in order; None where one's columns can't be known."""
    first = select.args.get("from_")
    if first is None or select.args.get("laterals"):
        return None
    found = []
    ctes, recursive = _ctes(select)
    names = {cte.alias.casefold() for cte in ctes}
    for node, join in [(first.this, None), *((join.this, join) for join in select.args.get("joins") or ())]:
        if node.args.get("joins") or not isinstance(node, exp.Table | exp.Subquery) or not node.alias_or_name:
            return None
        columns = facts.columns(_probe(node, ctes, recursive, facts.dialect))
        if columns is None:
            return None
        by_name = {column.name.casefold(): column for column in columns}
        if len(by_name) != len(columns):
            return None
        named = isinstance(node, exp.Table) and len(node.parts) == 1 and node.name.casefold() in names
        found.append(Item(node.alias_or_name, _joined(join), node, join, by_name, named))
    aliases = [item.alias.casefold() for item in found]
    return found if len(set(aliases)) == len(aliases) else None


def _joined(join: exp.Join | None) -> Joined:
    if join is None:
        return "from"
    if join.args.get("method") or join.args.get("kind") not in (None, "", "INNER", "CROSS"):
        return "other"
    side = join.args.get("side")
    return "inner" if not side else "left" if side == "LEFT" else "other"


def _ctes(select: exp.Select) -> tuple[list[exp.Expr], bool]:
    """The CTEs that a SELECT can name, and whether one may be recursive."""
    found: list[exp.Expr] = []
    at: exp.Expr | None = select
    recursive, inside = False, None
    while at is not None:
        if isinstance(at, exp.CTE):
            inside = at
        elif (held := at.args.get("with_")) is not None:
            looped = bool(held.args.get("recursive"))
            every = held.expressions
            # What a CTE names is one before it, or a table.
            place = next((i for i, cte in enumerate(every) if cte is inside), len(every))
            found[:0] = every if looped else every[:place]
            recursive = recursive or looped
        at = at.parent
    return found, recursive


def _probe(node: exp.Expr, ctes: Sequence[exp.Expr], recursive: bool, dialect: str) -> str:
    """A query with an item's columns, in which calls of models are NULL."""
    if not ctes and isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        return f"SELECT * FROM {node.sql(dialect)}"
    query = exp.select("*").from_(node.copy())
    if ctes:
        query.set("with_", exp.With(expressions=[cte.copy() for cte in ctes], recursive=recursive))

    def harmless(held: exp.Expr) -> exp.Expr:
        if isinstance(held, exp.Placeholder | exp.Parameter):
            return exp.Null()
        return exp.Null() if isinstance(held, exp.Anonymous) and held.name.startswith(CALL) else held

    return query.transform(harmless, copy=False).sql(dialect, normalize_functions=False)


def columns_of(query: exp.Select, where: exp.Select, facts: Facts) -> Sequence[Column] | None:
    """The columns of a query that would stand where another one does; None where they can't be known."""
    ctes, recursive = _ctes(where)
    query.set("with_", None)
    return facts.columns(_probe(query.subquery("q"), ctes, recursive, facts.dialect))


_READS_BY_NAME = ("query", "query_table")
"""Functions of DuckDB that read what a text names."""


def cte_of(table: exp.Table, select: exp.Select) -> exp.CTE | None:
    """The CTE that a table of a SELECT is, where nothing else goes by its name or reads it."""
    ctes, recursive = _ctes(select)
    found = [cte for cte in ctes if cte.alias.casefold() == table.name.casefold()]
    named = [one for one in select.root().find_all(exp.Table) if one.name.casefold() == table.name.casefold()]
    if recursive or len(found) != 1 or len(named) != 1 or found[0].args.get("materialized") is not None:
        return None
    if any(node.name.casefold() in _READS_BY_NAME for node in select.root().find_all(exp.Anonymous)):
        return None
    return found[0] if isinstance(found[0], exp.CTE) else None


def is_plain(select: exp.Select, known: Container[str]) -> bool:
    """Whether each row of a SELECT is of one row of its sources, whatever the others are.

    A function that isn't `known` may be an aggregate, or a window.
    """
    clauses = ("distinct", "group", "having", "qualify", "limit", "offset", "windows", "sample", "with_")
    if any(select.args.get(key) for key in clauses):
        return False
    return not any(
        isinstance(node, exp.AggFunc | exp.Window | exp.UDTF | exp.Query | exp.Columns)
        or (isinstance(node, exp.Anonymous) and node.name not in known)
        for node in _list(select)
    )


def _list(select: exp.Select) -> Iterator[exp.Expr]:
    return (node for item in select.expressions for node in item.walk())


def owner(column: exp.Column, items: Sequence[Item]) -> Item | None:
    """The source that a column is of; None where that is not certain."""
    if column.args.get("db") or not isinstance(column.this, exp.Identifier):
        return None
    name, table = column.name.casefold(), column.table.casefold()
    found = [item for item in items if name in item.columns and (not table or item.alias.casefold() == table)]
    return found[0] if len(found) == 1 else None


def bare(node: exp.Expr) -> exp.Column | None:
    """The column that an expression is, in brackets or not."""
    node = node.unnest()
    return node if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier) else None


def columns_given(asked: Asked, node: exp.Expr, items: Sequence[Item]) -> Iterator[tuple[Given, exp.Column, Item]]:
    """The arguments of a call that are columns, and the sources that they are of."""
    for given, argument in zip(asked.arguments, node.expressions, strict=True):
        column = bare(argument)
        item = owner(column, items) if column is not None else None
        if column is not None and item is not None:
            yield given, column, item


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that are all true where a condition is."""
    if node is None:
        return
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from conjuncts(node.this)
        yield from conjuncts(node.expression)
    else:
        yield node


def where_of(select: exp.Select) -> exp.Expr | None:
    """The condition behind WHERE."""
    held = select.args.get("where")
    return held.this if held is not None else None


def kept_by(select: exp.Select, items: Sequence[Item]) -> list[exp.Expr]:
    """The conditions that are true of every row which the SELECT's other clauses see."""
    found = list(conjuncts(where_of(select)))
    if all(item.joined in ("from", "inner", "left") for item in items):
        for item in items:
            if item.joined == "inner" and item.join is not None:
                found += conjuncts(item.join.args.get("on"))
    return found


_UNSETTLED = (exp.Rand, exp.Randn, exp.Uuid, exp.TableSample, exp.Limit, exp.Fetch, exp.Offset)
_PASSES_OVER = (exp.Case, exp.If, exp.Or, exp.Coalesce)


def is_settled(select: exp.Select, items: Sequence[Item], known: Container[str], facts: Facts) -> bool:
    """Whether a SELECT's sources and filter, asked twice, give the same rows twice; `known` functions do."""
    # What a view computes may be drawn anew each time.
    named = [table for item in items for table in item.node.find_all(exp.Table)]
    if not all(isinstance(table.this, exp.Identifier) for table in named):
        return False
    if not all(facts.table(name_of(table, facts.dialect)).is_stored for table in named):
        return False
    where = where_of(select)
    parts = [where] if where is not None else []
    parts += [item.join.args["on"] for item in items if item.join is not None and item.join.args.get("on") is not None]
    parts += [item.node for item in items if item.table is None]
    if any(item.named for item in items):
        parts += _ctes(select)[0]
    # Of a function that isn't known nothing is.
    return not any(
        isinstance(node, _UNSETTLED) or (isinstance(node, exp.Anonymous) and node.name not in known)
        for part in parts
        for node in part.walk()
    )


def is_repeatable(call: exp.Expr, known: Container[str]) -> bool:
    """Whether a call, made twice for a row, is given the same twice; `known` functions answer the same."""
    return not any(
        isinstance(node, (*_UNSETTLED, exp.AggFunc, exp.Window, exp.Query))
        or (isinstance(node, exp.Anonymous) and node.name not in known)
        for argument in call.expressions
        for node in argument.walk()
    )


def is_passed_over(node: exp.Expr, select: exp.Select) -> bool:
    """Whether there may be rows that a SELECT sees, and an expression in it doesn't: it stands in a branch."""
    at = node.parent
    while at is not None and at is not select:
        if isinstance(at, _PASSES_OVER):
            return True
        at = at.parent
    return False


def selects(tree: exp.Expr) -> list[exp.Select]:
    """Every SELECT of a statement, the innermost first."""
    return list(tree.find_all(exp.Select))[::-1]


def select_of(node: exp.Expr) -> exp.Select | None:
    """The SELECT in whose clauses a node stands, not behind a subquery of FROM."""
    found = node.find_ancestor(exp.Select)
    return found if isinstance(found, exp.Select) else None


def groups_in_several_ways(select: exp.Select) -> bool:
    """Whether ROLLUP and the like make NULL of a column that is none in any row."""
    group = select.args.get("group")
    if group is None:
        return False
    kinds = ("rollup", "cube", "grouping_sets", "totals")
    return any(group.args.get(kind) for kind in kinds) or group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None


def has_star(select: exp.Select, alias: str) -> bool:
    """Whether a SELECT may name all columns of a source at once, in any of its clauses."""
    for star in select.find_all(exp.Star):
        holder = star.parent
        if isinstance(holder, exp.Count) or star.find_ancestor(exp.Select) is not select:
            continue
        table = holder.table.casefold() if isinstance(holder, exp.Column) else ""
        if not table or table == alias.casefold():
            return True
    return has_row(select, alias)


def has_row(select: exp.Select, alias: str) -> bool:
    """Whether a SELECT asks for columns by what they are like, or for a source's rows by its alias."""
    names = (column for column in select.find_all(exp.Column) if not column.table)
    return select.find(exp.Columns) is not None or any(column.name.casefold() == alias.casefold() for column in names)


def is_exact(node: exp.Expr, facts: Facts) -> bool:
    """Whether an expression is a column of a table whose values are DOUBLE, or become one without a loss."""
    column, select = bare(node), select_of(node)
    if column is None or select is None or not column.table:
        return False
    if column.name.startswith(PART):
        return True
    first = select.args.get("from_")
    for held in [*([first.this] if first is not None else []), *(join.this for join in select.args.get("joins") or ())]:
        if held.alias_or_name.casefold() != column.table.casefold():
            continue
        if isinstance(held, exp.Subquery) and isinstance(held.this, exp.Select) and held.this.args.get("from_"):
            # A dimension with the columns that were added to it.
            held = held.this.args["from_"].this
        if not isinstance(held, exp.Table) or not isinstance(held.this, exp.Identifier):
            return False
        columns = facts.columns(f"SELECT * FROM {held.sql(facts.dialect)}") or ()
        kinds = {one.name.casefold(): one.kind for one in columns}
        return kinds.get(column.name.casefold()) in ("small", "boolean", "float32", "float64")
    return False
