"""The catalog as it would be: models are fetched, tried and proved, and nothing of it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlml.catalog import Function, Snapshot, Version
from sqlml.lifecycle.registration import Examined, Options, Registrar
from sqlml.models.reference import ModelReference


class Foreseen:
    """The catalog's functions after changes that are not made yet: a query is planned against it as it will run.

    Attributes:
        before: the catalog as it is.
    """

    def __init__(self, registrar: Registrar) -> None:
        self.before = registrar.catalog.snapshot()
        self._registrar = registrar
        self._held = self.before
        self._examined: dict[str, Examined] = {}

    def snapshot(self) -> Snapshot:
        """The catalog as it would be; a version that it does not know yet has a negative id."""
        return self._held

    def record(self, reference: ModelReference) -> int | None:
        """Record in the catalog what was found of a version, and give its id; None where it was not looked at."""
        examined = self._examined.get(reference.text)
        return None if examined is None else self._registrar.record(examined)

    def put(self, name: str, reference: ModelReference, options: Options, file: str | None) -> None:
        """A function is made or changed; raises ModelError. The version stays where the reference still means it."""
        held, now = self.before.functions.get(name.casefold()), datetime.now(UTC)
        if held is None or held.reference != reference.text or self._registrar.moved_to(held.name) is not None:
            version = self._version(reference)
        else:
            version = self._held.versions[held.version_id]
        made = Function(
            name, reference.text, reference.alias, options.on_null, options.strategy, options.comment,
            version.id, now, now, file,
        )  # fmt: skip
        self._held = replace(self._held, functions={**self._held.functions, name.casefold(): made})
        if reference.alias is not None:
            self._point(version, reference.alias)

    def move(self, model: str, alias: str) -> None:
        """An alias is followed to where it points now; raises ModelError."""
        self._point(self._version(ModelReference.parse(f"models:/{model}@{alias}")), alias)

    def drop(self, name: str) -> None:
        """A function is dropped."""
        held = self._held.functions
        self._held = replace(self._held, functions={key: one for key, one in held.items() if key != name.casefold()})

    def ensure(self, model: str, *, alias: str | None = None, version: str | None = None) -> None:
        """A version that a call names, by alias or number, is brought in if it isn't there; raises ModelError."""
        if version is not None and self._held.version_named(model, version) is None:
            self._version(ModelReference.parse(f"models:/{model}/{version}"))
        if alias is not None and (model, alias) not in self._held.aliases:
            self.move(model, alias)

    def moved(self) -> Mapping[str, tuple[str | None, str]]:
        """Each function that another version will answer for, or that is new: the version now, and the one then."""
        found: dict[str, tuple[str | None, str]] = {}
        for key, function in self._held.functions.items():
            after, old = self._held.versions[function.version_id], self.before.functions.get(key)
            before = None if old is None else self.before.versions[old.version_id]
            if before is None or (before.version, before.digest) != (after.version, after.digest):
                found[function.name] = (None if before is None else before.version, after.version)
        return found

    def _version(self, reference: ModelReference) -> Version:
        if reference.text not in self._examined:
            self._examined[reference.text] = self._registrar.examine(reference)
        examined = self._examined[reference.text]
        described, held = examined.description, self._held.versions
        key = (self._registrar.reader.registry, described.model, described.version, examined.artifact.digest)
        same = (one for one in held.values() if (one.registry, one.model, one.version, one.digest) == key)
        known = next(same, None)
        made = Version(
            id=-len(held) - 1 if known is None else known.id,
            model=described.model,
            version=described.version,
            run_id=described.run_id,
            registry=self._registrar.reader.registry,
            digest=examined.artifact.digest,
            manifest=examined.artifact.manifest,
            description=described.to_json(),
            created_at=datetime.now(UTC),
        )
        self._held = replace(self._held, versions={**held, made.id: made})
        return made

    def _point(self, version: Version, alias: str) -> None:
        """Every function that follows the alias moves along, as in the catalog."""
        held = self._held
        functions = {
            key: replace(one, version_id=version.id)
            if one.alias == alias and held.versions[one.version_id].model == version.model
            else one
            for key, one in held.functions.items()
        }
        aliases = {**held.aliases, (version.model, alias): version.id}
        self._held = replace(held, functions=functions, aliases=aliases)
