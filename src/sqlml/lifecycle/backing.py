"""What stands behind a session: the catalog, the model reader, the loaded models."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlml.catalog import Catalog
from sqlml.config import Rewrites, Settings, chosen_rewrites
from sqlml.errors import ArtifactCorrupt
from sqlml.lifecycle.proving import refuted
from sqlml.lifecycle.registration import Registrar
from sqlml.models.answering import Answerer
from sqlml.models.artifact import ArtifactStore
from sqlml.models.compiled import Compiled
from sqlml.models.derived import Derived, derive
from sqlml.models.description import Description
from sqlml.models.portable import Artifact, Portable
from sqlml.models.reading import ModelReader
from sqlml.models.reference import ModelReference
from sqlml.models.travelling import portable
from sqlml.planner import Target
from sqlml.programs.kernel.loading import machine
from sqlml.programs.program import Program
from sqlml.programs.simplify import compact, prune
from sqlml.programs.store import BadProgram, load, save

if TYPE_CHECKING:
    from sqlml.models.predictor import Predictor


_MOST_DERIVED = 256
"""Functions of rewritten queries that are kept; each constant of a filter makes one."""


class Backing:
    """Shared by a session and its cursors. A project in memory has its artifacts in a folder of its own."""

    def __init__(
        self,
        catalog: Catalog,
        reader: ModelReader,
        scratch: str | None,
        tables: Path,
        *,
        trust: bool,
        rewrites: Rewrites,
    ) -> None:
        self.catalog = catalog
        self.tables_folder = catalog.predictions.home = tables
        self.reader = reader
        self.rewrites = rewrites
        self.registrar = Registrar(catalog, reader, trust=trust)
        self._scratch = scratch
        self._answerers: dict[str, Answerer] = {}
        self._derived: dict[str, Answerer] = {}

    @classmethod
    def open(cls, settings: Settings) -> Backing:
        """Open the catalog; the registry is asked when a model is read.

        Raises:
            CatalogError: the catalog can't be opened.
        """
        scratch = None if settings.state_folder else tempfile.mkdtemp(prefix="sqlml-")
        root = settings.state_folder or Path(str(scratch))
        try:
            catalog = Catalog.open(settings.catalog_url)
        except BaseException:
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
            raise
        reader = ModelReader(settings.registry_uri, ArtifactStore(root / "artifacts"), debug=settings.debug)
        tables = settings.tables_folder or root / "tables"
        return cls(
            catalog,
            reader,
            scratch,
            tables,
            trust=settings.trust == "pickle",
            rewrites=chosen_rewrites(settings.rewrites),
        )

    def close(self) -> None:
        """End the model reader's child process and close the catalog."""
        self.reader.close()
        self.catalog.close()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def answerer(self, target: Target) -> Answerer:
        """What answers calls of a target: the same one every time, so that a model is loaded once."""
        held = self._answerers.get(target.key)
        if held is None:
            compiled = None if target.strategy == "python" else lambda: self._open(target)
            name, load = target.function.name, lambda: self._load(target)
            answerer = Answerer(
                name,
                target.key,
                target.description,
                load,
                compiled,
                target.strategy,
                lambda one: self._portable(target, one),
                lambda answer: refuted(target.description, self.reader.store.programs, answer),
            )
            held = self._answerers.setdefault(target.key, answerer)
        return held

    def derived(self, target: Target, derived: Derived) -> Answerer:
        """What answers for a function that is made from a target's, the same one every time."""
        key = f"{target.key}\n{derived.digest}"
        held = self._derived.get(key)
        if held is None:
            base = self.answerer(target)
            made = derive(base, derived, target.on_null, machine(), target.strategy)
            if len(self._derived) >= _MOST_DERIVED:
                self._derived.pop(next(iter(self._derived)))
            held = self._derived.setdefault(key, made)
        return held

    def _open(self, target: Target) -> Compiled:
        held = target.description
        assert held.program is not None
        try:
            program = load(self.reader.store.programs, held.program)
        except BadProgram:
            # A team's catalog knows programs that were compiled on another machine, and a file can be lost.
            program = self._recompiled(target)
        return Compiled(target.function.name, held, program, target.on_null, machine())

    def _recompiled(self, target: Target) -> Program:
        """The program of a version, read from its model again; it must be the one that was proved."""
        held = target.description
        from sqlml.models.readers.program import read_program

        program = compact(prune(read_program(self._load(target).fitted.model, held.arguments)))
        if program.digest != held.program:
            raise ArtifactCorrupt(model=held.title, file=f"programs/{held.program}.npz", state="changed")
        save(program, self.reader.store.programs)
        return program

    def _load(self, target: Target) -> Predictor:
        # Only here: a model's library takes a second to import, and most statements load nothing.
        from sqlml.models import readers
        from sqlml.models.predictor import Predictor

        held, artifact = target.description, self._artifact(target)
        fitted = readers.load(held.reader, artifact.folder, held.options, trusted=artifact.trusted, model=held.title)
        return Predictor(target.function.name, held, fitted, target.on_null)

    def _artifact(self, target: Target) -> Artifact:
        """A version's files, which are as they were registered."""
        version, store = target.version, self.reader.store
        if not store.folder(version.digest).is_dir():
            # A team's catalog knows versions that this machine has not seen yet; the digest is checked below.
            self.reader.fetch(ModelReference.parse(version.uri))
        folder = store.verify(version.digest, version.manifest, target.description.title)
        trusted = self.registrar.trust or self.catalog.is_trusted(version.digest)
        return Artifact(folder, version.digest, version.manifest, trusted)

    def _portable(self, target: Target, answerer: Answerer) -> Portable:
        answerer.compiled()
        file = self.reader.store.programs / f"{target.description.program}.npz"
        program = file.read_bytes() if file.is_file() else None
        return portable(answerer, target.on_null, program, lambda: self._artifact(target))

    def check_artifacts(self) -> int:
        """Compare every stored artifact with its manifest; gives their number, raises ArtifactCorrupt."""
        versions = self.catalog.snapshot().versions.values()
        for version in versions:
            self.reader.store.verify(version.digest, version.manifest, Description.from_json(version.description).title)
        return len(versions)
