"""The forms that a fitted model can be saved in, tried until one answers the same when it is loaded again."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import skops.io

from sqlml.errors import CannotSave, NotTrusted, UnsupportedModel, quoted
from sqlml.models import readers, registry
from sqlml.models.description import LABEL_KEY
from sqlml.models.parts import parts
from sqlml.models.signature import column_types, input_rows, metadata, spread
from sqlml.models.trust import trusted_types

_EXAMPLE_ROWS = 5
# A nearest-neighbour model over millions of rows would take hours to answer all of them twice.
_COMPARED_ROWS = 10_000
# Two threads add up a forest's trees in the order in which they finish.
_RELATIVE = 1e-9


class Form(NamedTuple):
    """A flavour of MLflow's and one of its serializations; `own` is the library's own file."""

    flavour: str
    serialization: str


def save_and_register(
    model: Any, uri: str, name: str, given: Any, label: str | None, alias: str | None, tags: dict[str, str]
) -> tuple[str, str]:
    """Save in the first form that holds the model, and register that; gives the version and the form.

    Raises:
        CannotSave: no form does.
        UnsupportedModel: the rows don't fit the model, or it has no predict.
        RegistryUnreachable: the registry doesn't answer.
    """
    if not hasattr(model, "predict"):
        raise UnsupportedModel(model=name, reason=f"a {type(model).__name__} has no predict on new rows")
    names = input_names(model)
    rows = input_rows(given, names, label, name)
    # The model is asked as it was fitted: with names if it knows some.
    known = isinstance(given, pd.DataFrame) or names is not None
    held = _Held(model, name, rows, rows if known else rows.to_numpy(), label)
    with tempfile.TemporaryDirectory(prefix="sqlml-") as scratch:
        folder, form = _saved(held, Path(scratch))
        if label is not None:
            tags = {LABEL_KEY: label, **tags}
        return registry.publish(uri, folder, name=name, tags=tags, alias=alias), form


class _Held(NamedTuple):
    model: Any
    name: str
    rows: pd.DataFrame
    asked: Any
    label: str | None


def _saved(held: _Held, scratch: Path) -> tuple[Path, str]:
    """The folder of the first form that answers the same."""
    try:
        expected = answers(held.model, held.asked[:_COMPARED_ROWS])
    except Exception as error:
        raise _cannot(held, f"it can't answer the rows of signature_from: {_named(error)}") from error
    reasons = []
    for form in forms(held.model):
        folder = scratch / form.serialization
        try:
            return folder, _save_and_compare(held, form, folder, expected)
        except Exception as error:  # noqa: BLE001
            # Any library may refuse in any way of its own; the next form is tried.
            reasons.append(f"{form.serialization}: {_named(error)}")
    raise _cannot(held, "; ".join(reasons))


def _save_and_compare(held: _Held, form: Form, folder: Path, expected: list[Any]) -> str:
    """What the model was stored as, once it was loaded from there and answered as `expected`."""
    options = _save(held, form, folder, expected[0])["flavors"][form.flavour]
    stored = readers.storage_format(form.flavour, options)
    fitted = readers.load(form.flavour, folder, options, trusted=stored == "pickle", model=held.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = [call(held.rows[:_COMPARED_ROWS]) for call in (fitted.predict, fitted.proba) if call is not None]
    if differ := _difference(expected, got):
        raise ValueError(differ)
    return stored


def _cannot(held: _Held, reason: str) -> CannotSave:
    return CannotSave(type=type(held.model).__name__, reason=reason)


def _named(error: BaseException) -> str:
    """The first line of an error; of a library's own only the start, for the rest may hold rows."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:160]}" if line else type(error).__name__


def forms(model: Any) -> Iterator[Form]:
    """The forms to try, those that hold data before the one that holds code."""
    library = type(model).__module__.split(".")[0]
    if library in ("catboost", "xgboost") or (library == "lightgbm" and type(model).__name__ == "Booster"):
        yield Form(library, "own")
        return
    flavour = library if library == "lightgbm" else "sklearn"
    yield Form(flavour, "skops")
    yield Form(flavour, "cloudpickle")


