"""The difference between what a model was logged with and what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

# One library under two names; MLflow writes both down.
_SAME = {"xgboost": "xgboost-cpu", "xgboost-cpu": "xgboost"}


def differences(folder: Path) -> tuple[str, ...]:
    """A line for each pinned requirement of a model artifact that the environment doesn't meet.

    Example of a line: `scikit-learn: logged with 1.5.2, here 1.9.1`.
    """
    path = folder / "requirements.txt"
    if not path.is_file():
        return ()
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            requirement = Requirement(line.split("#")[0].strip())
        except InvalidRequirement:
            continue
        # mlflow itself takes no part in a prediction of a flavour that sqlml reads.
        if requirement.name == "mlflow" or not requirement.specifier:
            continue
        wanted = str(requirement.specifier).removeprefix("==")
        installed = _installed(requirement.name)
        if installed is None:
            found.append(f"{requirement.name}: logged with {wanted}, not installed here")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name}: logged with {wanted}, here {installed}")
    return tuple(found)


def _installed(package: str) -> str | None:
    for name in (package, _SAME.get(package)):
        if name is not None:
            try:
                return version(name)
            except PackageNotFoundError:
                continue
    return None
