"""Registered machine-learning models as SQL functions, where the data already is.

Example:
    >>> import sqlml
    >>> with sqlml.connect() as db:
    ...     db.sql("SELECT 6 * 7 AS answer").fetchall()
    [(42,)]
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from sqlml.errors import SqlmlError
from sqlml.lifecycle.information import FunctionInfo
from sqlml.planner import Plan
from sqlml.session import Session, connect

try:
    __version__ = version("sqlml")
except PackageNotFoundError:
    __version__ = "0"

__all__ = ["FunctionInfo", "Plan", "Session", "SqlmlError", "connect"]
