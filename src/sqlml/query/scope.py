"""What a call can see: the FROM items of the SELECTs around it, and how to ask the engine for their columns."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import Token, exp
from sqlglot.errors import ParseError

from sqlml.query.text import is_word, tokenize

# It tells every user on standard error when it meets syntax that it doesn't know, which is no concern of theirs.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_OURS = "sqlml"
_WRITES = exp.Update | exp.Delete | exp.Merge
_FIRST_WORDS = ("select", "with", "from", "values", "insert", "create", "copy", "update", "delete", "merge", "pivot")


@dataclass(frozen=True)
class Source:
    """One item of a FROM clause: its alias, and a query that has its columns."""

    alias: str
    probe: str


@dataclass(frozen=True)
class Level:
    """The FROM clause of one SELECT. `merged` are columns that USING makes one; None where NATURAL merges all."""

    sources: tuple[Source, ...]
    merged: frozenset[str] | None


Scope = tuple[Level, ...]
"""From the innermost SELECT outwards."""


@functools.lru_cache(32)
def scopes(text: str, calls: tuple[int, ...], dialect: str) -> Mapping[int, Scope] | None:
    """The scope of each call, by the place in the text where the call's name starts; None if sqlglot can't parse it.

    What is missing from the answer is no call: a table or CTE of that name, with its columns behind it.
    """
    tree = _parse(text, tokenize(text, dialect) or [], dialect)
    if tree is None or tree.find(exp.Command):
        return None
    nodes = {
        node.meta["start"]: node
        for node in tree.walk()
        if isinstance(node, exp.Func) and node.meta.get("start") in calls
    }
    for node in nodes.values():
        node.meta[_OURS] = True
    return {start: _scope_of(node, dialect) for start, node in nodes.items()}


def _parse(text: str, tokens: Sequence[Token], dialect: str) -> exp.Expr | None:
    """The tree of a statement, without an EXPLAIN or PREPARE before it, every place in it being that in the text."""
    start = 0
    if tokens and is_word(tokens[0], "explain", "prepare", "summarize", "describe"):
        start = next((token.start for token in tokens[1:] if is_word(token, *_FIRST_WORDS)), 0)
    try:
        return sqlglot.parse_one(" " * start + text[start:], dialect=dialect)
    except (ParseError, RecursionError):
        return None


def _scope_of(node: exp.Expr, dialect: str) -> Scope:
    levels: list[Level] = []
    at: exp.Expr = node
    while (parent := at.parent) is not None:
        # The UPDATE in a MERGE's WHEN has no table of its own.
        if isinstance(parent, exp.Select) or (isinstance(parent, _WRITES) and parent.this is not None):
            levels.append(_level(parent, dialect))
        at = parent
    return tuple(levels)


def _level(select: exp.Expr, dialect: str) -> Level:
    items: list[exp.Expr] = []
    merged: set[str] | None = set()
    if isinstance(select, _WRITES):
        items.append(select.this)
    if isinstance(select, exp.Merge):
        items.append(select.args["using"])
    if (first := select.args.get("from_")) is not None:
        items.append(first.this)
        items.extend(_inner_joins(first.this))
    for join in select.args.get("joins") or ():
        if join.args.get("kind") in ("SEMI", "ANTI"):
            continue
        items.append(join.this)
        if join.args.get("method") == "NATURAL":
            merged = None
        elif merged is not None:
            merged |= {name.name.casefold() for name in join.args.get("using") or ()}
    sources = tuple(Source(item.alias_or_name, _probe(select, item, dialect)) for item in items)
    return Level(sources, None if merged is None else frozenset(merged))


def _inner_joins(item: exp.Expr) -> list[exp.Expr]:
    return [join.this for join in item.args.get("joins") or ()]


def _alone(select: exp.Expr, item: exp.Expr) -> exp.Select:
    """The item by itself; a lateral one, which may read those before it, behind them."""
    first = select.args.get("from_")
    if isinstance(item, exp.Lateral) and first is not None and item.alias:
        query = exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(item.alias, quoted=True)))
        query.set("from_", first.copy())
        joins = select.args.get("joins") or []
        place = next(i for i, join in enumerate(joins) if join.this is item)
        query.set("joins", [join.copy() for join in joins[: place + 1]])
        return query
    alone = item.copy()
    alone.set("joins", None)
    return exp.select("*").from_(alone)


def _probe(select: exp.Expr, item: exp.Expr, dialect: str) -> str:
    """A query for an item's columns: the item alone, with the CTEs that it may name.

    Calls of models and parameters are NULL there: only the columns' names matter, and nothing runs.
    """
    query = _alone(select, item)
    withs: list[exp.Expr] = []
    at: exp.Expr | None = select
    while at is not None:
        if (held := at.args.get("with_")) is not None:
            withs.insert(0, held)
        at = at.parent
    ctes = [cte.copy() for held in withs for cte in held.expressions]
    if ctes:
        recursive = any(held.args.get("recursive") for held in withs)
        query.set("with_", exp.With(expressions=ctes, recursive=recursive))

    def harmless(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder | exp.Parameter):
            return exp.Null()
        if isinstance(node, exp.Anonymous | exp.Predict) and node.meta.get(_OURS):
            return exp.Null()
        return node

    return query.transform(harmless).sql(dialect, normalize_functions=False)
