"""The MLflow registry: the only import of mlflow, in a child process where it can be."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModel as MlflowModel
from mlflow.entities import LoggedModelOutput, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema

from sqlml.errors import RegistryUnreachable, SqlmlError, UnknownModel, did_you_mean
from sqlml.models.artifact import ArtifactStore
from sqlml.models.description import LABEL_KEY
from sqlml.models.reference import ModelReference

EXPERIMENT = "sqlml"


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


def check_reachable(uri: str) -> MlflowClient:
    """Ask the registry something small; gives a client for more.

    Raises:
        RegistryUnreachable: it doesn't answer, or is a SQLite file that doesn't exist (MLflow would make one).
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise RegistryUnreachable(registry=shown(uri), reason="there is no such file")
    client = MlflowClient(tracking_uri=_tracking(uri), registry_uri=uri)
    try:
        client.search_registered_models(max_results=1)
    except Exception as error:
        raise _unreachable(uri, error) from error
    return client


def _tracking(uri: str) -> str:
    """Where runs and artifacts are: with the registry, unless MLflow's own variables name two places.

    MLFLOW_TRACKING_URI alone may be anything: `mlflow.set_tracking_uri` in a notebook sets it.
    """
    apart = os.environ.get("MLFLOW_REGISTRY_URI") == uri
    return (os.environ.get("MLFLOW_TRACKING_URI") or uri) if apart else uri


def _unreachable(uri: str, error: Exception) -> RegistryUnreachable:
    password = urlsplit(uri).password
    reason = _first_line(error)
    return RegistryUnreachable(registry=shown(uri), reason=reason.replace(password, "***") if password else reason)


def resolve(uri: str, reference: ModelReference) -> Found:
    """Find the version that a reference means now.

    Raises:
        UnknownModel: there is no such model, alias, version or run.
        RegistryUnreachable: the registry doesn't answer.
    """
    client = check_reachable(uri)
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
    label = found.tags.get(LABEL_KEY) or model.tags.get(LABEL_KEY)
    return Found(reference.name, version, found.run_id or None, label, f"models:/{reference.name}/{version}")


def _resolve_run(client: MlflowClient, uri: str, reference: ModelReference) -> Found:
    run_id = reference.text.removeprefix("runs:/").split("/")[0]
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise UnknownModel(registry=shown(uri), what=f"run '{run_id}'", suggestion="") from error
    return Found(reference.text, "", run_id, run.data.tags.get(LABEL_KEY), reference.text)


def fetch(uri: str, reference: ModelReference, store: ArtifactStore) -> Fetched:
    """Resolve a reference and make a private, hashed copy of its artifact.

    Raises:
        UnknownModel: it isn't there, or its artifact isn't.
        RegistryUnreachable: the registry doesn't answer.
    """
    found = resolve(uri, reference)
    # MLflow follows `models:/` and `runs:/` by these alone, which is why this happens in a child process.
    mlflow.set_tracking_uri(_tracking(uri))
    mlflow.set_registry_uri(uri)
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
    mlmodel = _mlmodel(store.folder(digest))
    label = found.label or _metadata_label(mlmodel)
    return Fetched(found.model, found.version, found.run_id, label, digest, manifest, mlmodel)


