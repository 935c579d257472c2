"""What a refresh works with, handed down from the session that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlml.catalog import Snapshot
from sqlml.catalog.tables import Tables
from sqlml.engines.engine import Engine
from sqlml.planner import Plan
from sqlml.tables.lineage import Lineage
from sqlml.tables.reading import Reading


class Plans(Protocol):
    """Makes the plan of a statement, and makes ready what it calls."""

    def plan(self, text: str, *, jvm: bool = True, pinned: Snapshot | None = None) -> Plan:
        """What a statement would do."""

    def open(self, plan: Plan) -> None:
        """Load what a plan calls."""


@dataclass(frozen=True)
class Desk:
    """One engine and who plans for it, the catalog, and whom to tell.

    Attributes:
        snapshot: the catalog's functions as they are now.
        reading: makes the prediction tables that a query reads readable.
        another: a desk on the same data, for another thread; to be closed.
        time_zone: of tables that say none.
        project: whose tables these are, for events.
        folder: where new tables lie.
    """

    engine: Engine
    planning: Plans
    tables: Tables
    lineage: Lineage
    snapshot: Callable[[], Snapshot]
    reading: Reading
    another: Callable[[], Desk]
    time_zone: str
    project: str
    folder: Path
