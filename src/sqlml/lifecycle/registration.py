"""From a model reference to a function that answers: fetched, trusted, tried and proved before it is in the catalog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlml.catalog import Catalog, Proof, Snapshot
from sqlml.config import Settings
from sqlml.engines import open_engine
from sqlml.engines.engine import Engine
from sqlml.errors import FunctionExists, ModelFailedToLoad, NameReserved, NameTaken
from sqlml.lifecycle.proving import proof_of, prove_expression
from sqlml.models.cases import TOLERANCE
from sqlml.models.description import Description
from sqlml.models.reading import Artifact, ModelReader
from sqlml.models.reference import ModelReference
from sqlml.query.calls import SUFFIXES
from sqlml.query.statements import GENERIC, check_option

log = logging.getLogger("sqlml")

_RESERVED = frozenset({*GENERIC, "explain", "sqlml", "ml"})


@dataclass(frozen=True)
class Move:
    """A function whose alias was moved to another version."""

    function: str
    model: str
    alias: str
    previous: str
    version: str


@dataclass(frozen=True)
class Options:
    """A function's options, as CREATE FUNCTION has them."""

    on_null: str = "propagate"
    strategy: str = "auto"
    comment: str | None = None

    def __post_init__(self) -> None:
        check_option("CREATE FUNCTION", "on_null", self.on_null)
        check_option("CREATE FUNCTION", "strategy", self.strategy)


@dataclass(frozen=True)
class Examined:
    """What was found of a version that may come into the catalog; `trusts` says that it was trusted just now."""

    artifact: Artifact
    description: Description
    proofs: Sequence[Proof]
    trusts: bool


