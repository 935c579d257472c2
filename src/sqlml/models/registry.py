"""The MLflow registry: the only import of mlflow, in a child process where it can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sqlml.errors import RegistryUnreachable, SqlmlError, UnknownModel, did_you_mean
from sqlml.models.artifact import ArtifactStore
from sqlml.models.reference import ModelReference

LABEL_TAG = "sqlml.label"


@dataclass(frozen=True)
class Fetched:
    """A version found in the registry and copied into the store."""

    model: str
    version: str
    run_id: str | None
    label: str | None
    digest: str
    manifest: dict[str, str]
    mlmodel: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What the registry says of a reference, before anything is copied."""

    model: str
    version: str
    run_id: str | None
    label: str | None
    uri: str


def use(uri: str) -> None:
    """Make `uri` the registry; the tracking server too, unless MLFLOW_TRACKING_URI names another."""
    # A user waits for this; MLflow's own default is seven tries with minutes of back-off.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI") or uri)
    mlflow.set_registry_uri(uri)


def check_reachable(uri: str) -> None:
    """Ask the registry something small.

    Raises:
        RegistryUnreachable: it doesn't answer, or is a SQLite file that doesn't exist (MLflow would make one).
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise RegistryUnreachable(registry=shown(uri), reason="there is no such file")
    use(uri)
    try:
        MlflowClient().search_registered_models(max_results=1)
    except Exception as error:
        raise RegistryUnreachable(registry=shown(uri), reason=_first_line(error)) from error


def resolve(uri: str, reference: ModelReference) -> Found:
    """Find the version that a reference means now.

    Raises:
        UnknownModel: there is no such model, alias, version or run.
        RegistryUnreachable: the registry doesn't answer.
    """
    check_reachable(uri)
    client = MlflowClient()
    if reference.name is None:
        return _resolve_run(client, uri, reference)
    try:
        model = client.get_registered_model(reference.name)
    except MlflowException as error:
        names = [held.name for held in client.search_registered_models(max_results=1000)]
        raise UnknownModel(
            registry=shown(uri),
            what=f"model '{reference.name}'",
            suggestion=did_you_mean(reference.name, names) or " Register one with 'sqlml log' or mlflow.",
        ) from error
    if reference.alias is not None and reference.alias not in model.aliases:
        raise UnknownModel(
            registry=shown(uri),
            what=f"alias '{reference.alias}' of the model '{reference.name}'",
            suggestion=did_you_mean(reference.alias, model.aliases) or f" It has {sorted(model.aliases) or 'none'}.",
        )
    version = str(model.aliases[reference.alias]) if reference.alias else str(reference.version)
    try:
        found = client.get_model_version(reference.name, version)
    except MlflowException as error:
        held = [v.version for v in client.search_model_versions(f"name = '{reference.name}'")]
        raise UnknownModel(
            registry=shown(uri),
            what=f"version {version} of the model '{reference.name}'",
            suggestion=f" Its versions are {', '.join(sorted(map(str, held))) or 'none'}.",
        ) from error
    label = found.tags.get(LABEL_TAG) or model.tags.get(LABEL_TAG)
    return Found(reference.name, version, found.run_id or None, label, f"models:/{reference.name}/{version}")


def _resolve_run(client: MlflowClient, uri: str, reference: ModelReference) -> Found:
    run_id = reference.text.removeprefix("runs:/").split("/")[0]
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise UnknownModel(registry=shown(uri), what=f"run '{run_id}'", suggestion="") from error
    return Found(reference.text, "", run_id, run.data.tags.get(LABEL_TAG), reference.text)


def fetch(uri: str, reference: ModelReference, store: ArtifactStore) -> Fetched:
    """Resolve a reference and make a private, hashed copy of its artifact.

    Raises:
        UnknownModel: it isn't there, or its artifact isn't.
        RegistryUnreachable: the registry doesn't answer.
    """
    found = resolve(uri, reference)
    with tempfile.TemporaryDirectory(prefix="sqlml-") as scratch:
        try:
            path = Path(mlflow.artifacts.download_artifacts(found.uri, dst_path=scratch))
        except (MlflowException, OSError) as error:
            raise UnknownModel(
                registry=shown(uri), what=f"artifact for '{found.uri}' ({_first_line(error)})", suggestion=""
            ) from error
        if not (path / "MLmodel").is_file():
            raise UnknownModel(registry=shown(uri), what=f"MLmodel file in '{found.uri}'", suggestion="")
        digest, manifest = store.adopt(path)
    mlmodel = yaml.safe_load((store.folder(digest) / "MLmodel").read_text(encoding="utf-8"))
    label = found.label or _metadata_label(mlmodel)
    return Fetched(found.model, found.version, found.run_id, label, digest, manifest, mlmodel)


def _metadata_label(mlmodel: dict[str, Any]) -> str | None:
    label = (mlmodel.get("metadata") or {}).get(LABEL_TAG)
    return None if label is None else str(label)


def shown(uri: str) -> str:
    """A URI as it may stand in a message: without a password."""
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri


def _first_line(error: Exception) -> str:
    """The start of MLflow's message; the whole may hold a stack or a page of HTML."""
    if isinstance(error, SqlmlError):
        return str(error)
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 160 else line[:157] + "..."


def load_pyfunc(folder: Path) -> Callable[[Any], Any]:
    """The predict function of an artifact, by MLflow's loader, without its schema enforcement.

    Enforcement rejects what SQL has already cast, and its messages dump the rows.
    """
    model = mlflow.pyfunc.load_model(str(folder))
    inner = model._model_impl
    return model.predict if not hasattr(inner, "predict") else inner.predict
