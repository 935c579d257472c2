"""The catalog's door: read it as one snapshot, change it one transaction at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, delete, func, insert, select, update

from sqlml.catalog import counters
from sqlml.catalog.database import Database
from sqlml.catalog.records import Function, LazyJson, Proof, Snapshot, Version
from sqlml.catalog.schema import alias_history, functions, proofs, trusted, versions
from sqlml.catalog.tables import Tables
from sqlml.catalog.views import read_tables
from sqlml.errors import FunctionExists, UnknownFunction, did_you_mean


class Catalog:
    """The functions, model versions and alias history of one project or team. Usable from several threads.

    Attributes:
        predictions: the prediction tables, and what refreshes of them left behind.

    Example:
        >>> with Catalog.open("sqlite://") as catalog:
        ...     catalog.snapshot().functions
        {}
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: Snapshot | None = None
        self.predictions = Tables(database)

    @classmethod
    def open(cls, url: str) -> Catalog:
        """The catalog at a SQLAlchemy URL, made or brought up to date where needed; 'sqlite://' is in memory.

        Raises:
            CatalogUnreachable: the URL is wrong, or its database can't be used.
            CatalogFromNewerVersion: a newer sqlml has migrated it.
        """
        return cls(Database.open(url))

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Catalog({self._database.shown!r})"

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def revision(self) -> int:
        """A number that every change makes larger, but for what refreshes record.

        Raises:
            CatalogUnreachable: the database doesn't answer (as every method here).
        """
        with self._database.reading() as connection:
            return counters.revision(connection)

    def activity(self) -> tuple[int, int]:
        """The revision, and a number that whatever refreshes record makes larger: what is shown depends on both."""
        with self._database.reading() as connection:
            return counters.activity(connection)

    def snapshot(self) -> Snapshot:
        """Everything at this moment; the same object again while nothing has changed."""
        with self._database.reading() as connection:
            revision = counters.revision(connection)
            seen = self._seen
            if seen is None or seen.revision != revision:
                self._seen = seen = _load(connection, revision)
            return seen

    def tables(self) -> dict[str, pa.Table]:
        """What `SELECT * FROM sqlml.<name>` shows, by name: typed, also where there are no rows."""
        with self._database.reading() as connection:
            return read_tables(connection, _load(connection, counters.revision(connection)))

    def add_version(
        self,
        *,
        model: str,
        version: str,
        run_id: str | None,
        registry: str,
        digest: str,
        manifest: Mapping[str, str],
        description: Mapping[str, Any],
        proofs: Sequence[Proof],
    ) -> int:
        """Record a model version and give its id; one that is known is described and proved anew."""
        key = {"registry": registry, "model": model, "version": version, "digest": digest}
        described = json.dumps(dict(description))
        listed = json.dumps(dict(manifest))
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            found = connection.scalar(select(versions.c.id).filter_by(**key))
            if found is None:
                values = {**key, "run_id": run_id, "manifest": listed, "description": described, "created_at": now}
                made = connection.execute(insert(versions).values(values)).inserted_primary_key
                assert made is not None
                version_id = int(made[0])
            else:
                version_id = int(found)
                connection.execute(update(versions).filter_by(id=version_id).values(description=described))
            _prove(connection, version_id, proofs, now)
            counters.raise_revision(connection)
        return version_id

    def put_function(
        self,
        *,
        name: str,
        reference: str,
        alias: str | None,
        on_null: str,
        strategy: str,
        comment: str | None,
        version_id: int,
        replace: bool,
        file: str | None = None,
    ) -> bool:
        """Make or replace a function, and say whether anything changed.

        With an alias, what it points at is recorded, and every other function that follows it moves along.

        Raises:
            FunctionExists: the name is taken, in any case, and `replace` is false.
            ValueError: no version has that id.
        """
        key, now = name.casefold(), datetime.now(UTC)
        values = {
            "name": name,
            "reference": reference,
            "alias": alias,
            "on_null": on_null,
            "strategy": strategy,
            "comment": comment,
            "version_id": version_id,
            "file": file,
        }
        with self._database.writing() as connection:
            model = _model(connection, version_id)
            old = connection.execute(select(functions).filter_by(key=key)).mappings().one_or_none()
            if old is not None and not replace:
                raise FunctionExists(name=old["name"])
            changed = old is None or any(old[column] != value for column, value in values.items())
            if old is None:
                made = {"key": key, **values, "created_at": now, "updated_at": now}
                connection.execute(insert(functions).values(made))
            elif changed:
                connection.execute(update(functions).filter_by(key=key).values(**values, updated_at=now))
            if alias is not None:
                recorded, followers = _point(connection, model, alias, version_id, now)
                changed = changed or recorded or bool(followers)
            if changed:
                counters.raise_revision(connection)
        return changed

    def move_alias(self, model: str, alias: str, version_id: int) -> list[str]:
        """Point an alias at a version, with every function that follows it; gives the names of those that moved.

        Raises:
            ValueError: no version of that model has that id.
        """
        with self._database.writing() as connection:
            owner = _model(connection, version_id)
            if owner != model:
                raise ValueError(f"version {version_id} is of {owner!r}, not of {model!r}")
            recorded, followers = _point(connection, model, alias, version_id, datetime.now(UTC))
            if recorded or followers:
                counters.raise_revision(connection)
        return followers

    def drop_function(self, name: str) -> None:
        """Forget a function. Its versions and the alias history stay.

        Raises:
            UnknownFunction: there is none of that name, with the nearest one.
        """
        with self._database.writing() as connection:
            if not connection.execute(delete(functions).filter_by(key=name.casefold())).rowcount:
                names = connection.scalars(select(functions.c.name))
                raise UnknownFunction(name=name, suggestion=did_you_mean(name, names))
            counters.raise_revision(connection)

    def trust(self, digest: str, note: str) -> None:
        """Allow an artifact, by its hash, to be unpickled. Its first note stays."""
        with self._database.writing() as connection:
            if connection.scalar(select(trusted.c.digest).filter_by(digest=digest)) is None:
                connection.execute(insert(trusted).values(digest=digest, note=note, trusted_at=datetime.now(UTC)))
                counters.raise_revision(connection)

    def is_trusted(self, digest: str) -> bool:
        """Whether a user allowed the artifact of that hash to be unpickled."""
        with self._database.reading() as connection:
            return connection.scalar(select(trusted.c.digest).filter_by(digest=digest)) is not None

    def proofs(self, version_id: int) -> list[Proof]:
        """What each strategy of a version was last compared on."""
        of_this = select(proofs).filter_by(version_id=version_id).order_by(proofs.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(of_this).mappings().all()
        return [Proof(**{field: row[field] for field in Proof.__dataclass_fields__}) for row in rows]

    def proof(self, version_id: int, strategy: str) -> Proof | None:
        """What a strategy of a version was last compared on; None where it never was."""
        of_this = select(proofs).filter_by(version_id=version_id, strategy=strategy)
        statement = of_this.order_by(proofs.c.proved_at.desc())
        with self._database.reading() as connection:
            row = connection.execute(statement).mappings().first()
        return None if row is None else Proof(**{field: row[field] for field in Proof.__dataclass_fields__})


def _load(connection: Connection, revision: int) -> Snapshot:
    known = {
        row["id"]: Version(
            **{**row, "manifest": LazyJson(row["manifest"]), "description": LazyJson(row["description"])}
        )
        for row in connection.execute(select(versions).order_by(versions.c.id)).mappings()
    }
    # The key is what rows are found by, not a part of a function.
    columns = [column for column in functions.c if column is not functions.c.key]
    named = connection.execute(select(*columns).order_by(functions.c.key)).mappings()
    history = alias_history.c
    last = select(func.max(history.id)).group_by(history.model, history.alias)
    aliases = connection.execute(
        select(history.model, history.alias, history.version_id).where(history.id.in_(last)).order_by(history.id)
    )
    return Snapshot(
        revision=revision,
        functions={row["name"].casefold(): Function(**row) for row in named},
        versions=known,
        aliases={(model, alias): version_id for model, alias, version_id in aliases},
    )


def _model(connection: Connection, version_id: int) -> str:
    model = connection.scalar(select(versions.c.model).filter_by(id=version_id))
    if model is None:
        raise ValueError(f"the catalog has no version {version_id}")
    return str(model)


def _point(connection: Connection, model: str, alias: str, version_id: int, now: datetime) -> tuple[bool, list[str]]:
    """Point an alias at a version: whether that is news, and the functions that moved with it."""
    history = alias_history.c
    previous = connection.scalar(
        select(history.version_id).filter_by(model=model, alias=alias).order_by(history.id.desc()).limit(1)
    )
    if previous != version_id:
        moved = {"model": model, "alias": alias, "version_id": version_id, "previous_id": previous, "seen_at": now}
        connection.execute(insert(alias_history).values(moved))
    of_model = functions.c.version_id.in_(select(versions.c.id).filter_by(model=model))
    follows = (functions.c.alias == alias, of_model, functions.c.version_id != version_id)
    followers = connection.scalars(select(functions.c.name).where(*follows).order_by(functions.c.key)).all()
    if followers:
        connection.execute(update(functions).where(*follows).values(version_id=version_id, updated_at=now))
    return previous != version_id, list(followers)


def _prove(connection: Connection, version_id: int, found: Sequence[Proof], now: datetime) -> None:
    connection.execute(delete(proofs).filter_by(version_id=version_id))
    rows = [
        {
            "version_id": version_id,
            "strategy": proof.strategy,
            # Drivers refuse NumPy's numbers, which is what a comparison of arrays counts in.
            "rows": int(proof.rows),
            "label_mismatches": int(proof.label_mismatches),
            "max_absolute": _number(proof.max_absolute),
            "max_relative": _number(proof.max_relative),
            "seconds": _number(proof.seconds),
            "accepted": bool(proof.accepted),
            "reason": proof.reason,
            "proved_at": now,
        }
        for proof in found
    ]
    if rows:
        connection.execute(insert(proofs), rows)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
