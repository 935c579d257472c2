"""A session's prediction tables, put together from what stands behind the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlml.catalog import Catalog
from sqlml.config import Settings
from sqlml.engines.engine import Engine
from sqlml.tables.desk import Desk, Plans
from sqlml.tables.lineage import Lineage, lineage
from sqlml.tables.predictions import Predictions
from sqlml.tables.project import Ahead, TablesPlan, plan_tables
from sqlml.tables.reading import Reading

__all__ = ["Ahead", "TablesPlan", "open_predictions", "plan_tables"]


def open_predictions(
    settings: Settings, engine: Engine, catalog: Catalog, folder: Path, plans_for: Callable[[Engine], Plans]
) -> Predictions:
    """The prediction tables, read and written by an engine.

    Args:
        settings: of the session.
        engine: its engine.
        catalog: what knows the tables.
        folder: where new ones lie.
        plans_for: gives what plans statements for an engine.

    Raises:
        MissingPackage: events are asked for, and their library is not installed.
    """
    told = lineage(settings.lineage, settings.project)
    project = settings.project.name if settings.project else "memory"

    def desk(with_: Engine, events: Lineage) -> Desk:
        reading = Reading(with_, catalog.predictions, settings.time_zone)
        return Desk(
            engine=with_,
            planning=plans_for(with_),
            tables=catalog.predictions,
            lineage=events,
            snapshot=catalog.snapshot,
            reading=reading,
            another=lambda: desk(with_.cursor(), events),
            time_zone=settings.time_zone,
            project=project,
            folder=folder,
        )

    return Predictions(desk(engine, told))
