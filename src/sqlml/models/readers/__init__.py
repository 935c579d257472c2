"""One file a library: an artifact's folder and its flavour's options in, a `Fitted` model out."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlml.errors import MissingPackage, ModelFailedToLoad, NotTrusted, SqlmlError
from sqlml.models.fitted import Fitted
from sqlml.models.trust import is_data


class Reader(NamedTuple):
    """Where a flavour's reader is, and what to install when its library is missing."""

    module: str
    extra: str
    file_option: str | None


# In this order: a model logged with several flavours is read by the first one here that it has. `python_function`
# is every flavour's last resort and runs the code that the artifact names, so it comes last.
READERS: Mapping[str, Reader] = {
    "sklearn": Reader("sqlml.models.readers.sklearn", "models", "pickled_model"),
    "lightgbm": Reader("sqlml.models.readers.lightgbm", "lightgbm", "data"),
    "xgboost": Reader("sqlml.models.readers.xgboost", "xgboost", "data"),
    "catboost": Reader("sqlml.models.readers.catboost", "catboost", "data"),
    "onnx": Reader("sqlml.models.readers.onnx", "onnx", "data"),
    "python_function": Reader("sqlml.models.readers.pyfunc", "models", None),
}


def storage_format(reader: str, options: Mapping[str, Any]) -> str:
    """What an artifact is stored as: `skops`, `pickle`, a library's own format, or `code`.

    Example:
        >>> storage_format("sklearn", {"pickled_model": "model.skops"})
        'skops'
    """
    option = READERS[reader].file_option
    if option is None:
        return "code"
    file = Path(str(options.get(option, "")))
    return file.suffix.removeprefix(".") if is_data(file) else "pickle"


def load(reader: str, folder: Path, options: Mapping[str, Any], *, trusted: bool, model: str) -> Fitted:
    """Load a model from its verified private copy.

    Args:
        reader: a key of `READERS`.
        folder: the artifact.
        options: the flavour's section of the artifact's MLmodel file.
        trusted: whether unpickling and the artifact's own code are allowed.
        model: the version's title, for messages.

    Raises:
        NotTrusted: the artifact is not data, and `trusted` is False.
        MissingPackage: the model's library is not installed.
        ModelFailedToLoad: the library raised.
    """
    entry = READERS[reader]
    stored_as = storage_format(reader, options)
    if stored_as in ("pickle", "code") and not trusted:
        detail = "any pickle can" if stored_as == "pickle" else "a python_function model is Python code"
        raise NotTrusted(model=model, format=f"a {stored_as}" if stored_as == "pickle" else stored_as, detail=detail)
    try:
        module = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        package = (error.name or reader).split(".")[0]
        raise MissingPackage(what=f"The model '{model}'", package=package, extra=entry.extra) from error
    try:
        with warnings.catch_warnings():
            # What a library says of its own deprecations and versions is compared in `requirements`, once.
            warnings.simplefilter("ignore")
            fitted: Fitted = module.load(folder, options, trusted=trusted, model=model)
    except SqlmlError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or reader).split(".")[0]
        raise MissingPackage(what=f"The model '{model}'", package=package, extra=entry.extra) from error
    except Exception as error:
        raise ModelFailedToLoad(model=model, library=reader, error=f"{type(error).__name__}: {error}") from error
    return fitted
