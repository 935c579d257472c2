"""One registry and one project folder with every model of `fitted` registered: seconds to make, so once a run."""

from __future__ import annotations

import contextlib
import io
import shutil
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlml
from sql.fitted import Fitted, all_models, second_churn


@dataclass(frozen=True)
class World:
    """Where the project is, and the models behind its functions. `churn` has a second version, `@challenger`."""

    folder: Path
    registry: str
    models: dict[str, Fitted]
    challenger: Fitted

    def copy(self, folder: Path) -> Path:
        """A project of a test's own over the same registry."""
        folder.mkdir(exist_ok=True)
        shutil.copytree(self.folder / ".sqlml", folder / ".sqlml")
        (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{self.registry}"\n', encoding="utf-8")
        return folder


def build(folder: Path) -> World:
    """Log every model with MLflow and make a function of each."""
    models, registry = all_models(), f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n', encoding="utf-8")
    challenger = second_churn()
    first, *others = models
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log(models[first], first, "champion", registry)
        db = sqlml.connect(project=folder)
        # Its child process imports MLflow while the other models are logged here.
        started = threading.Thread(target=db.check_registry)
        started.start()
        for name in others:
            log(models[name], name, "champion", registry)
        log(challenger, "churn", "challenger", registry)
        log_with_mlflow(models["typed"], "typed", "champion", registry)
        started.join()
    with db:
        for name, held in models.items():
            db.register(name, f"models:/{name}@champion", **held.options)
    return World(folder, registry, models, challenger)


def log(held: Fitted, name: str, alias: str | None, registry: str) -> None:
    sqlml.log_model(held.model, name=name, signature_from=held.rows, label=held.label, alias=alias, registry=registry)


def log_with_mlflow(held: Any, name: str, alias: str, registry: str, trusted: Sequence[str] = ()) -> None:
    """By MLflow's own function, with its own signature: sqlml's keeps INTEGER and FLOAT wide."""
    import mlflow
    from mlflow.models import infer_signature

    mlflow.set_tracking_uri(registry)
    mlflow.set_experiment("tests")
    with mlflow.start_run():
        signature = infer_signature(held.rows, held.model.predict(held.rows))
        logged = mlflow.sklearn.log_model(
            held.model,
            name="model",
            registered_model_name=name,
            signature=signature,
            serialization_format="skops",
            skops_trusted_types=list(trusted) or None,
        )
    version = str(logged.registered_model_version)
    mlflow.MlflowClient(registry_uri=registry).set_registered_model_alias(name, alias, version)
    mlflow.set_tracking_uri(None)
