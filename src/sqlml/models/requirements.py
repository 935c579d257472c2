"""The difference between what a model was logged with and what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement


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
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            found.append(f"{requirement.name}: logged with {wanted}, not installed here")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name}: logged with {wanted}, here {installed}")
    return tuple(found)
