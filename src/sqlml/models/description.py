"""What is known of a model version once it was read: plain data that the catalog keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlml.types import Output, Returns, Strategy

Kind = Literal["classifier", "regressor", "clusterer", "other"]
Missing = Literal["nan", "none"]

# What log_model writes down beside a version's signature, as its metadata and tags.
LABEL_KEY = "sqlml.label"
CATEGORIES_KEY = "sqlml.categories"


@dataclass(frozen=True)
class Argument:
    """One input of a model, in signature order.

    `missing` is how the model wants a missing value (NaN, or None in a column of objects), and None where it
    refuses one. `categories` are the values of a pandas category column, where the library needs them. An argument
    that the model's answers don't depend on is not `used`: it is not read, and the model is given `neutral` for it.
    """

    name: str
    type: str
    required: bool = True
    missing: Missing | None = None
    categories: tuple[Any, ...] | None = None
    used: bool = True
    neutral: Any = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the catalog."""
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "missing": self.missing,
            "categories": None if self.categories is None else list(self.categories),
            "used": self.used,
            "neutral": self.neutral,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Argument:
        """What `to_json` wrote."""
        categories = None if data["categories"] is None else tuple(data["categories"])
        used, neutral = data.get("used", True), data.get("neutral")
        return cls(data["name"], data["type"], data["required"], data["missing"], categories, used, neutral)


@dataclass(frozen=True)
class Description:
    """A model version, described: how to load it, what it takes, what it gives.

    `feed` says what the library is given: one float64 matrix where that answers the same as a data frame, which
    is several times cheaper, else a pandas data frame. `classes` are in the order of `predict_proba`'s columns.
    `program` is the digest of the Program that was proved to answer as the model does, and it is `labelled` where it
    predicts the place of a class; `no_program` says why there
    is none. `strategies` are those that may answer, `refused` says of others why they may not, and
    `estimates` what a row costs by each, in nanoseconds.
    """

    model: str
    version: str
    run_id: str | None
    reader: str
    options: Mapping[str, Any]
    format: str
    flavour: str
    kind: Kind
    arguments: tuple[Argument, ...]
    returns: Returns
    classes: tuple[Any, ...] | None
    has_proba: bool
    label: str | None
    feed: Literal["matrix", "frame"]
    requirements: tuple[str, ...] = ()
    program: str | None = None
    labelled: bool = False
    no_program: str | None = None
    strategies: tuple[Strategy, ...] = ("python",)
    refused: Mapping[str, str] = field(default_factory=dict)
    estimates: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The version as people name it.

        Example: `delay_risk version 3`.
        """
        return f"{self.model} version {self.version}" if self.version else self.model

    @property
    def taken(self) -> tuple[Argument, ...]:
        """The arguments that are read."""
        return tuple(argument for argument in self.arguments if argument.used)

    def outputs(self) -> tuple[Output, ...]:
        """The outputs that this model has."""
        if not self.has_proba or self.classes is None:
            return ("predict",)
        binary: tuple[Output, ...] = ("score",) if len(self.classes) == 2 else ()
        return ("predict", *binary, "proba", "probs")

    def why_not(self, output: Output) -> str:
        """Why an output is missing, as the tail of a message."""
        if self.kind != "classifier" and self.classes is None:
            return f"its model is a {self.kind}" if self.kind != "other" else "its model gives no probabilities"
        if not self.has_proba:
            return "its model has no predict_proba"
        return f"its model has {len(self.classes or ())} classes, and a score is of two: use the probabilities"

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the catalog; `returns_sql` is there for its views."""
        return {
            "model": self.model,
            "version": self.version,
            "run_id": self.run_id,
            "reader": self.reader,
            "options": dict(self.options),
            "format": self.format,
            "flavour": self.flavour,
            "kind": self.kind,
            "arguments": [argument.to_json() for argument in self.arguments],
            "returns": self.returns.to_json(),
            "returns_sql": self.returns.sql,
            "classes": None if self.classes is None else list(self.classes),
            "has_proba": self.has_proba,
            "label": self.label,
            "feed": self.feed,
            "requirements": list(self.requirements),
            "program": self.program,
            "labelled": self.labelled,
            "no_program": self.no_program,
            "strategies": list(self.strategies),
            "refused": dict(self.refused),
            "estimates": dict(self.estimates),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Description:
        """What `to_json` wrote."""
        return cls(
            model=data["model"],
            version=data["version"],
            run_id=data["run_id"],
            reader=data["reader"],
            options=data["options"],
            format=data["format"],
            flavour=data["flavour"],
            kind=data["kind"],
            arguments=tuple(Argument.from_json(item) for item in data["arguments"]),
            returns=Returns.from_json(data["returns"]),
            classes=None if data["classes"] is None else tuple(data["classes"]),
            has_proba=data["has_proba"],
            label=data["label"],
            feed=data["feed"],
            requirements=tuple(data["requirements"]),
            program=data.get("program"),
            labelled=data.get("labelled", False),
            no_program=data.get("no_program"),
            strategies=tuple(data.get("strategies", ("python",))),
            refused=data.get("refused", {}),
            estimates=data.get("estimates", {}),
        )
