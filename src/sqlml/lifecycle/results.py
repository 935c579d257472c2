"""The answers of sqlml's own statements, as Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from sqlml.catalog.columns import table
from sqlml.lifecycle.information import FunctionInfo
from sqlml.query.calls import SUFFIX_OF


def functions(held: Sequence[FunctionInfo]) -> pa.Table:
    """SHOW FUNCTIONS: a row a function."""
    names = ("name", "arguments", "returns", "model", "version", "alias", "strategy", "comment")
    rows = [{**{name: getattr(one, name) for name in names}, "arguments": one.signature} for one in held]
    return _texts(names, rows)


def created(held: FunctionInfo) -> pa.Table:
    """CREATE FUNCTION: what was made, and what to know of it."""
    calls = ", ".join(held.name + SUFFIX_OF[o] for o in held.outputs)
    row = {
        "function": calls,
        "model": held.model,
        "version": held.version,
        "arguments": held.signature,
        "returns": held.returns,
        "note": "; ".join(held.requirements) or None,
    }
    return _texts(tuple(row), [row])


def dropped(name: str) -> pa.Table:
    """DROP FUNCTION."""
    return _texts(("dropped",), [{"dropped": name}])


def plan(text: str) -> pa.Table:
    """EXPLAIN PREDICT: a line a row."""
    return _texts(("plan",), [{"plan": line} for line in text.splitlines()])


def description(held: FunctionInfo) -> pa.Table:
    """DESCRIBE FUNCTION: a row an argument; then returns, classes, model, version, run, strategy, proof."""
    rows: list[dict[str, Any]] = []
    for argument in held.arguments:
        notes = [] if argument.required else ["may be absent"]
        notes.append(_null_note(held, argument.missing is not None))
        rows.append({"item": "argument", "name": argument.name, "value": argument.type, "note": "; ".join(notes)})
    proof = held.proof
    shown = (
        f"{proof.rows} rows compared with the model, {proof.label_mismatches} labels differ, "
        f"largest relative difference {proof.max_relative:.3g}"
        if proof
        else None
    )
    classes = None if held.classes is None else ", ".join(str(value) for value in held.classes)
    for item, value, note in (
        ("returns", held.returns, held.kind),
        ("classes", classes, None),
        ("label", held.label, None),
        ("model", held.model, held.reference),
        ("version", held.version, f"follows @{held.alias}" if held.alias else "pinned"),
        ("run", held.run_id, None),
        ("strategy", held.strategy, f"{held.reason}; {held.flavour}, stored as {held.format}"),
        ("proof", shown, None),
        ("on_null", held.on_null, None),
        ("requirements", "; ".join(held.requirements) or "as logged", None),
        ("comment", held.comment, None),
    ):
        rows.append({"item": item, "name": None, "value": value, "note": note})
    return _texts(("item", "name", "value", "note"), rows)


def _null_note(held: FunctionInfo, accepted: bool) -> str:
    if held.on_null == "error":
        return "NULL is an error"
    if held.on_null == "pass" or accepted:
        return "NULL goes to the model"
    return "NULL gives NULL"


def _texts(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> pa.Table:
    return table(rows, pa.schema([(name, pa.string()) for name in names]))
