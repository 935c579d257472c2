"""`sqlml log`: a file becomes a version in the registry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sqlml.cli.needing import needing
from sqlml.cli.options import Debug, Output, Project, TrustPickle
from sqlml.cli.printing import print_json
from sqlml.config import load_settings


def log(
    path: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="skops, CatBoost's .cbm, LightGBM's .txt, XGBoost's .json or .ubj."
        ),
    ],
    name: Annotated[str, typer.Option(help="The registered model's name.")],
    signature_from: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="The rows that it was fitted on, CSV or Parquet."),
    ],
    label: Annotated[str | None, typer.Option(help="The column that it predicts; no input then.")] = None,
    alias: Annotated[str | None, typer.Option(help="Point this alias at the new version.")] = None,
    output: Output = "text",
    project: Project = None,
    trust_pickle: TrustPickle = False,
    debug: Debug = False,
) -> None:
    """Put a fitted model from a file into the registry.

    Example:
      sqlml log m.skops --name m --signature-from data.csv --alias champion

    With --trust-pickle, a .joblib or .pkl file is loaded too: that runs its code.
    """
    # Only now: mlflow takes seconds to import, which help and a wrong command line need not wait for.
    with needing("'sqlml log'", "models"):
        from sqlml.models.file import load_fitted, read_frame
        from sqlml.models.log import log_model
    settings = load_settings(project)
    fitted = load_fitted(path, trusted=trust_pickle or settings.trust == "pickle")
    frame = read_frame(signature_from)
    made = log_model(fitted, name=name, signature_from=frame, label=label, alias=alias, registry=settings.registry_uri)
    if output == "json":
        print_json(made)
        return
    sys.stdout.write(f"Logged {made.name} version {made.version} ({made.format}): {made.uri}\n")
    reference = f"models:/{made.name}@{alias}" if alias else f"models:/{made.name}/{made.version}"
    trust = " --trust-pickle" if made.needs_trust else ""
    sys.stdout.write(f"Next: sqlml functions register {made.name} {reference}{trust}\n")
