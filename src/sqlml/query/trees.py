"""A statement as a tree that may be rewritten, and back; only where sqlglot writes back what it was given."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from sqlml.query.text import tokenize

_OPTIONAL = {"as", "inner", "outer", "asc", "cast", "all"}
"""Words that may stand or be left out, or that `::` and `DATE '...'` are written as."""
_SAME = {
    **{"!=": "<>", "==": "=", "len": "length", "pow": "power", "ifnull": "coalesce"},
    **{"int": "integer", "string": "varchar", "text": "varchar", "float8": "double"},
}
_SILENT = {TokenType.L_PAREN, TokenType.R_PAREN, TokenType.DCOLON, TokenType.SEMICOLON}


class Unreadable(Exception):
    """Why a statement is not rewritten."""


def tree_of(text: str, dialect: str, *, nulls_last: bool = False) -> exp.Expr:
    """The tree of a statement.

    Args:
        text: the statement.
        dialect: sqlglot's name of its SQL.
        nulls_last: whether NULLS LAST may be left out.

    Raises:
        Unreadable: sqlglot can't read it, or would write something else back.
    """
    try:
        tree = sqlglot.parse_one(text, dialect=dialect)
        other = _other_word(text, dialect, nulls_last=nulls_last)
    except (SqlglotError, RecursionError) as error:
        raise Unreadable("sqlglot can't read it") from error
    if query_of(tree) is None:
        raise Unreadable("it is no query")
    if other is not None:
        raise Unreadable(f"sqlglot would write '{other}' otherwise")
    return tree


@functools.lru_cache(maxsize=64)
def _other_word(text: str, dialect: str, *, nulls_last: bool) -> str | None:
    """A word that is lost, or added, where sqlglot writes a text back."""
    given, written = _words(text, dialect), _words(text_of(sqlglot.parse_one(text, dialect=dialect), dialect), dialect)
    for word in ("nulls", "last") if nulls_last and given["first"] == written["first"] else ():
        given.pop(word, None)
        written.pop(word, None)
    return next(iter([*(given - written), *(written - given)]), None)


def query_of(tree: exp.Expr) -> exp.Expr | None:
    """The query that a statement is, or writes the rows of; None where there is none."""
    if isinstance(tree, exp.Create | exp.Insert):
        tree = tree.expression
    return tree if isinstance(tree, exp.Query) else None


def has_parameters(tree: exp.Expr) -> bool:
    """Whether values are given with the statement when it runs."""
    return tree.find(exp.Placeholder, exp.Parameter) is not None


def is_query(text: str, dialect: str) -> bool:
    """Whether a text is one query, which writes nothing."""
    try:
        return isinstance(sqlglot.parse_one(text, dialect=dialect), exp.Query)
    except (SqlglotError, RecursionError):
        return False


def tables(tree: exp.Expr, dialect: str) -> list[str]:
    """The tables that a tree names, as SQL, each once; what it names itself is none."""
    own = {cte.alias.casefold() for cte in tree.find_all(exp.CTE)}
    found = [
        ".".join(part.sql(dialect) for part in table.parts)
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and (table.args.get("db") or table.name.casefold() not in own)
    ]
    return list(dict.fromkeys(found))


def called(tree: exp.Expr, names: Collection[str]) -> list[str]:
    """Which of these functions a tree calls."""
    return list(dict.fromkeys(node.name for node in tree.find_all(exp.Anonymous) if node.name in names))


def with_calls(
    tree: exp.Expr,
    names: Mapping[str, str],
    plainly: Callable[[str], bool],
    write: Callable[[str, Sequence[str]], str],
    argument: Callable[[exp.Expr, str], str],
    dialect: str,
) -> exp.Expr:
    """The tree with functions by other names; `write` gives such a call as SQL, unless it is `plainly` one.

    `argument` may make more of an argument's text.
    """

    def put(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Anonymous) or node.name not in names:
            return node
        name = names[node.name]
        if plainly(name):
            node.set("this", name)
            return node
        given = [argument(one, text_of(one.transform(put), dialect)) for one in node.expressions]
        return exp.Var(this=write(name, given))

    return tree.transform(put, copy=False)


def text_of(tree: exp.Expr, dialect: str) -> str:
    """A tree as SQL."""
    return tree.sql(dialect=dialect, normalize_functions=False, comments=False)


def _words(text: str, dialect: str) -> Counter[str]:
    """The words, numbers and signs of a text, without those that change nothing."""
    found: Counter[str] = Counter()
    for token in tokenize(text, dialect) or ():
        if token.token_type in _SILENT:
            continue
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            found[token.text] += 1
            continue
        # GROUP BY is one token.
        for word in token.text.casefold().split():
            if word not in _OPTIONAL:
                found[_SAME.get(word, word)] += 1
    return found
