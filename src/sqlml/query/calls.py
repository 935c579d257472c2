"""The calls of models in a statement: which function, which output, and how its arguments are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import Token, TokenType

from sqlml.errors import MixedArguments, RepeatedArgument, SyntaxMistake
from sqlml.query.scope import Scope, scopes
from sqlml.query.statements import GENERIC
from sqlml.query.text import Span, closing, is_word, parts, span_of
from sqlml.types import Output

SUFFIXES: Mapping[str, Output] = {"": "predict", "_score": "score", "_proba": "proba"}
"""What follows a function's name, and the output that it asks for."""

SUFFIX_OF: Mapping[Output, str] = {output: suffix for suffix, output in SUFFIXES.items()}
"""The other way round: what follows the name of a function whose output is asked for."""


@dataclass(frozen=True)
class Star:
    """`*` or `t.*`, with columns left out (as table or None, and name), replaced by an expression, or renamed."""

    qualifier: str | None
    exclude: frozenset[tuple[str | None, str]] = frozenset()
    replace: Mapping[str, Span] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StructLiteral:
    """`{'a': 1, ...}`: fields by name."""

    fields: tuple[tuple[str, Span], ...]


@dataclass(frozen=True)
class Names:
    """`a := 1, b => 2`."""

    fields: tuple[tuple[str, Span], ...]


@dataclass(frozen=True)
class Positions:
    """Expressions in signature order; a single one may be a row. `path` is set where it is a bare dotted name."""

    expressions: tuple[Span, ...]
    path: tuple[str, ...] | None = None


_BEFORE_A_NAME = ("into", "table", "macro", "function", "view", "copy", "references")

Arguments = Star | StructLiteral | Names | Positions


@dataclass(frozen=True)
class Call:
    """One call. `target` is the name as written; in the generic form the text in quotes, with @alias or /version."""

    span: Span
    target: str
    output: Output
    generic: bool
    arguments: Arguments
    scope: Scope | None


def find_calls(
    text: str, tokens: Sequence[Token], functions: Mapping[str, tuple[str, Output]], dialect: str
) -> list[Call]:
    """Every call of a model in one statement, in the order of their starts (outer before inner).

    Args:
        text: the statement.
        tokens: its tokens.
        functions: for each casefolded SQL name (`f`, `f_score`, ...) its function and output.
        dialect: sqlglot's name of the engine's SQL.

    Raises:
        MixedArguments: names and positions in one call.
        RepeatedArgument: a name twice.
        SyntaxMistake: a generic call without a name in quotes.
    """
    candidates = [i for i in range(len(tokens) - 1) if _may_call(tokens, i, functions)]
    if not candidates:
        return []
    seen = scopes(text, tuple(tokens[i].start for i in candidates), dialect)
    if seen is not None:
        candidates = [i for i in candidates if tokens[i].start in seen]
    found = []
    for i in candidates:
        end = closing(tokens, i + 1)
        if end is None:
            continue
        call = _read(text, tokens, i, end, functions, seen.get(tokens[i].start) if seen else None)
        if call is not None:
            found.append(call)
    return found


def _may_call(tokens: Sequence[Token], i: int, functions: Mapping[str, tuple[str, Output]]) -> bool:
    token = tokens[i]
    name = token.text.casefold()
    if token.token_type == TokenType.STRING or tokens[i + 1].token_type != TokenType.L_PAREN:
        return False
    before = tokens[i - 1] if i > 0 else None
    if before is not None and (before.token_type == TokenType.DOT or is_word(before, *_BEFORE_A_NAME)):
        return False
    return name in functions or name in GENERIC


def _read(
    text: str,
    tokens: Sequence[Token],
    i: int,
    end: int,
    functions: Mapping[str, tuple[str, Output]],
    scope: Scope | None,
) -> Call | None:
    name = tokens[i].text.casefold()
    inside = list(parts(tokens[i + 2 : end]))
    span = Span(tokens[i].start, tokens[end].end + 1)
    if name in functions:
        function, output = functions[name]
        return Call(span, function, output, False, _arguments(text, function, inside), scope)
    if not inside or not inside[0] or inside[0][0].token_type != TokenType.STRING or len(inside[0]) != 1:
        raise SyntaxMistake(
            statement=f"{name}(...)",
            expected="a function's name in quotes first",
            found=f"'{text[inside[0][0].start : inside[0][-1].end + 1]}'" if inside and inside[0] else "nothing",
        )
    target = inside[0][0].text
    return Call(span, target, GENERIC[name], True, _arguments(text, target, inside[1:]), scope)


