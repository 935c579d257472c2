"""Settings: `sqlml.toml` in the project folder; an environment variable wins over it, an argument over both."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sqlml.errors import BadSetting, UnknownSetting, did_you_mean
from sqlml.types import Native

PROJECT_FILE = "sqlml.toml"
REWRITES = (
    *("subqueries", "constraints", "statistics", "joins", "dimensions", "equal", "ranges", "predicates", "limits"),
    *("once", "order"),
)
"""The ways in which a query is made to need less, as the setting `rewrites` names them."""
STATE_FOLDER = ".sqlml"


@dataclass(frozen=True)
class Rewrites:
    """Which rewrites a query may get, and whether it gets them however little it has to do."""

    names: frozenset[str]
    always: bool


def chosen_rewrites(text: str) -> Rewrites:
    """What the setting `rewrites` says: 'all', 'always', 'none', names, or names with a minus, which leave one out.

    Raises:
        ValueError: a name that there is not.

    Example:
        >>> sorted(chosen_rewrites("joins, once").names), len(chosen_rewrites("-joins").names) == len(REWRITES) - 1
        (['joins', 'once'], True)
    """
    named = [word.strip().casefold() for word in text.split(",") if word.strip()]
    if named in (["all"], ["always"], ["none"]):
        return Rewrites(frozenset(() if named == ["none"] else REWRITES), named == ["always"])
    for name in named:
        if name.lstrip("-") not in REWRITES:
            raise ValueError(f"'{name}' is no rewrite: {', '.join(REWRITES)}; or 'all', 'always' or 'none'")
    without = {name[1:] for name in named if name.startswith("-")}
    chosen = {name for name in named if not name.startswith("-")} or (set(REWRITES) if without else set())
    return Rewrites(frozenset(chosen - without), not without)


class SparkSettings(BaseModel):
    """The section `[spark]`: how a Spark session of sqlml's own is made; `conf` wins over sqlml's defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    master: str = "local[*,4]"
    remote: str | None = None
    conf: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """What a session is told from outside. `project` is None for a project that lives in memory."""

    model_config = SettingsConfigDict(
        env_prefix="SQLML_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    project: Path | None = None
    catalog: str | None = None
    registry: str | None = None
    engine: Literal["duckdb", "spark"] = "duckdb"
    database: str | None = None
    trust: Literal["data", "pickle"] = "data"
    time_zone: str = "UTC"
    native: Native = "auto"
    publish: Literal["always", "needed"] = "always"
    rewrites: str = "all"
    tables: str | None = None
    lineage: str | None = None
    debug: bool = False
    spark: SparkSettings = SparkSettings()
    sources: dict[str, str] = Field(default_factory=dict)

    @field_validator("rewrites")
    @classmethod
    def _names_rewrites(cls, value: str) -> str:
        chosen_rewrites(value)
        return value

    @field_validator("tables")
    @classmethod
    def _is_a_folder(cls, value: str | None) -> str | None:
        if value and "://" in value:
            raise ValueError("prediction tables lie in a folder of this machine, or one that is mounted on it")
        return value

    @field_validator("lineage")
    @classmethod
    def _is_a_file_or_http(cls, value: str | None) -> str | None:
        scheme = re.match(r"([A-Za-z][\w+.-]*)://", value or "")
        if scheme and scheme[1] not in ("http", "https", "file"):
            raise ValueError("events go to a file, or to an address that begins with http:// or https://")
        # Asked for its port, a URL with a wrong one raises, too.
        if value and scheme and scheme[1] != "file" and (urlsplit(value).hostname, urlsplit(value).port)[0] is None:
            raise ValueError("the address names no host")
        if value and value.startswith("file:") and not re.match(r"file:(///[^/]|/?[^/])", value):
            raise ValueError("it names no file: write 'file:events.jsonl', or 'file:///' and a whole path")
        return value

    @property
    def state_folder(self) -> Path | None:
        """Where the catalog and the artifacts lie; None for a project in memory."""
        return None if self.project is None else self.project / STATE_FOLDER

    @property
    def source_paths(self) -> dict[str, str]:
        """The section `[sources]`: tables that are Parquet files, by name; a relative path from the project folder."""
        here = self.project or Path.cwd()
        return {name: path if "://" in path else str(here / path) for name, path in self.sources.items()}

    @property
    def tables_folder(self) -> Path | None:
        """Where prediction tables lie: as set, else `tables` in the project; None for a project in memory."""
        if self.tables is None and self.project is None:
            return None
        return (self.project or Path.cwd()) / (self.tables or "tables")

    @property
    def catalog_url(self) -> str:
        """The SQLAlchemy URL of the catalog: as set, else a SQLite file in the project, else memory."""
        if self.catalog:
            return self._anchored(self.catalog)
        return "sqlite://" if self.state_folder is None else f"sqlite:///{self.state_folder / 'catalog.db'}"

    @property
    def registry_uri(self) -> str:
        """The MLflow registry: as set, else MLflow's own variables, else `mlflow.db` in the project."""
        for uri in (self.registry, os.environ.get("MLFLOW_REGISTRY_URI"), os.environ.get("MLFLOW_TRACKING_URI")):
            if uri:
                return self._anchored(uri)
        return f"sqlite:///{(self.project or Path.cwd()) / 'mlflow.db'}"

    def _anchored(self, url: str) -> str:
        """A SQLite URL of a relative path, taken from the project folder and not from wherever a command runs."""
        prefix = "sqlite:///"
        path = Path(url.removeprefix(prefix))
        if not url.startswith(prefix) or url == prefix or path.is_absolute():
            return url
        return f"{prefix}{(self.project or Path.cwd()) / path}"

    @property
    def database_path(self) -> str:
        """The DuckDB file, a relative one taken from the project folder; `:memory:` if none is set."""
        if self.database in (None, ":memory:"):
            return ":memory:"
        assert self.database is not None
        return str((self.project or Path.cwd()) / self.database)


def find_project(start: Path | None = None) -> Path | None:
    """The nearest folder at or above `start` (the working directory) that holds a `sqlml.toml`."""
    start = (start or Path.cwd()).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()), None)


