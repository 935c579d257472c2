"""A catalog that is empty, in a file of its own, or wherever SQLML_TEST_CATALOG_URL says (what is there is dropped)."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine

from sqlml.catalog import Catalog, Proof

Add = Callable[..., int]
Put = Callable[..., bool]


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
