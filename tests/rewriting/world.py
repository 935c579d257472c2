"""One registry and one project with every model of `models`: seconds to make, so once a run."""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlml
from rewriting.models import Fitted, all_models
from sql.world import log_with_mlflow
from sqlml.config import chosen_rewrites
from sqlml.lifecycle.rewriting import Rewriter


@dataclass(frozen=True)
class World:
    """Where the project is, and the models behind its functions."""

    folder: Path
    models: dict[str, Fitted] = field(repr=False)


def build(folder: Path) -> World:
    """Log every model with MLflow and make a function of each."""
    models, registry = all_models(), f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "sqlml.toml").write_text(f'[sqlml]\nregistry = "{registry}"\n', encoding="utf-8")
    first, *others = models
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _log(models[first], first, registry)
        db = sqlml.connect(project=folder)
        # Its child process imports MLflow while the other models are logged here.
        started = threading.Thread(target=db.check_registry)
        started.start()
        for name in others:
            _log(models[name], name, registry)
        started.join()
    with db:
        for name, held in models.items():
            db.register(name, f"models:/{name}@champion", **held.options)
    return World(folder, models)


def _log(held: Fitted, name: str, registry: str) -> None:
    if held.typed:
        log_with_mlflow(held, name, "champion", registry, ["sklearn.tree._tree.Tree"])
    else:
        sqlml.log_model(held.model, name=name, signature_from=held.rows, alias="champion", registry=registry)


@contextlib.contextmanager
def rewriting(db: Any, wanted: str) -> Iterator[Any]:
    """A session as if the setting `rewrites` were another one: over the same data, with the same functions.

    However small the tables are; what a session has rewritten stays with it, for each setting.
    """
    planning = db._planning
    before = planning._rewriter
    held = planning.__dict__.setdefault("_held_by_tests", {})
    if wanted not in held:
        held[wanted] = Rewriter(db._engine, db._backing, replace(chosen_rewrites(wanted), always=True))
    planning._rewriter = held[wanted]
    try:
        yield db
    finally:
        planning._rewriter = before
