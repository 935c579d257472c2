"""A version in a form that travels: what another process needs to answer as this one does, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlml.types import NullPolicy, Strategy


@dataclass(frozen=True)
class Artifact:
    """A model's files: where they lie here, and what they must be wherever they are unpacked."""

    folder: Path
    digest: str
    manifest: Mapping[str, str]
    trusted: bool


@dataclass(frozen=True)
class Portable:
    """A function at one version. `program` is the file that `sqlml.programs.store` wrote, None for a model alone.

    `artifact` is the model itself, None where its program answers every row. A function that was derived from a
    version's has that as its `origin`, and `derived` says how.
    """

    function: str
    key: str
    description: str
    on_null: NullPolicy
    strategy: Strategy
    program: bytes | None
    artifact: Artifact | None
    origin: Portable | None = None
    derived: str | None = None
