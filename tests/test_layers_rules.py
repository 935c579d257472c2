"""Each rule of test_layers.py bites, on a small package made up for it."""

from __future__ import annotations

from itertools import pairwise
from textwrap import dedent

import pytest

from test_layers import cycles, hidden, homeless, imports, modules, sideways, strays, upward


@pytest.fixture
def package(tmp_path):
    """Makes a package called sqlml out of files and their text, and gives its folder."""

    def make(files):
        root = tmp_path / "sqlml"
        root.mkdir()
        (root / "__init__.py").touch()
        for name, text in files.items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return root

    return make


def test_a_module_without_a_layer(package):
    assert homeless(package({"errors": "", "helpers": ""})) == ["'helpers' stands on no layer: give it one in LAYERS."]


def test_a_package_without_a_layer(package):
    assert len(homeless(package({"errors": "", "helpers/text": ""}))) == 1


def test_an_import_that_points_down_is_fine(package):
    root = package(
        {"planner": "from sqlml.catalog.rows import Row\nfrom .errors import X", "catalog/rows": "", "errors": ""}
    )
    assert [rule(root) for rule in (homeless, upward, sideways, cycles, strays)] == [[]] * 5
    assert hidden(root, {}) == []


@pytest.mark.parametrize(
    "text",
    [
        "import sqlml.session",
        "from sqlml import session",
        "from sqlml.session import Session",
        "from sqlml import connect",
        "from ..session import Session",
        "from .. import session",
        "def f():\n    import sqlml.session",
        "import importlib\nload = lambda: importlib.import_module('sqlml.session')",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sqlml.session import Session",
        "try:\n    import sqlml.session\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_that_points_up(package, text):
    (complaint,) = upward(package({"catalog/rows": text, "session": ""}))
    assert complaint.startswith("catalog/rows.py:")
    assert "which stands above it (3 -> " in complaint


def test_an_import_of_a_sibling(package):
    (complaint,) = sideways(package({"models/registry": "from sqlml.query.tree import x", "query/tree": ""}))
    assert complaint == "models/registry.py:1 imports 'sqlml.query.tree', which stands beside it on layer 2."


def test_inside_one_package_modules_import_each_other(package):
    assert sideways(package({"models/registry": "from sqlml.models.card import x", "models/card": ""})) == []


def test_the_ground_floor_is_one(package):
    assert sideways(package({"config": "from sqlml.errors import x", "errors": ""})) == []


def test_the_session_knows_the_lifecycle_and_not_the_other_way(package):
    files = {"session": "import sqlml.lifecycle.sync", "lifecycle/sync": "import sqlml.session"}
    (complaint,) = sideways(package(files))
    assert complaint.startswith("lifecycle/sync.py:1 imports 'sqlml.session'")


@pytest.mark.parametrize(
    "files",
    [
        {"config": "import sqlml.errors", "errors": "from sqlml.config import x"},
        {"query/a": "from . import b", "query/b": "from .c import x", "query/c": "from sqlml.query.a import x"},
        {"query/__init__": "from .a import x", "query/a": "from sqlml.query import y"},
        {"query/a": "from . import b", "query/b": "def f():\n    from . import a"},
    ],
    ids=["two modules", "inside a package", "a package and its module", "mended by hiding"],
)
def test_a_cycle(package, files):
    root = package(files)
    (complaint,) = cycles(root)
    assert complaint.startswith("These import each other: sqlml.")


def test_the_cycle_is_told_in_the_order_of_its_imports(package):
    (complaint,) = cycles(
        package({"query/a": "from . import b", "query/b": "from . import c", "query/c": "from . import a"})
    )
    ring = complaint.removeprefix("These import each other: ").removesuffix(".").split(" -> ")
    assert ring[0] == ring[-1]
    step = {"sqlml.query.a": "sqlml.query.b", "sqlml.query.b": "sqlml.query.c", "sqlml.query.c": "sqlml.query.a"}
    assert all(step[here] == there for here, there in pairwise(ring))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("session", "import mlflow"),
        ("models/card", "from mlflow.models import infer_signature"),
        ("engines/spark", "import duckdb"),
        ("programs/kernel", "from sqlglot import exp"),
        ("session", "from sqlalchemy.orm import Session"),
        ("lifecycle/sync", "import alembic.command"),
        ("notebook", "from rich.table import Table"),
        ("analysis/drift", "import pandas as pd"),
        ("programs/program", "def f():\n    from sklearn.base import clone"),
        ("query/tree", "from pydantic import BaseModel"),
        ("engines/duckdb", "import importlib\nimportlib.import_module('xgboost')"),
    ],
)
def test_a_library_outside_its_owner(package, file, text):
    (complaint,) = strays(package({file: text}))
    assert "which belongs to" in complaint


