"""The types that arguments and answers have, with their Arrow and SQL names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

Scalar = Literal["BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "TIMESTAMP"]

ARROW: dict[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "TIMESTAMP": pa.timestamp("us"),
}

NUMBERS = frozenset({"BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"})

Output = Literal["predict", "score", "proba", "probs"]
"""What one call asks of a model: its answer, P(last class), MAP(label -> P), or BigQuery's list of structs."""

NullPolicy = Literal["propagate", "pass", "error"]
NULL_POLICIES: tuple[NullPolicy, ...] = ("propagate", "pass", "error")
Native = Literal["auto", "off"]
Strategy = Literal["sql", "kernel", "jvm", "python"]
STRATEGIES: tuple[str, ...] = ("auto", "sql", "kernel", "jvm", "python")


@dataclass(frozen=True)
class Returns:
    """The type of a model's answer: a scalar, a list of one scalar type, or a struct of named scalars.

    Example:
        >>> Returns("scalar", (("value", "DOUBLE"),)).arrow
        DataType(double)
        >>> Returns("list", (("value", "BIGINT"),)).sql
        'BIGINT[]'
    """

    shape: Literal["scalar", "list", "struct"]
    fields: tuple[tuple[str, str], ...]

    @property
    def scalar(self) -> str:
        """The type of the scalar, or of the list's elements."""
        return self.fields[0][1]

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that a batch of answers has."""
        if self.shape == "struct":
            return pa.struct([pa.field(name, ARROW[type_]) for name, type_ in self.fields])
        inner = ARROW[self.scalar]
        return pa.list_(inner) if self.shape == "list" else inner

    @property
    def sql(self) -> str:
        """The type as DuckDB writes it, for people to read and for registering functions."""
        if self.shape == "struct":
            inner = ", ".join('"' + name.replace('"', '""') + f'" {type_}' for name, type_ in self.fields)
            return f"STRUCT({inner})"
        return f"{self.scalar}[]" if self.shape == "list" else self.scalar

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the catalog."""
        return {"shape": self.shape, "fields": [list(field) for field in self.fields]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Returns:
        """What `to_json` wrote."""
        return cls(data["shape"], tuple((name, type_) for name, type_ in data["fields"]))


def label_type(classes: Sequence[Any]) -> str:
    """The SQL type of a model's labels.

    Example:
        >>> label_type(["no", "yes"]), label_type([0, 1]), label_type([False, True])
        ('VARCHAR', 'BIGINT', 'BOOLEAN')
    """
    for type_, name in ((bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE")):
        if all(isinstance(label, type_) for label in classes):
            return name
    return "VARCHAR"


def output_type(output: Output, returns: Returns, classes: Sequence[Any] | None) -> tuple[pa.DataType, str]:
    """The Arrow and the SQL type of one output of a model.

    Example:
        >>> output_type("proba", Returns("scalar", (("label", "VARCHAR"),)), ["no", "yes"])[1]
        'MAP(VARCHAR, DOUBLE)'
    """
    if output == "predict":
        return returns.arrow, returns.sql
    if output == "score":
        return pa.float64(), "DOUBLE"
    label = label_type(classes or ())
    if output == "proba":
        return pa.map_(ARROW[label], pa.float64()), f"MAP({label}, DOUBLE)"
    struct = pa.struct([("label", ARROW[label]), ("prob", pa.float64())])
    return pa.list_(struct), f"STRUCT(label {label}, prob DOUBLE)[]"


def result_type(outputs: Sequence[Output], returns: Returns, classes: Sequence[Any] | None) -> tuple[pa.DataType, str]:
    """The Arrow and the SQL type of one output, or of several in a struct with a field each."""
    if len(outputs) == 1:
        return output_type(outputs[0], returns, classes)
    types = {output: output_type(output, returns, classes) for output in outputs}
    fields = ", ".join(f'"{output}" {sql}' for output, (_, sql) in types.items())
    return pa.struct([(output, arrow) for output, (arrow, _) in types.items()]), f"STRUCT({fields})"