class Registrar:
    """Brings model versions into the catalog. `trust` is whether pickles are trusted without being asked."""

    def __init__(self, catalog: Catalog, reader: ModelReader, *, trust: bool) -> None:
        self.catalog = catalog
        self.reader = reader
        self.trust = trust

    def adopt(self, reference: ModelReference, *, trust_pickle: bool = False) -> int:
        """Fetch, load, try and prove a version in the child process, and keep what was learnt; gives its id.

        Raises:
            ModelError: whatever stands against the model; the catalog is then as it was.
        """
        return self.record(self.examine(reference, trust_pickle=trust_pickle))

    def examine(self, reference: ModelReference, *, trust_pickle: bool = False) -> Examined:
        """Fetch, load, try and prove a version in the child process, and leave the catalog as it is.

        Raises:
            ModelError: whatever stands against the model.
        """
        artifact = self.reader.fetch(reference)
        trusted = self.trust or trust_pickle or self.catalog.is_trusted(artifact.digest)
        tried = self.reader.describe(artifact, trusted=trusted)
        description, figures = tried.description, tried.proof
        accepted = figures["label_mismatches"] == 0 and not figures["max_relative"] > TOLERANCE
        proof = proof_of("python", figures, None if accepted else "its answers to a batch differ from the model's own")
        if not accepted:
            found = (
                f"{proof.label_mismatches} labels of {proof.rows} rows, relative difference {proof.max_relative:.3g}"
            )
            error = f"answers through Arrow that are not its own to the same rows ({found})"
            raise ModelFailedToLoad(model=artifact.title, library="the proof", error=error)
        proofs = [proof, *(proof_of(one["strategy"], one, one["reason"]) for one in tried.compiled)]
        if description.program is not None:
            expressed = prove_expression(description, self.reader.store.programs, _empty_engine)
            description = expressed.description
            proofs += [expressed.proof] if expressed.proof is not None else []
        trusts = trust_pickle or (self.trust and description.format in ("pickle", "code"))
        return Examined(artifact, description, proofs, trusts)

    def record(self, examined: Examined) -> int:
        """Keep in the catalog what was learnt of a version; gives its id."""
        artifact, description = examined.artifact, examined.description
        if examined.trusts:
            self.catalog.trust(artifact.digest, f"{artifact.title}, by the user's setting")
        return self.catalog.add_version(
            model=description.model,
            version=description.version,
            run_id=description.run_id,
            registry=self.reader.registry,
            digest=artifact.digest,
            manifest=artifact.manifest,
            description=description.to_json(),
            proofs=examined.proofs,
        )

    def create(
        self,
        name: str,
        reference: str,
        options: Options,
        *,
        replace: bool,
        owner_of: Callable[[str], str | None],
        trust_pickle: bool = False,
        file: str | None = None,
        version_id: int | None = None,
    ) -> None:
        """Make a function, or change it.

        Args:
            name: its SQL name.
            reference: the model, as `ModelReference.parse` takes it.
            options: NULL policy, strategy, comment.
            replace: whether a function of that name may be there already.
            owner_of: what in the engine, not being sqlml's, has a name already.
            trust_pickle: whether this artifact may be unpickled, now and later.
            file: the project's file that declares it.
            version_id: of the version, where it is in the catalog already.

        Raises:
            NameReserved, NameTaken, FunctionExists: what stands against the name.
            ModelError: what stands against the model.
        """
        parsed = ModelReference.parse(reference)
        self.check_name(name, owner_of, replace=replace)
        if version_id is None:
            version_id = self.adopt(parsed, trust_pickle=trust_pickle)
        self.catalog.put_function(
            name=name,
            reference=parsed.text,
            alias=parsed.alias,
            on_null=options.on_null,
            strategy=options.strategy,
            comment=options.comment,
            version_id=version_id,
            replace=replace,
            file=file,
        )
        version = self.catalog.snapshot().versions[version_id]
        for difference in version.description["requirements"]:
            log.warning("%s: %s", name, difference)

    def check_name(
        self, name: str, owner_of: Callable[[str], str | None], *, replace: bool, among: Snapshot | None = None
    ) -> None:
        """Raise unless a function can have that name, with `_score` and `_proba` behind it too.

        Args:
            name: the function's.
            owner_of: what in the engine, not being sqlml's, has a name already.
            replace: whether a function of that name may be there already.
            among: the functions that there are; None: those of the catalog.
        """
        if not name.isidentifier():
            raise NameReserved(name=name, reason="a name is letters, digits and _, and starts with no digit")
        if name.casefold() in _RESERVED:
            raise NameReserved(name=name, reason="it is one of sqlml's own")
        snapshot = among or self.catalog.snapshot()
        if not replace and name.casefold() in snapshot.functions:
            raise FunctionExists(name=snapshot.functions[name.casefold()].name)
        for other in snapshot.functions.values():
            if other.name.casefold() == name.casefold():
                continue
            for taken in (f"{name}{suffix}" for suffix in SUFFIXES):
                if taken.casefold() in {f"{other.name}{suffix}".casefold() for suffix in SUFFIXES}:
                    raise NameTaken(name=name, owner=f"the function '{other.name}'", taken=taken)
        for taken in (f"{name}{suffix}" for suffix in SUFFIXES):
            owner = owner_of(taken)
            if owner is not None:
                raise NameTaken(name=name, owner=owner, taken=taken)

    def ensure(self, model: str, *, alias: str | None = None, version: str | None = None) -> None:
        """Bring a version that a call names, by alias or number, into the catalog if it isn't there.

        Raises:
            ModelError: whatever stands against it.
        """
        snapshot = self.catalog.snapshot()
        if version is not None and snapshot.version_named(model, version) is None:
            self.adopt(ModelReference.parse(f"models:/{model}/{version}"))
        if alias is not None and (model, alias) not in snapshot.aliases:
            version_id = self.adopt(ModelReference.parse(f"models:/{model}@{alias}"))
            self.catalog.move_alias(model, alias, version_id)

    def sync(self, name: str | None = None) -> list[Move]:
        """Follow the aliases: ask the registry where each points now, and let a new version take over once proved.

        Raises:
            UnknownFunction: `name` is none.
            ModelError: what stands against a new version; the old one goes on answering.
        """
        snapshot = self.catalog.snapshot()
        followed = self._followed(snapshot, name)
        moves: list[Move] = []
        for (model, alias), current in followed.items():
            reference = ModelReference.parse(f"models:/{model}@{alias}")
            found = self.reader.resolve(reference)
            before = snapshot.versions[current]
            if str(found["version"]) == before.version:
                continue
            version_id = self.adopt(reference)
            moved = self.catalog.move_alias(model, alias, version_id)
            after = self.catalog.snapshot().versions[version_id].version
            moves += [Move(function, model, alias, before.version, after) for function in moved]
        return moves

    def moved_to(self, name: str) -> str | None:
        """The version that a function's alias points to now, if that is another one than answers."""
        snapshot = self.catalog.snapshot()
        function = snapshot.function(name)
        if function.alias is None:
            return None
        held = snapshot.versions[function.version_id]
        version = str(self.reader.resolve(ModelReference.parse(f"models:/{held.model}@{function.alias}"))["version"])
        return None if version == held.version else version

    @staticmethod
    def _followed(snapshot: Snapshot, name: str | None) -> Mapping[tuple[str, str], int]:
        if name is None:
            return snapshot.aliases
        function = snapshot.function(name)
        if function.alias is None:
            return {}
        key = (snapshot.versions[function.version_id].model, function.alias)
        return {key: function.version_id}


def _empty_engine() -> Engine:
    return open_engine(Settings(engine="duckdb", native="off", time_zone="UTC"), ":memory:")
