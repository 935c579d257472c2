"""The audits of a prediction table, as its statement writes them: `between(risk, 0, 1)`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlml.errors import SyntaxMistake, UnknownOption, did_you_mean, quoted
from sqlml.query.reader import Reader

Value = str | int | float

_COUNT, _FRACTION = "a whole number", "a number from 0 to 1"

# The kinds of each one's arguments, as an error shows them; `...` is more of the kind before it.
_AUDITS: Mapping[str, tuple[str, ...]] = {
    "not_null": ("column",),
    "between": ("column", "number", "number"),
    "min_rows": (_COUNT,),
    "max_null_fraction": ("column", _FRACTION),
    "unique": ("column", "..."),
    "accepted_values": ("column", "value", "..."),
}


def read_audit(item: Reader) -> tuple[str, tuple[str, ...], tuple[Value, ...]]:
    """An audit's rule, columns and values.

    Args:
        item: all of the audit, and nothing behind it.

    Raises:
        SyntaxMistake: its arguments are not those of its rule.
        UnknownOption: there is no such rule.
    """
    tokens = list(item.tokens)
    rule = item.name("an audit such as not_null(column)").casefold()
    if rule not in _AUDITS:
        raise UnknownOption(
            statement=item.statement,
            what="audit",
            value=rule,
            valid=quoted(_AUDITS),
            suggestion=did_you_mean(rule, _AUDITS),
        )
    arguments = item.items()
    item.end()
    try:
        return rule, *_arguments(arguments, _AUDITS[rule])
    except SyntaxMistake:
        raise item.mistake(f"{rule}({', '.join(_AUDITS[rule])})", item.shown(tokens)) from None


def _arguments(arguments: list[Reader], kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Value, ...]]:
    if kinds[-1] == "...":
        kinds = kinds[:-1] + kinds[-2:-1] * (len(arguments) - len(kinds) + 1)
    columns: list[str] = []
    values: list[Value] = []
    for i, argument in enumerate(arguments):
        if i >= len(kinds):
            raise argument.fail("')'")
        if kinds[i] == "column":
            columns.append(argument.name("column"))
        else:
            values.append(_value(argument, kinds[i]))
        argument.end()
    if len(arguments) < len(kinds):
        raise arguments[-1].fail(kinds[len(arguments)])
    return tuple(columns), tuple(values)


def _value(reader: Reader, kind: str) -> Value:
    if kind == "value" and reader.has_string():
        return reader.string(kind)
    wrong = reader.fail(kind)
    written = reader.number(kind)
    number = int(written) if re.fullmatch(r"-?\d+", written) else float(written)
    is_count = isinstance(number, int) and number >= 0
    if (kind == _COUNT and not is_count) or (kind == _FRACTION and not 0 <= number <= 1):
        raise wrong
    return number