def test_a_library_in_its_owner(package):
    files = {
        "models/registry": "import mlflow",
        "programs/sql": "from sqlglot import exp",
        "query/passes/rows": "import sqlglot",
        "engines/duckdb": "import duckdb",
        "engines/duckdb_udf": "import duckdb",
        "catalog/migrations/env": "from alembic import context",
        "cli/shell": "import prompt_toolkit, typer, rich",
        "session": "import os, numpy, pyarrow.compute",
    }
    assert strays(package(files)) == []


def test_a_library_without_an_owner(package):
    (complaint,) = strays(package({"session": "import xarray"}))
    assert complaint == "session.py:1 imports 'xarray', which has no owner: give it one in OWNERS."


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("def f():\n    import lightgbm", "lightgbm"),
        ("class C:\n    async def f(self):\n        from sklearn.base import clone", "sklearn.base"),
        ("import importlib\nload = lambda: importlib.import_module('sqlml.engines.spark')", "sqlml.engines.spark"),
        ("from importlib import import_module\nspark = import_module('.spark', __package__)", "sqlml.engines.spark"),
        ("import importlib\ndef f(name):\n    importlib.import_module(name)", "<name>"),
        ("def f():\n    if True:\n        try:\n            import numba\n        except ImportError: ...", "numba"),
    ],
)
def test_a_hidden_import(package, text, target):
    root = package({"engines/engine": text})
    (complaint,) = hidden(root, {})
    line = f'    "engines/engine.py": {{"{target}"}},'
    assert complaint.endswith(line), "the message must hold the line to add"
    assert hidden(root, {"engines/engine.py": {target}}) == []


def test_the_line_to_add_keeps_what_the_file_may_hide_already(package):
    root = package({"models/fit": "def f():\n    import xgboost\n    import lightgbm"})
    (complaint,) = hidden(root, {"models/fit.py": {"xgboost"}})
    assert "models/fit.py hides the import of 'lightgbm' (line 3):" in complaint
    assert complaint.endswith('    "models/fit.py": {"lightgbm", "xgboost"},')


@pytest.mark.parametrize(
    "text",
    [
        "import lightgbm",
        "class C:\n    import lightgbm",
        "try:\n    import lightgbm\nexcept ImportError:\n    lightgbm = None",
        "import typing\nif typing.TYPE_CHECKING:\n    import lightgbm",
        "from typing import TYPE_CHECKING\ndef f():\n    if TYPE_CHECKING:\n        import lightgbm",
    ],
)
def test_an_import_that_is_not_hidden(package, text):
    assert hidden(package({"models/fit": text}), {}) == []


def test_the_other_branch_of_type_checking_runs(package):
    text = """
        from typing import TYPE_CHECKING
        def f():
            if TYPE_CHECKING:
                import pandas
            else:
                import lightgbm
    """
    (complaint,) = hidden(package({"models/fit": text}), {})
    assert "'lightgbm'" in complaint


def test_a_permission_that_nothing_uses(package):
    root = package({"models/fit": "def f():\n    import lightgbm"})
    (complaint,) = hidden(root, {"models/fit.py": {"lightgbm", "xgboost"}})
    assert complaint.startswith("HIDDEN lets 'models/fit.py' hide 'xgboost', which it does not")
    assert complaint.endswith('    "models/fit.py": {"lightgbm"},')


def test_a_permission_for_a_file_that_is_gone(package):
    (complaint,) = hidden(package({"errors": ""}), {"models/gone.py": {"lightgbm"}})
    assert complaint.endswith("remove the line.")


def test_names_are_told_from_modules(package):
    root = package({"session": "from sqlml import errors, connect\nfrom sqlml.errors import SqlmlError", "errors": ""})
    assert [one.target for one in imports(root)] == ["sqlml.errors", "sqlml", "sqlml.errors"]
    assert set(modules(root)) == {"sqlml", "sqlml.errors", "sqlml.session"}