def load_settings(project: str | Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of a project folder, or of the nearest one above the working directory.

    Raises:
        UnknownSetting: a key of `sqlml.toml` that there is not, with the nearest one.
        BadSetting: a value of the wrong kind.
    """
    folder = Path(project).resolve() if project else find_project()
    if folder is None and (named := os.environ.get("SQLML_PROJECT")):
        folder = Path(named).resolve()
    values: dict[str, Any] = {}
    if folder is not None and (folder / PROJECT_FILE).is_file():
        values = _read_project_file(folder / PROJECT_FILE)
    for key in overrides:
        if key not in Settings.model_fields:
            suggestion = did_you_mean(key, Settings.model_fields)
            raise UnknownSetting(where="connect()", key=key, suggestion=suggestion)
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        settings = _layered(values)(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        reason = said[0].lower() + said[1:]
        raise BadSetting(key=key, value=first["input"], reason=reason) from error
    # SQLML_PROJECT only says where to look, and the looking is done.
    return settings.model_copy(update={"project": folder})


def _layered(values: dict[str, Any]) -> type[Settings]:
    """Settings that take what is given first, then the environment, then the project file's values."""

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=values)

    return Layered


def _read_project_file(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(key=str(path), value="its text", reason=f"it is no TOML ({error})") from error
    sections = {"sqlml", "spark", "sources"}
    for section in document:
        if section not in sections:
            raise UnknownSetting(where=path.name, key=section, suggestion=did_you_mean(section, sections))
    values: dict[str, Any] = document.get("sqlml", {})
    known = set(Settings.model_fields) - {"spark", "sources"}
    for key in values:
        if key not in known:
            raise UnknownSetting(where=f"{path.name} [sqlml]", key=key, suggestion=did_you_mean(key, known))
    for key in document.get("spark", {}):
        if key not in SparkSettings.model_fields:
            suggestion = did_you_mean(key, SparkSettings.model_fields)
            raise UnknownSetting(where=f"{path.name} [spark]", key=key, suggestion=suggestion)
    return values | {section: document[section] for section in ("spark", "sources") if section in document}
