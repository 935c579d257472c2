"""The events of a run as OpenLineage has them, and the sending of one. Imported only where the setting asks for events.

What is a choice here, and why:

- A prediction table is the data set `file` / its folder, as other programs that write Delta tables name theirs, so that
  lineage goes on through them. Its name in SQL, `predictions.<name>` in the project's namespace, is a symlink to it.
- A model is an input, the data set `mlflow` / its name, of the type MODEL and with its version: whatever trained it can
  be found from what it predicted. The namespace is fixed, for a registry's address may be a path of one machine.
- The nominal time is the window where it is one of time, else the moment of the schedule. The spec wants a zone: a
  window without one is told as if in UTC, and as it is in the facet `sqlml_refresh`.
- Audits look at what was written, and the spec has assertions for inputs only. They stand among the output's facets:
  as an input too, the table would be made from itself.

The two facets of sqlml's own are described in `SqlmlRunFacets.json`, beside this file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    data_quality_assertions_dataset,
    dataset_type_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
    sql_job,
    symlinks_dataset,
)
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport
from requests import Session

from sqlml.tables.told import Told

FACETS = "urn:sqlml:facets:1-0-0:SqlmlRunFacets.json"
"""The `$id` of the schema of sqlml's own facets."""


def _version() -> str:
    try:
        return version("sqlml")
    except PackageNotFoundError:
        return "0"


PRODUCER = f"urn:sqlml:{_version()}"


@attr.define
class SqlmlModelsRunFacet(RunFacet):
    """The models that answered, one entry a function; `sha256` is of the artifact."""

    models: list[dict[str, str]]

    @staticmethod
    def _get_schema() -> str:
        return f"{FACETS}#/$defs/SqlmlModelsRunFacet"


@attr.define
class SqlmlRefreshRunFacet(RunFacet):
    """What of the table is computed, in the words of its column's type, and for which moment of its schedule."""

    window: dict[str, str] | None = attr.field(default=None)
    scheduledFor: str | None = attr.field(default=None)  # noqa: N815 - the spec's facets are written so

    @staticmethod
    def _get_schema() -> str:
        return f"{FACETS}#/$defs/SqlmlRefreshRunFacet"


def started(told: Told) -> RunEvent:
    """The event that a run begins with."""
    return _event(RunState.START, told, told.started_at, output=_output(told))


def completed(
    told: Told, *, rows: int, bytes: int, files: int, commit: int, audits: Sequence[Mapping[str, Any]]
) -> RunEvent:
    """The event of a run that has published."""
    output = _output(told, audits)
    assert output.facets is not None
    output.facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(commit), producer=PRODUCER)
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=rows, size=bytes, fileCount=files, producer=PRODUCER
    )
    output.outputFacets = {"outputStatistics": statistics}
    return _event(RunState.COMPLETE, told, datetime.now(UTC), output=output)


def failed(told: Told, error: str, *, audits: Sequence[Mapping[str, Any]]) -> RunEvent:
    """The event of a run that has published nothing; `error` is one line."""
    event = _event(RunState.FAIL, told, datetime.now(UTC), output=_output(told, audits))
    assert event.run.facets is not None
    event.run.facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(error, "PYTHON", producer=PRODUCER)
    return event


def as_json(event: RunEvent) -> str:
    """An event as one line."""
    return Serde.to_json(event)


def post(event: RunEvent, url: str, seconds: float) -> None:
    """Send an event to exactly this address, once.

    Raises:
        Exception: whatever the library raises where the address doesn't take it.
    """
    session = Session()
    # A POST that is sent elsewhere arrives as a GET, without the event and with a friendly answer.
    session.max_redirects = 0
    key = os.environ.get("OPENLINEAGE_API_KEY")
    config: dict[str, Any] = {
        "url": url,
        "endpoint": "",
        "timeout": seconds,
        "session": session,
        # A second try would be logged with the whole address, secrets and all.
        "retry": {"total": 0, "status_forcelist": []},
        "auth": {"type": "api_key", "apiKey": key} if key else {},
    }
    # A transport an event: what lies hours back between two events has no connection left to use again.
    with session:
        HttpTransport(HttpConfig.from_dict(config)).emit(event)


