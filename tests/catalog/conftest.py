"""A catalog that is empty, in a file of its own, or wherever SQLML_TEST_CATALOG_URL says (what is there is dropped)."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine

from sqlml.catalog import Catalog, Proof, Refresh, Run, TableWindow

Add = Callable[..., int]
Put = Callable[..., bool]

MORNING = datetime(2013, 1, 2, 3, 0, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    elsewhere = os.environ.get("SQLML_TEST_CATALOG_URL")
    if elsewhere is None:
        return f"sqlite:///{tmp_path / 'state' / 'catalog.db'}"
    engine = create_engine(elsewhere)
    tables = MetaData()
    tables.reflect(engine)
    tables.drop_all(engine)
    engine.dispose()
    return elsewhere


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'catalog.db'}"


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as opened:
        yield opened


@pytest.fixture
def add(catalog: Catalog) -> Add:
    """`add("2")` records version 2 of the model `delay`; any other value by name."""

    def add(version: str = "1", **values: Any) -> int:
        fields: dict[str, Any] = {
            "model": "delay",
            "run_id": "r1",
            "registry": "sqlite:///mlflow.db",
            "digest": f"d{version}",
            "manifest": {"model.skops": "abc"},
            "description": {"kind": "regressor", "returns_sql": "DOUBLE"},
            "proofs": [Proof("python", 100, 0, 0.0, 0.0, 0.5, True, None)],
        }
        return catalog.add_version(version=version, **fields | values)

    return add


@pytest.fixture
def put(catalog: Catalog) -> Put:
    """`put("f", 1)` makes a function that follows champion; any other value by name."""

    def put(name: str, version_id: int, **values: Any) -> bool:
        fields: dict[str, Any] = {
            "reference": "models:/delay@champion",
            "alias": "champion",
            "on_null": "propagate",
            "strategy": "auto",
            "comment": None,
            "replace": False,
        }
        return catalog.put_function(name=name, version_id=version_id, **fields | values)

    return put


@pytest.fixture
def declare(catalog: Catalog) -> Put:
    """`declare("t")` makes a prediction table; any other value by name."""

    def declare(name: str = "t", **values: Any) -> bool:
        fields: dict[str, Any] = {
            "text": f"CREATE PREDICTION TABLE {name} AS SELECT 1",
            "query": "SELECT 1",
            "dialect": "duckdb",
            "engine": None,
            "schedule": "0 3 * * *",
            "zone": "UTC",
            "file": None,
            "path": f"/tables/{name}",
            "fingerprint": "f1",
            "needs_full": False,
            "replace": False,
        }
        return catalog.predictions.put(name, **fields | values)

    return declare


@pytest.fixture
def window() -> Callable[..., TableWindow]:
    """`window("k", 3)` is the window `k` as commit 3 published it; any other value by name."""

    def window(key: str, commit: int, **values: Any) -> TableWindow:
        made = TableWindow(key, "1", "2", 1, f"run-{key}", commit, 10, "q1", {"f": {"version": "3"}}, MORNING)
        return replace(made, **values)

    return window


@pytest.fixture
def refresh() -> Callable[..., Refresh]:
    """`refresh("r")` is a refresh of `t` that was begun just now; any other value by name."""

    def refresh(refresh_id: str, **values: Any) -> Refresh:
        now = datetime.now(UTC)
        begun = {"attempt": 1, "windows": 2, "started_at": now, "finished_at": None, "outcome": "running"}
        there = {"error": None, "host": "here", "pid": 7, "heartbeat_at": now}
        asked = {"table_name": "t", "kind": "due", "range_from": None, "range_to": None, "scheduled_for": None}
        return Refresh(refresh_id, **{**asked, **begun, **there, **values})

    return refresh


@pytest.fixture
def run() -> Callable[..., Run]:
    """`run("a")` is a run of the refresh `r` of `t`, for the window `k`; any other value by name."""

    def run(run_id: str, **values: Any) -> Run:
        window = {"window_key": "k", "window_from": "1", "window_to": "2", "number": 1}
        begun = {
            "refresh_id": "r",
            "table_name": "t",
            "started_at": datetime.now(UTC),
            "finished_at": None,
            "outcome": "running",
        }
        found = dict.fromkeys(("rows_in", "rows_out", "files", "bytes", "seconds", "commit_version", "published_by"))
        told = {"engine": "duckdb", "versions": {}, "audits": [], "error": None}
        return Run(run_id, **{**window, **begun, **found, **told, **values})

    return run
