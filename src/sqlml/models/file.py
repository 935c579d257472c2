"""A fitted model from a file of its library's own, and the data that it was fitted on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sqlml.errors import MissingPackage, ModelFailedToLoad, NotTrusted, SqlmlError, UnsupportedModel, quoted
from sqlml.models.readers.skops import load_checked


class _Format(NamedTuple):
    library: str
    extra: str
    load: Callable[[Path, bool], Any]


def load_fitted(path: Path, *, trusted: bool) -> Any:
    """The fitted model in a file: skops, or what CatBoost, LightGBM or XGBoost write; a pickle where that is trusted.

    Raises:
        UnsupportedModel: the file's suffix is none of these.
        NotTrusted: it is a pickle, or names types that sqlml doesn't trust, and `trusted` is False.
        MissingPackage: the model's library is not installed.
        ModelFailedToLoad: the library raised.
    """
    held = FORMATS.get(path.suffix.lower())
    if held is None:
        reason = f"a file of sqlml's formats ends in {quoted(FORMATS)}"
        raise UnsupportedModel(model=path, reason=reason)
    try:
        return held.load(path, trusted)
    except (SqlmlError, OSError):
        raise
    except ModuleNotFoundError as error:
        package = (error.name or held.library).split(".")[0]
        raise MissingPackage(what=f"The file '{path}'", package=package, extra=held.extra) from error
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        found = f"{type(error).__name__}: {line}"
        raise ModelFailedToLoad(model=path, library=held.library, error=found) from error


def read_frame(path: Path) -> pd.DataFrame:
    """The rows of a CSV or Parquet file.

    Raises:
        UnsupportedModel: it is neither.
    """
    read = FRAMES.get(path.suffix.lower())
    if read is None:
        raise UnsupportedModel(model=path, reason=f"the rows of a signature come from {quoted(FRAMES)} files")
    return read(path)


def _skops(path: Path, trusted: bool) -> Any:
    return load_checked(path, trusted=trusted, model=str(path))


def _pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise NotTrusted(model=path, format="a pickle", detail="any pickle can")
    return importlib.import_module("joblib").load(path)


def _lightgbm(path: Path, trusted: bool) -> Any:
    return importlib.import_module("lightgbm").Booster(model_file=str(path))


def _catboost(path: Path, trusted: bool) -> Any:
    """The file doesn't say which class it was: by its loss it is one of classes, or one of numbers."""
    library = importlib.import_module("catboost")
    held = library.CatBoostClassifier()
    held.load_model(str(path))
    if len(held.classes_):
        return held
    held = library.CatBoostRegressor()
    held.load_model(str(path))
    return held


def _xgboost(path: Path, trusted: bool) -> Any:
    booster = importlib.import_module("xgboost").Booster()
    booster.load_model(path)
    return booster


# By suffix: what a file says of itself is not asked, for a pickle may say anything.
FORMATS: Mapping[str, _Format] = {
    ".skops": _Format("skops", "models", _skops),
    ".joblib": _Format("joblib", "models", _pickle),
    ".pkl": _Format("joblib", "models", _pickle),
    ".cbm": _Format("catboost", "catboost", _catboost),
    ".txt": _Format("lightgbm", "lightgbm", _lightgbm),
    ".json": _Format("xgboost", "xgboost", _xgboost),
    ".ubj": _Format("xgboost", "xgboost", _xgboost),
}

FRAMES: Mapping[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
