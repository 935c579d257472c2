"""What an event of a run says, as plain values: who tells it decides how it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Told:
    """A run of a prediction table, as it is known when the run begins; moments have a zone.

    Attributes:
        run_id: a UUID; the events of one run have the same.
        table: the prediction table's name, which is the job's name too.
        path: the folder of the Delta table.
        project: the namespace of the job, and of the inputs where `database` is not given.
        query: the table's declared query.
        engine: what computes it, as `duckdb`.
        inputs: what the query reads: a table's name, or the folder of another prediction table, as an absolute path,
            which is then the same data set as that table's own runs write.
        models: function -> its `model`, `version` and `digest`.
        window: the bounds of what is computed, as text; None for the whole table.
        schema: columns and their types.
        started_at: when the run began.
        scheduled_for: the moment of the schedule that it answers.
        engine_version: of the engine; unknown where it is empty.
        database: the namespace of the tables that are read.
    """

    run_id: str
    table: str
    path: str
    project: str
    query: str
    engine: str
    inputs: tuple[str, ...]
    models: Mapping[str, Mapping[str, Any]]
    window: tuple[str, str] | None
    schema: tuple[tuple[str, str], ...]
    started_at: datetime
    scheduled_for: datetime | None
    engine_version: str = ""
    database: str = ""