def _event(state: RunState, told: Told, moment: datetime, *, output: OutputDataset) -> RunEvent:
    job: dict[str, JobFacet] = {
        "sql": sql_job.SQLJobFacet(query=told.query, producer=PRODUCER),
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "SQLML", jobType="QUERY", producer=PRODUCER),
    }
    return RunEvent(
        eventType=state,
        eventTime=_utc(moment),
        run=Run(told.run_id, _run_facets(told)),
        job=Job(told.project, told.table, job),
        inputs=_inputs(told),
        outputs=[output],
        producer=PRODUCER,
    )


def _run_facets(told: Told) -> dict[str, RunFacet]:
    models = [
        {
            "function": function,
            "model": str(said["model"]),
            "version": str(said["version"]),
            "sha256": str(said["digest"]),
        }
        for function, said in sorted(told.models.items())
    ]
    facets: dict[str, RunFacet] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            told.engine_version or "unknown", told.engine, openlineageAdapterVersion=_version(), producer=PRODUCER
        ),
        "sqlml_models": SqlmlModelsRunFacet(models, producer=PRODUCER),
    }
    scheduled = None if told.scheduled_for is None else _utc(told.scheduled_for)
    if told.window or scheduled:
        window = None if told.window is None else {"start": told.window[0], "end": told.window[1]}
        facets["sqlml_refresh"] = SqlmlRefreshRunFacet(window, scheduled, producer=PRODUCER)
    start, end = map(_moment, told.window) if told.window else (None, None)
    if start and end:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(start, end, producer=PRODUCER)
    elif scheduled:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(scheduled, producer=PRODUCER)
    return facets


def _inputs(told: Told) -> list[InputDataset]:
    tables = [
        InputDataset("file", one) if os.path.isabs(one) else InputDataset(told.database or told.project, one)
        for one in told.inputs
    ]
    # Two functions may be of one model, and a data set stands once among the inputs.
    versions: dict[str, set[str]] = {}
    for said in told.models.values():
        versions.setdefault(str(said["model"]), set()).add(str(said["version"]))
    return tables + [_model(name, ", ".join(sorted(held))) for name, held in sorted(versions.items())]


def _model(name: str, versions: str) -> InputDataset:
    facets: dict[str, Any] = {
        "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("MODEL", producer=PRODUCER),
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(versions, producer=PRODUCER),
    }
    return InputDataset("mlflow", name, facets=facets)


def _output(told: Told, audits: Sequence[Mapping[str, Any]] = ()) -> OutputDataset:
    name = symlinks_dataset.Identifier(told.project, f"predictions.{told.table}", "TABLE")
    columns = [schema_dataset.SchemaDatasetFacetFields(name=name, type=type) for name, type in told.schema]
    facets: dict[str, Any] = {
        "schema": schema_dataset.SchemaDatasetFacet(columns, producer=PRODUCER),
        "symlinks": symlinks_dataset.SymlinksDatasetFacet([name], producer=PRODUCER),
    }
    if audits:
        kind = data_quality_assertions_dataset
        assertions = [kind.Assertion(one["rule"], bool(one["passed"]), one.get("column")) for one in audits]
        facets["dataQualityAssertions"] = kind.DataQualityAssertionsDatasetFacet(assertions, producer=PRODUCER)
    return OutputDataset("file", told.path, facets=facets)


def _moment(bound: str) -> str | None:
    """A window's bound as a moment, where it is one; a date or time without a zone is taken as UTC.

    Example:
        >>> _moment("2024-02-29"), _moment("2024-02-29T05:00:00Z"), _moment("20240229")
        ('2024-02-29T00:00:00Z', '2024-02-29T05:00:00Z', None)
    """
    # An integer of eight digits would be a date in ISO's short form.
    if re.match(r"\d{4}-", bound) is None:
        return None
    moment = datetime.fromisoformat(bound)
    return _utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