def _mlmodel(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    return held


def _metadata_label(mlmodel: dict[str, Any]) -> str | None:
    label = (mlmodel.get("metadata") or {}).get(LABEL_KEY)
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
    predict: Callable[[Any], Any] = inner.predict if hasattr(inner, "predict") else model.predict
    return predict


def save(
    model: Any,
    flavour: str,
    folder: Path,
    *,
    columns: Mapping[str, str],
    example: Any,
    answered: Any,
    requirements: Sequence[str],
    metadata: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a model into a folder as MLflow does; gives the MLmodel file's contents.

    Args:
        model: the fitted model.
        flavour: `sklearn`, `catboost`, `lightgbm` or `xgboost`.
        folder: to be made.
        columns: MLflow's type of each input.
        example: rows of inputs, to be kept with it.
        answered: what it predicts, for the signature's outputs.
        requirements: lines for pip; without them MLflow would load the model in another process to find out.
        metadata: what else the MLmodel file should say.
        options: how to serialize it.
    """
    # Every input is required: MLflow fills in NULL for an absent one that is not, and the answer would be wrong.
    inputs = Schema([ColSpec(type_, name, required=True) for name, type_ in columns.items()])
    with _quiet():
        save_model = importlib.import_module(f"mlflow.{flavour}").save_model
        save_model(
            model,
            str(folder),
            signature=ModelSignature(inputs, _outputs(answered)),
            input_example=example,
            pip_requirements=list(requirements),
            metadata=dict(metadata) or None,
            **options,
        )
    return _mlmodel(folder)


def _outputs(answered: Any) -> Schema | None:
    """MLflow's schema of the answers, where it has one for them: it is there for other readers than sqlml."""
    try:
        outputs: Schema | None = infer_signature(answered, answered).outputs
    except (MlflowException, TypeError, ValueError):
        return None
    return outputs


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Two tries a request: a user waits for it, and MLflow's own default is eight with minutes of back-off."""
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
    added = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back MLflow's advice on what sqlml does on purpose; its errors are raised all the same."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def publish(uri: str, folder: Path, *, name: str, tags: Mapping[str, str], alias: str | None) -> str:
    """Upload a saved model and register it; gives the version. What fails leaves no version behind.

    Raises:
        RegistryUnreachable: the registry doesn't answer, or refuses.
    """
    with _quiet(), _impatient():
        try:
            client = MlflowClient(tracking_uri=_tracking(uri), registry_uri=uri)
            run = client.create_run(_experiment(client, _tracking(uri)), run_name=name, tags=dict(tags))
            try:
                logged = _upload(client, run, folder)
                version = _register(client, name, logged, tags, alias)
            except BaseException:
                client.set_terminated(run.info.run_id, "FAILED")
                raise
            client.set_terminated(run.info.run_id)
        except (MlflowException, OSError) as error:
            raise _unreachable(uri, error) from error
    return version


def _experiment(client: MlflowClient, tracking: str) -> str:
    """The experiment that logged models go to; a SQLite registry's files lie beside it, wherever the user stands."""
    held = client.get_experiment_by_name(EXPERIMENT)
    if held is None:
        path = Path(tracking.removeprefix("sqlite:///"))
        beside = (path.resolve().parent / "mlartifacts").as_uri() if tracking.startswith("sqlite:///") else None
        return client.create_experiment(EXPERIMENT, artifact_location=beside)
    if held.lifecycle_stage == "deleted":
        client.restore_experiment(held.experiment_id)
    return str(held.experiment_id)


def _upload(client: MlflowClient, run: Run, folder: Path) -> MlflowModel:
    run_id = run.info.run_id
    logged = client.create_logged_model(run.info.experiment_id, "model", source_run_id=run_id)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    model = Model.load(str(folder))
    model.run_id, model.model_id, model.model_uuid = run_id, logged.model_id, logged.model_id
    model.artifact_path = logged.artifact_location
    model.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    return logged


def _register(client: MlflowClient, name: str, logged: MlflowModel, tags: Mapping[str, str], alias: str | None) -> str:
    is_new = not client.search_registered_models(f"name = '{name}'")
    if is_new:
        client.create_registered_model(name)
    version = None
    try:
        # Not `models:/<model_id>`, which a SQL registry looks up in whatever tracking server MLflow is set to.
        made = client.create_model_version(
            name, logged.artifact_location, run_id=logged.source_run_id, model_id=logged.model_id, tags=dict(tags)
        )
        version = str(made.version)
        if alias is not None:
            client.set_registered_model_alias(name, alias, version)
    except BaseException:
        if is_new:
            client.delete_registered_model(name)
        elif version is not None:
            client.delete_model_version(name, version)
        raise
    return version
