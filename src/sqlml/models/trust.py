"""Which artifact formats are data, and which skops types may be made without asking.

A pickle runs any code it likes when it is loaded; a skops file only names types, which is as safe as the types are.
sqlml takes no artifact's own word for that: the list of trusted types that MLflow keeps in the artifact is ignored.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

DATA_SUFFIXES = frozenset({".skops", ".lgb", ".xgb", ".json", ".ubj", ".onnx", ".cb", ".cbm", ".txt"})

# Classes of these packages hold arrays and trees; none runs a command when it is made from its state.
_TRUSTED_PACKAGES = frozenset({"sklearn", "numpy", "scipy", "lightgbm", "xgboost"})
_NEVER = ("testing", "f2py", "distutils", "ctypeslib", "_build_utils", "conftest", "tests", "externals", "datasets")
_TRUSTED_TYPES = frozenset({"collections.OrderedDict", "collections.defaultdict", "collections.Counter"})
# Functions that estimators hold as attributes: plain arithmetic on arrays, whatever they are called with.
_TRUSTED_FUNCTIONS = (
    "sklearn.metrics",
    "sklearn.cluster._kmeans",
    "sklearn.feature_selection._univariate_selection",
    "scipy.special",
)


def is_data(path: Path) -> bool:
    """Whether loading a file of this kind makes data only, judged by its suffix."""
    return path.suffix.lower() in DATA_SUFFIXES


def trusted_types(names: list[str]) -> tuple[list[str], list[str]]:
    """Split the types a skops file names beyond skops's own list into trusted and refused ones.

    Example:
        >>> trusted_types(["collections.OrderedDict", "os.system"])
        (['collections.OrderedDict'], ['os.system'])
    """
    trusted = [name for name in names if _is_trusted(name)]
    return trusted, [name for name in names if name not in trusted]


def _is_trusted(name: str) -> bool:
    if name in _TRUSTED_TYPES:
        return True
    parts = name.split(".")
    if parts[0] not in _TRUSTED_PACKAGES or any(part in _NEVER for part in parts):
        return False
    found = _resolve(name)
    if isinstance(found, type):
        return True
    module = name.rpartition(".")[0]
    arithmetic = any(module == trusted or module.startswith(f"{trusted}.") for trusted in _TRUSTED_FUNCTIONS)
    return callable(found) and (type(found).__name__ == "ufunc" or arithmetic)


def _resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except (ImportError, ValueError):
        # No such module, or a name without one.
        return None
