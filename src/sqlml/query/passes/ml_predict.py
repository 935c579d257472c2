"""ML.PREDICT(MODEL f, TABLE t), BigQuery's table function, as a subquery with sqlml's own calls in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import Token, TokenType

from sqlml.errors import NoSuchOutput, NotAvailable, SyntaxMistake
from sqlml.query.text import closing, identifier, is_word, literal, parts, scalar_literal, span_of, tokenize

_ROW = "__sqlml_row"


@dataclass(frozen=True)
class Predicted:
    """What the pass must know of a model: its label column's name, its classes, and if it has probabilities."""

    function: str
    label: str
    classes: tuple[Any, ...] | None
    has_proba: bool


def expand_ml_predict(text: str, dialect: str, describe: Callable[[str], Predicted]) -> str:
    """Replace each ML.PREDICT in a statement; the rest of the text stays as it is.

    Args:
        text: one statement.
        dialect: sqlglot's name of the engine's SQL.
        describe: from a function's name, as written, to what is known of it.

    Raises:
        NotAvailable: another ML function.
        SyntaxMistake: the arguments are not a model and a table or query.
        NoSuchOutput: a threshold for a model that has no score.
    """
    while True:
        tokens = tokenize(text, dialect) or []
        places = [i for i in range(len(tokens) - 3) if _is_ml(tokens, i)]
        if not places:
            return text
        # The last one first: an inner one comes after the one that it stands in.
        at = places[-1]
        name = tokens[at + 2].text.upper()
        if name != "PREDICT":
            raise NotAvailable(what=f"ML.{name}", instead="ML.PREDICT is")
        end = closing(tokens, at + 3)
        if end is None:
            raise SyntaxMistake(statement="ML.PREDICT", expected="')'", found="the end of the statement")
        query = _query(text, list(parts(tokens[at + 4 : end])), describe, dialect)
        text = f"{text[: tokens[at].start]}({query}){text[tokens[end].end + 1 :]}"


def _is_ml(tokens: Sequence[Token], i: int) -> bool:
    return (
        is_word(tokens[i], "ml")
        and tokens[i + 1].token_type == TokenType.DOT
        and tokens[i + 3].token_type == TokenType.L_PAREN
        and (i == 0 or tokens[i - 1].token_type != TokenType.DOT)
    )


def _query(text: str, arguments: Sequence[Sequence[Token]], describe: Callable[[str], Predicted], dialect: str) -> str:
    if len(arguments) not in (2, 3):
        raise _mistake("MODEL name, then TABLE name or (query), then at most STRUCT(... AS threshold)", arguments[:1])
    model, table = arguments[0], arguments[1]
    if len(model) < 2 or not is_word(model[0], "model"):
        raise _mistake("MODEL and a function's name", [model])
    name = _model_name(text, model[1:])
    known = describe(name)
    if is_word(table[0], "table") and len(table) > 1:
        source = text[span_of(table[1:]).start : span_of(table[1:]).end]
    elif table[0].token_type == TokenType.L_PAREN:
        source = text[span_of(table).start : span_of(table).end]
    else:
        raise _mistake("TABLE and a table's name, or a query in brackets", [table])
    threshold = _threshold(text, arguments[2]) if len(arguments) == 3 else None
    quoted = literal(name, dialect)
    if threshold is None:
        label = f"predict({quoted}, {_ROW})"
    else:
        if known.classes is None or len(known.classes) != 2 or not known.has_proba:
            raise NoSuchOutput(function=name, output="threshold", reason="its model is no classifier of two classes")
        negative, positive = (scalar_literal(value, dialect) for value in known.classes)
        score = f"predict_score({quoted}, {_ROW})"
        label = f"CASE WHEN {score} >= {threshold} THEN {positive} WHEN {score} IS NOT NULL THEN {negative} END"
    columns = [f"{_ROW}.*", f"{label} AS {identifier(f'predicted_{known.label}', dialect)}"]
    if known.has_proba:
        columns.append(f"predict_probs({quoted}, {_ROW}) AS {identifier(f'predicted_{known.label}_probs', dialect)}")
    return f"SELECT {', '.join(columns)} FROM {source} AS {_ROW}"


def _model_name(text: str, tokens: Sequence[Token]) -> str:
    """`f`, "f@alias", `f/3` in backquotes, which the tokenizer gives as a quoted name or as loose characters."""
    if len(tokens) == 1:
        return str(tokens[0].text)
    return text[tokens[0].start : tokens[-1].end + 1].strip("`")


def _threshold(text: str, tokens: Sequence[Token]) -> str:
    shape = "STRUCT(a number AS threshold)"
    if len(tokens) < 5 or not is_word(tokens[0], "struct"):
        raise _mistake(shape, [tokens])
    number, inside = None, tokens[2:-1]
    for part in parts(inside):
        if len(part) != 3 or not is_word(part[1], "as") or part[0].token_type != TokenType.NUMBER:
            raise _mistake(shape, [part])
        if not is_word(part[2], "threshold"):
            raise NotAvailable(what=f"ML.PREDICT's option '{part[2].text}'", instead="it takes 'threshold'")
        number = part[0].text
    if number is None:
        raise _mistake(shape, [tokens])
    return str(number)


def _mistake(expected: str, found: Sequence[Sequence[Token]]) -> SyntaxMistake:
    shown = " ".join(token.text for token in found[0]) if found and found[0] else "nothing"
    return SyntaxMistake(statement="ML.PREDICT", expected=expected, found=f"'{shown}'")