def _arguments(text: str, function: str, inside: Sequence[Sequence[Token]]) -> Arguments:
    inside = [part for part in inside if part]
    named = [part for part in inside if _is_named(part)]
    if named:
        if len(named) != len(inside):
            raise MixedArguments(function=function)
        return Names(_unique(function, [(part[0].text, span_of(part[2:])) for part in named]))
    if len(inside) == 1:
        only = inside[0]
        if (star := _star(function, only)) is not None:
            return star
        if only[0].token_type == TokenType.L_BRACE and closing(only, 0) == len(only) - 1:
            return StructLiteral(_struct_fields(function, only[1:-1]))
        return Positions((span_of(only),), _path(only))
    return Positions(tuple(span_of(part) for part in inside))


def _is_named(part: Sequence[Token]) -> bool:
    return len(part) > 2 and part[1].token_type in (TokenType.COLON_EQ, TokenType.FARROW)


def _unique(function: str, fields: Sequence[tuple[str, Span]]) -> tuple[tuple[str, Span], ...]:
    seen: set[str] = set()
    for name, _ in fields:
        if name in seen:
            raise RepeatedArgument(function=function, name=name)
        seen.add(name)
    return tuple(fields)


def _struct_fields(function: str, tokens: Sequence[Token]) -> tuple[tuple[str, Span], ...]:
    fields = []
    for part in parts(tokens):
        if len(part) < 3 or part[1].token_type != TokenType.COLON:
            raise SyntaxMistake(
                statement=f"{function}({{...}})", expected="fields as 'name': value", found=f"'{part[0].text}'"
            )
        fields.append((part[0].text, span_of(part[2:])))
    return _unique(function, fields)


def _path(part: Sequence[Token]) -> tuple[str, ...] | None:
    """The names of `t`, `s.t` or `"my row"`; None for any other expression."""
    names = part[::2]
    dots = part[1::2]
    if len(part) % 2 == 0 or any(dot.token_type != TokenType.DOT for dot in dots):
        return None
    if any(
        token.token_type in (TokenType.STRING, TokenType.NUMBER, TokenType.STAR, TokenType.PLACEHOLDER, TokenType.NULL)
        or not (token.token_type == TokenType.IDENTIFIER or token.text.isidentifier())
        for token in names
    ):
        return None
    return tuple(token.text for token in names)


def _star(function: str, part: Sequence[Token]) -> Star | None:
    at = next((i for i, token in enumerate(part[:8]) if token.token_type == TokenType.STAR), None)
    if at is None or (at > 0 and (part[at - 1].token_type != TokenType.DOT or _path(part[: at - 1]) is None)):
        return None
    qualifier = None if at == 0 else part[at - 2].text
    rest = part[at + 1 :]
    exclude: set[tuple[str | None, str]] = set()
    replace: dict[str, Span] = {}
    rename: dict[str, str] = {}
    while rest:
        clause, items, rest = _clause(function, rest)
        for item in items:
            # `EXCLUDE a`, `EXCLUDE (t.a)`, `REPLACE (expression AS a)`, `RENAME (a AS b)`.
            if clause in ("exclude", "except"):
                path = [token.text.casefold() for token in item[::2]]
                exclude.add((path[-2] if len(path) > 1 else None, path[-1]))
            elif len(item) > 2 and is_word(item[-2], "as"):
                if clause == "replace":
                    replace[item[-1].text.casefold()] = span_of(item[:-2])
                else:
                    rename[item[0].text.casefold()] = item[-1].text
            else:
                raise _bad_star(function, item)
    return Star(qualifier, frozenset(exclude), replace, rename)


def _clause(function: str, tokens: Sequence[Token]) -> tuple[str, list[Sequence[Token]], Sequence[Token]]:
    if not is_word(tokens[0], "exclude", "except", "replace", "rename") or len(tokens) < 2:
        raise _bad_star(function, tokens)
    clause = tokens[0].text.casefold()
    if tokens[1].token_type != TokenType.L_PAREN:
        upto = next((i for i in range(2, len(tokens)) if is_word(tokens[i], "replace", "rename")), len(tokens))
        return clause, [tokens[1:upto]], tokens[upto:]
    end = closing(tokens, 1)
    if end is None:
        raise _bad_star(function, tokens)
    return clause, list(parts(tokens[2:end])), tokens[end + 1 :]


def _bad_star(function: str, tokens: Sequence[Token]) -> SyntaxMistake:
    return SyntaxMistake(
        statement=f"{function}(* ...)",
        expected="EXCLUDE (...), REPLACE (... AS name) or RENAME (name AS other)",
        found=f"'{tokens[0].text}'",
    )
