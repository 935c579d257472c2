"""The catalog: which functions there are, which model versions stand behind them, and when that changed."""

from sqlml.catalog.catalog import Catalog
from sqlml.catalog.records import Function, Proof, Snapshot, Version

__all__ = ["Catalog", "Function", "Proof", "Snapshot", "Version"]
