"""Registered machine-learning models as SQL functions, where the data already is.

Example:
    >>> import sqlml
    >>> with sqlml.connect() as db:
    ...     db.sql("SELECT 6 * 7 AS answer").fetchall()
    [(42,)]
"""

from __future__ import annotations

from importlib import metadata

from sqlml.errors import SqlmlError
from sqlml.lifecycle.information import FunctionInfo
from sqlml.models.log import LoggedModel, log_model
from sqlml.planner import Plan
from sqlml.session import Session, connect

try:
    __version__ = metadata.version("sqlml")
except metadata.PackageNotFoundError:
    __version__ = "0"

__all__ = ["FunctionInfo", "LoggedModel", "Plan", "Session", "SqlmlError", "connect", "log_model"]
