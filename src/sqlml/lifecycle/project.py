"""A project's files: `udfs/*.sql` hold CREATE FUNCTION statements, which `apply` brings the catalog to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlml.catalog import Snapshot
from sqlml.errors import NoProject, SyntaxMistake
from sqlml.lifecycle.registration import Options
from sqlml.query.statements import CreateFunction, read


@dataclass(frozen=True)
class Change:
    """What one statement of a file does to the catalog."""

    action: Literal["create", "change", "unchanged", "sync"]
    name: str
    detail: str
    file: str


def read_functions(folder: Path | None, dialect: str) -> list[tuple[str, CreateFunction]]:
    """Every CREATE FUNCTION below a project's `udfs/`, with the file it stands in, in the files' order.

    Raises:
        NoProject: there is no project folder.
        SyntaxMistake: a file holds anything else, or one name twice.
    """
    if folder is None:
        raise NoProject(folder=Path.cwd())
    found: list[tuple[str, CreateFunction]] = []
    seen: dict[str, str] = {}
    for path in sorted((folder / "udfs").glob("**/*.sql")):
        file = path.relative_to(folder).as_posix()
        for statement in read(path.read_text(encoding="utf-8"), dialect):
            if not isinstance(statement, CreateFunction):
                raise SyntaxMistake(statement=file, expected="CREATE FUNCTION statements only", found="another one")
            key = statement.name.casefold()
            if key in seen:
                twice = f"'{statement.name}', which stands in {seen[key]} too"
                raise SyntaxMistake(statement=file, expected="each function once", found=twice)
            seen[key] = file
            found.append((file, statement))
    return found


def changes(
    snapshot: Snapshot, statements: list[tuple[str, CreateFunction]], moved_to: Callable[[str], str | None]
) -> list[Change]:
    """What applying the files would do.

    Args:
        snapshot: the catalog as it is.
        statements: what `read_functions` found.
        moved_to: for a function, the version its alias points to now, if that is another one.
    """
    found: list[Change] = []
    for file, statement in statements:
        held = snapshot.functions.get(statement.name.casefold())
        if held is None:
            found.append(Change("create", statement.name, f"from {statement.reference}", file))
            continue
        options = Options(**statement.options)
        differences = [
            f"{what}: {before} -> {after}"
            for what, before, after in (
                ("model", held.reference, statement.reference),
                ("on_null", held.on_null, options.on_null),
                ("strategy", held.strategy, options.strategy),
                ("comment", held.comment, options.comment),
            )
            if before != after
        ]
        if differences:
            found.append(Change("change", held.name, "; ".join(differences), file))
        elif (version := moved_to(held.name)) is not None:
            before = snapshot.versions[held.version_id].version
            found.append(Change("sync", held.name, f"@{held.alias}: version {before} -> {version}", file))
        else:
            found.append(Change("unchanged", held.name, f"at {held.reference}", file))
    return found