def _save(held: _Held, form: Form, folder: Path, answered: Any) -> dict[str, Any]:
    options: dict[str, Any] = {} if form.serialization == "own" else {"serialization_format": form.serialization}
    if form.serialization == "skops":
        allowed, refused = trusted_types(skops.io.get_untrusted_types(data=skops.io.dumps(held.model)))
        if refused:
            detail = f"it makes objects of the unknown types {quoted(refused[:5])}"
            raise NotTrusted(model=held.name, format="skops", detail=detail)
        options["skops_trusted_types"] = allowed
    return registry.save(
        held.model,
        form.flavour,
        folder,
        columns=column_types(held.rows, held.name),
        example=spread(held.rows, _EXAMPLE_ROWS),
        answered=pd.Series(answered) if np.ndim(answered) == 1 else answered,
        requirements=requirements(held.model, form),
        metadata=metadata(held.rows, held.label, held.model),
        options=options,
    )


def requirements(model: Any, form: Form) -> list[str]:
    """The exact versions of the libraries that the model is made of, as pip reads them."""
    roots = {type(part).__module__.split(".")[0] for part in parts(model)} | {form.flavour}
    wanted = {"mlflow", "numpy", "pandas"} | {form.serialization} - {"own"}
    for root in roots:
        wanted |= _DISTRIBUTIONS.get(root, {root})
    found = []
    for package in sorted(wanted):
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            # The user's own module, or the other one of xgboost's two names.
            continue
    return found


_DISTRIBUTIONS = {
    "sklearn": {"scikit-learn", "scipy"},
    "lightgbm": {"lightgbm", "scikit-learn", "scipy"},
    "xgboost": {"xgboost", "xgboost-cpu", "scikit-learn", "scipy"},
    "catboost": {"catboost"},
    "builtins": set(),
    "__main__": set(),
}


def input_names(model: Any) -> list[str] | None:
    """The inputs that a model was fitted with, where it kept their names."""
    held = getattr(model, "feature_names_in_", None)
    if held is None and type(model).__name__ == "Booster":
        held = model.feature_name() if hasattr(model, "feature_name") else model.feature_names
    if held is None and type(model).__module__.startswith("catboost."):
        held = model.feature_names_
    names = None if held is None else [str(name) for name in held]
    # LightGBM and CatBoost make up names where they were given none.
    made_up = ([f"Column_{i}" for i in range(len(names or ()))], [str(i) for i in range(len(names or ()))])
    return None if names in made_up else names


def answers(model: Any, rows: Any) -> list[Any]:
    """The model's own answers, and its probabilities where it has some."""
    predict: Callable[[Any], Any] = model.predict
    if type(model).__name__ == "Booster" and "xgboost" in type(model).__module__:
        matrix = sys.modules["xgboost"].DMatrix(rows, enable_categorical=True, feature_names=model.feature_names)
        return [predict(matrix)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [predict(rows), *([model.predict_proba(rows)] if hasattr(model, "predict_proba") else [])]


def _difference(expected: list[Any], got: list[Any]) -> str:
    """What differs between two lists of answers; nothing if they are the same."""
    for own, loaded, what in zip(expected, got, ("predictions", "probabilities"), strict=False):
        left, right = np.asarray(own), np.asarray(loaded)
        if left.shape != right.shape:
            return f"its {what} have the shape {right.shape} when loaded, not {left.shape}"
        if left.dtype.kind == "f":
            same = np.isclose(right, left, rtol=_RELATIVE, atol=0, equal_nan=True)
        else:
            same = left == right
        if not np.all(same):
            return f"its {what} differ in {int(np.sum(~same))} of {same.size} when loaded"
    return ""
