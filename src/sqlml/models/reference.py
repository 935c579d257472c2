"""Model references: `models:/name@alias`, `models:/name/3`, `runs:/run_id/path`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlml.errors import BadReference

_ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
_RUN = re.compile(r"runs:/(?P<run>[0-9A-Za-z]+)/(?P<path>.+)")


@dataclass(frozen=True)
class ModelReference:
    """Where a model is in the registry: by alias (which moves), by version, or by run (both pinned)."""

    text: str
    name: str | None = None
    alias: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelReference:
        """Read a reference.

        Raises:
            BadReference: the text is none of the three forms.

        Example:
            >>> ModelReference.parse("models:/delay_risk@champion").alias
            'champion'
            >>> ModelReference.parse("models:/delay_risk/3").version
            '3'
        """
        text = text.strip()
        if match := _ALIAS.fullmatch(text):
            return cls(text, name=match["name"], alias=match["alias"])
        if match := _VERSION.fullmatch(text):
            return cls(text, name=match["name"], version=str(int(match["version"])))
        if _RUN.fullmatch(text):
            return cls(text)
        raise BadReference(reference=text)

    @property
    def model(self) -> str:
        """The registered model's name; for a run, the reference itself."""
        return self.name or self.text
