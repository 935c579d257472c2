"""What is exported: the tables, and where the command that refreshes them is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlml.tables.schedule import Schedule, order


@dataclass(frozen=True)
class Exported:
    """A prediction table, as far as others must know it to refresh it.

    Attributes:
        name: the table's.
        schedule: None: it is refreshed by hand.
        reads: the names that its query reads.
        retries: how often a refresh that failed is tried again.
        timeout_seconds: how long one try may take.
        engine: what refreshes it.
        functions: those that its query calls, with the model reference of each.
    """

    name: str
    schedule: Schedule | None
    reads: tuple[str, ...]
    retries: int
    timeout_seconds: int
    engine: Literal["duckdb", "spark"]
    functions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Places:
    """Where the tables are refreshed.

    Attributes:
        project: the folder of `sqlml.toml`, as an absolute path.
        command: the words that call sqlml; the first is an absolute path, for PATH is another where they are run.
    """

    project: Path
    command: tuple[str, ...]

    def line(self, *words: str) -> str:
        """A call of sqlml as a shell reads it.

        Example:
            >>> print(Places(Path("/srv/fl ights"), ("/opt/bin/sqlml",)).line("sync", "it's"))
            /opt/bin/sqlml sync 'it'"'"'s'
        """
        return shlex.join([*self.command, *words])

    @property
    def label(self) -> str:
        """What tells this project's units and DAGs from another's on the same machine."""
        return plain(self.project.name) or "project"


def plain(text: str) -> str:
    """A name that DAGs, tasks and units may have, another for each text.

    Example:
        >>> plain("delay_risk"), plain("a-b c.ü")
        ('delay_risk', 'a-b.20.c.2e..fc.')
    """
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}.", text)


def in_order(tables: Sequence[Exported]) -> list[Exported]:
    """Tables after those that they read; raises TableCycle."""
    by_name = {table.name: table for table in tables}
    return [by_name[name] for level in order({table.name: table.reads for table in tables}) for name in level]
