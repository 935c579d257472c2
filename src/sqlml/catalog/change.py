"""What a project's files would change in the catalog, as data: planned, printed, then done."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["create", "change", "sync", "moved", "removed", "unchanged"]
"""`sync` is a function whose alias points to another version, `moved` a table whose functions answer with another."""


@dataclass(frozen=True)
class Difference:
    """One thing that a declaration says, before and after; None: nothing was said of it."""

    what: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.what == "query":
            return "query"
        return f"{self.what}: {self.before or 'none'} -> {self.after or 'none'}"

    @property
    def diff(self) -> str:
        r"""The lines that differ, as `diff -u` has them.

        Example:
            >>> print(Difference("query", "SELECT 1\nFROM t", "SELECT 2\nFROM t").diff)
            -SELECT 1
            +SELECT 2
             FROM t
        """
        lines = difflib.unified_diff(
            (self.before or "").splitlines(), (self.after or "").splitlines(), lineterm="", n=2
        )
        return "\n".join(line for i, line in enumerate(lines) if i > 1 and not line.startswith("@@"))


@dataclass(frozen=True)
class Change:
    """What one declaration does to the catalog, or that none is left of what a file declared before.

    Attributes:
        file: below the project folder.
        differences: of what is there already.
        means: what follows, in a few words each.
    """

    kind: Literal["function", "table"]
    action: Action
    name: str
    file: str | None
    differences: tuple[Difference, ...] = ()
    means: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """What differs, and what follows, a line each."""
        return [*map(str, self.differences), *self.means]

    @property
    def detail(self) -> str:
        """The same on one line."""
        return "; ".join(self.lines)

    @property
    def diff(self) -> str:
        """Of a query that differs, the lines that do."""
        return next((one.diff for one in self.differences if one.what == "query"), "")

    def to_json(self) -> Mapping[str, Any]:
        """Plain data."""
        return {**asdict(self), "detail": self.detail, "diff": self.diff}


def removal(kind: Literal["function", "table"], name: str, file: str | None, *, prune: bool) -> Change:
    """What a file has declared, and no file declares now."""
    what = " and its data" if kind == "table" else ""
    means = f"it{what} will be dropped" if prune else f"kept: --prune drops it{what}"
    return Change(kind, "removed", name, file, means=(means,))
