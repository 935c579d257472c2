"""Registered machine-learning models as SQL functions, where the data already is.

Example:
    >>> import sqlml
    >>> with sqlml.connect() as db:
    ...     db.sql("SELECT 6 * 7 AS answer").fetchall()
    [(42,)]
"""

from __future__ import annotations

import importlib
import typing
from importlib import metadata

if typing.TYPE_CHECKING:
    from sqlml.catalog import Run
    from sqlml.errors import SqlmlError
    from sqlml.lifecycle.information import FunctionInfo
    from sqlml.models.log import LoggedModel, log_model
    from sqlml.planner import Plan
    from sqlml.session import Session, connect, table
    from sqlml.tables.asked import Refreshed
    from sqlml.tables.reading import Table

__all__ = [
    "FunctionInfo",
    "LoggedModel",
    "Plan",
    "Refreshed",
    "Run",
    "Session",
    "SqlmlError",
    "Table",
    "connect",
    "log_model",
    "table",
]

# Imported when asked for, so that whoever imports a part, the command line say, decides when the rest comes.
_HOMES = {
    "FunctionInfo": "sqlml.lifecycle.information",
    "LoggedModel": "sqlml.models.log",
    "Plan": "sqlml.planner",
    "Refreshed": "sqlml.tables.asked",
    "Run": "sqlml.catalog",
    "Session": "sqlml.session",
    "SqlmlError": "sqlml.errors",
    "Table": "sqlml.tables.reading",
    "connect": "sqlml.session",
    "log_model": "sqlml.models.log",
    "table": "sqlml.session",
}


def __getattr__(name: str) -> typing.Any:
    if name == "__version__":
        try:
            return metadata.version("sqlml")
        except metadata.PackageNotFoundError:
            return "0"
    if name not in _HOMES:
        raise AttributeError(f"module 'sqlml' has no attribute '{name}'")
    held = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = held
    return held


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
