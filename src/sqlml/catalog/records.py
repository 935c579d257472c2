"""What the catalog holds, as values that never change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlml.errors import UnknownFunction, did_you_mean


class LazyJson(Mapping[str, Any]):
    """A JSON object that is parsed when it is first looked into: a query needs one version of the hundreds kept.

    Example:
        >>> LazyJson('{"kind": "regressor"}')["kind"]
        'regressor'
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self._text)
        return data

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return repr(self._data)


@dataclass(frozen=True)
class Function:
    """A SQL name and the model version that answers under it.

    `alias` is the alias it follows, and `file` the project's file that declares it, if any.
    """

    name: str
    reference: str
    alias: str | None
    on_null: str
    strategy: str
    comment: str | None
    version_id: int
    created_at: datetime
    updated_at: datetime
    file: str | None = None


@dataclass(frozen=True)
class Version:
    """One model version as it was found: `digest` is the sha256 of `manifest`, which is relative path -> sha256.

    A run's model has no registered name: `model` is then its 'runs:/...' reference, and `version` is ''.
    """

    id: int
    model: str
    version: str
    run_id: str | None
    registry: str
    digest: str
    manifest: Mapping[str, str]
    description: Mapping[str, Any]
    created_at: datetime

    @property
    def uri(self) -> str:
        """What names just this version in its registry."""
        return f"models:/{self.model}/{self.version}" if self.version else self.model


@dataclass(frozen=True)
class Proof:
    """What one strategy of a version was compared on, how far off it was, and whether it may answer."""

    strategy: str
    rows: int
    label_mismatches: int
    max_absolute: float
    max_relative: float
    seconds: float
    accepted: bool
    reason: str | None


@dataclass(frozen=True)
class Snapshot:
    """The whole catalog at one revision. Functions are keyed by casefolded name, versions by id."""

    revision: int
    functions: Mapping[str, Function]
    versions: Mapping[int, Version]
    aliases: Mapping[tuple[str, str], int]

    def function(self, name: str) -> Function:
        """The function of that name, in any case.

        Raises:
            UnknownFunction: there is none, with the nearest name.

        Example:
            >>> Snapshot(0, {}, {}, {}).function("risk")
            Traceback (most recent call last):
            sqlml.errors.UnknownFunction: No function is named 'risk'.
        """
        found = self.functions.get(name.casefold())
        if found is None:
            names = (function.name for function in self.functions.values())
            raise UnknownFunction(name=name, suggestion=did_you_mean(name, names))
        return found

    def version_named(self, model: str, version: str) -> Version | None:
        """The version the catalog knows by that name; where its files have changed meanwhile, the last it saw."""
        same = [row for row in self.versions.values() if row.model == model and row.version == version]
        return max(same, key=lambda row: row.id, default=None)
