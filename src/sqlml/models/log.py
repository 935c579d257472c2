"""`log_model`: a fitted model becomes a version in the registry, in a form that SQL can call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlml.config import load_settings
from sqlml.errors import BadReference
from sqlml.models.reference import ModelReference

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True)
class LoggedModel:
    """A version that was logged: `uri` names it, `needs_trust` says that loading it runs code (`--trust-pickle`)."""

    name: str
    version: str
    uri: str
    format: str
    needs_trust: bool


def log_model(
    model: Any,
    *,
    name: str,
    signature_from: pd.DataFrame | npt.NDArray[Any],
    label: str | None = None,
    alias: str | None = None,
    registry: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Save a fitted model, see that it loads and answers the same, and register it in MLflow.

    The form is one that holds data and no code where there is one (CatBoost's binary, LightGBM's text, XGBoost's
    UBJSON, skops).
    An active MLflow run and MLflow's own settings are left as they are.

    Args:
        model: a scikit-learn estimator or pipeline, or a CatBoost, LightGBM or XGBoost model, fitted.
        name: the registered model's name; a new version is added where there is one.
        signature_from: the rows that it was fitted on, or some like them; its columns become the arguments.
            The label and columns that the model doesn't know are left out. A matrix gives x0, x1 and so on.
        label: the name of what it predicts.
        alias: point this alias at the new version.
        registry: MLflow's URI; as the setting `registry` says where None.
        tags: more tags for the version.

    Raises:
        CannotSave: no form holds the model so that it answers the same when loaded; nothing is registered then.
        UnsupportedModel: the rows don't fit the model, or an input is of a type that SQL doesn't have.
        BadReference: the name or alias can't stand in a model reference.
        RegistryUnreachable: the registry doesn't answer.
    """
    for part, text in ((name, f"models:/{name}/1"), (alias, f"models:/{name}@{alias}")):
        if part is not None and ModelReference.parse(text).name != name:
            raise BadReference(reference=text)
    # Seconds to import, and nobody who only queries logs a model.
    from sqlml.models import saving

    uri = registry or load_settings().registry_uri
    version, form = saving.save_and_register(model, uri, name, signature_from, label, alias, dict(tags or {}))
    return LoggedModel(name, version, f"models:/{name}/{version}", form, needs_trust=form == "pickle")
