"""A command's session, from the options that it was given."""

from __future__ import annotations

from pathlib import Path

from sqlml.session import Session, connect


def opened(
    project: Path | None = None,
    database: Path | None = None,
    *,
    trust_pickle: bool = False,
    engine: str | None = None,
) -> Session:
    """A session; a relative `database` is taken from the working directory, as a shell user means it."""
    target = None if database is None else str(database if str(database) == ":memory:" else database.resolve())
    settings = {"trust": "pickle"} if trust_pickle else {}
    # Nobody else has this session's engine.
    return connect(target, engine=engine, project=project, publish="needed", **settings)
