"""`sqlml doctor`: what sqlml needs, looked at one by one."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from typing import Any

import typer

from sqlml.cli.checks import CHECKS, Check, masked
from sqlml.cli.failing import ERROR
from sqlml.cli.options import Debug, Output, Project
from sqlml.cli.printing import print_json, print_table
from sqlml.config import PROJECT_FILE, Settings, load_settings
from sqlml.errors import SettingsError

ALL_WELL = 'sqlml sql "SELECT 42 AS answer"'


def doctor(output: Output = "text", project: Project = None, debug: Debug = False) -> None:
    """Check what sqlml needs, and change nothing.

    Example:
      sqlml doctor

    The exit code is 1 if something is broken; what is only worth knowing is a
    note.
    """
    checks: list[Check] = []
    values: list[dict[str, Any]] = []
    try:
        settings = load_settings(project)
    except SettingsError as error:
        checks.append(Check("settings", "broken", str(error), f"correct it in {PROJECT_FILE} or the environment"))
    else:
        values = origins(settings)
        checks += [found for check in CHECKS for found in check(settings)]
    broken = any(check.state == "broken" for check in checks)
    if output == "json":
        print_json({"sound": not broken, "checks": checks, "settings": values, "next": next_step(checks)})
    else:
        _print(checks, values)
    if broken:
        raise typer.Exit(ERROR)


def _print(checks: Sequence[Check], values: Sequence[dict[str, Any]]) -> None:
    print_table(("", "", ""), [(check.state, check.name, _detail(check)) for check in checks], empty="")
    sys.stdout.write("\n")
    rows = [(value["key"], value["value"], value["from"]) for value in values]
    print_table(("setting", "value", "from"), rows, empty="The settings can't be read.")
    sys.stdout.write(f"\nNext step: {next_step(checks)}\n")


def _detail(check: Check) -> str:
    return f"{check.detail}\n-> {check.fix}" if check.fix else check.detail


def next_step(checks: Sequence[Check]) -> str:
    """The one thing to do: what is broken first, then what is missing in the project, then a query."""
    for check in checks:
        if check.state == "broken" and check.fix:
            return check.fix
    for name in ("extra models", "project", "registry"):
        for check in checks:
            if check.name == name and check.fix:
                return check.fix
    return ALL_WELL


def origins(settings: Settings) -> list[dict[str, Any]]:
    """Each setting, its value as sqlml uses it, and where that comes from."""
    file = None if settings.project is None else settings.project / PROJECT_FILE
    written: dict[str, Any] = {}
    if file is not None and file.is_file():
        written = tomllib.loads(file.read_text(encoding="utf-8")).get("sqlml", {})
    used = {
        "catalog": masked(settings.catalog_url),
        "registry": masked(settings.registry_uri),
        "database": settings.database_path,
    }
    found = []
    for key in Settings.model_fields:
        value = used.get(key, getattr(settings, key))
        found.append({"key": key, "value": None if value is None else str(value), "from": _origin(key, written)})
    return found


def _origin(key: str, written: dict[str, Any]) -> str:
    variables = [f"SQLML_{key.upper()}"] if key != "project" else []
    if key == "registry" and key not in written:
        variables += ["MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"]
    for variable in variables:
        if os.environ.get(variable):
            return variable
    if key == "project":
        return "the folder, or SQLML_PROJECT"
    return PROJECT_FILE if key in written else "default"
