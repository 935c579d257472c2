"""The catalog: functions and the model versions behind them, prediction tables and their refreshes."""

from sqlml.catalog.catalog import Catalog
from sqlml.catalog.change import Change, Difference
from sqlml.catalog.records import Function, Proof, Snapshot, Version
from sqlml.catalog.table_records import PredictionTable, Refresh, Run, TableWindow
from sqlml.catalog.tables import Tables

__all__ = [
    "Catalog",
    "Change",
    "Difference",
    "Function",
    "PredictionTable",
    "Proof",
    "Refresh",
    "Run",
    "Snapshot",
    "TableWindow",
    "Tables",
    "Version",
]
