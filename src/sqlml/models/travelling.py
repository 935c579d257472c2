"""A version's way to another process: made ready here, opened there."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlml.errors import ArtifactCorrupt
from sqlml.models.answering import Answerer
from sqlml.models.artifact import ArtifactStore
from sqlml.models.compiled import Compiled
from sqlml.models.derived import Derived, derive
from sqlml.models.description import Description
from sqlml.models.portable import Artifact, Portable
from sqlml.programs.kernel.loading import machine
from sqlml.programs.program import Program, may_refuse
from sqlml.programs.store import BROKEN, BadProgram, read
from sqlml.types import NullPolicy

if TYPE_CHECKING:
    from sqlml.models.predictor import Predictor


def portable(
    answerer: Answerer, on_null: NullPolicy, program: bytes | None, artifact: Callable[[], Artifact]
) -> Portable:
    """What must travel for a version to answer elsewhere as it does here.

    Args:
        answerer: the version here.
        on_null: the function's policy.
        program: the program's file.
        artifact: gives the model's files, once they were found to be as registered.
    """
    compiled = answerer.compiled()
    alone = compiled is not None and on_null != "error" and not may_refuse(compiled.program)
    return Portable(
        answerer.function,
        answerer.key,
        json.dumps(answerer.description.to_json()),
        on_null,
        answerer.strategy,
        None if compiled is None else program,
        None if alone else artifact(),
    )


def packed(artifact: Artifact) -> Path:
    """A model's files in one zip file beside their folder: the same bytes every time, written once."""
    target = artifact.folder.parent / f"{artifact.digest}.zip"
    if target.is_file():
        return target
    scratch = target.with_suffix(f".{uuid.uuid4().hex}")
    try:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(artifact.manifest):
                archive.writestr(zipfile.ZipInfo(name), (artifact.folder / name).read_bytes())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def opened(held: Portable, archive: Callable[[], Path]) -> Answerer:
    """What answers in this process.

    Args:
        held: what has travelled.
        archive: gives the zip file of the model's files, where they are needed.
    """
    description = Description.from_json(json.loads(held.description))
    if held.origin is not None:
        assert held.program is not None
        assert held.derived is not None
        derived = Derived.from_json(held.derived, _read(held.program, None, description))
        return derive(opened(held.origin, archive), derived, held.on_null, machine(), held.strategy)

    def load() -> Predictor:
        from sqlml.models.predictor import Predictor

        assert held.artifact is not None, "its program answers every row"
        return Predictor(held.function, description, _loaded(held.artifact, description, archive()), held.on_null)

    def compile_() -> Compiled:
        assert held.program is not None
        program = _read(held.program, description.program, description)
        return Compiled(held.function, description, program, held.on_null, machine())

    return Answerer(
        held.function, held.key, description, load, None if held.program is None else compile_, held.strategy
    )


def _read(program: bytes, digest: str | None, description: Description) -> Program:
    try:
        return read(io.BytesIO(program), digest)
    except BadProgram:
        file = f"programs/{description.program}.npz"
        raise ArtifactCorrupt(model=description.title, file=file, state="changed") from None


def _loaded(artifact: Artifact, description: Description, archive: Path) -> Any:
    """The model, from a private copy that is what was registered."""
    # Only here: a model's library takes a second to import.
    from sqlml.models import readers

    scratch = Path(tempfile.mkdtemp(prefix="sqlml-model-"))
    try:
        store = ArtifactStore(scratch)
        try:
            with zipfile.ZipFile(archive) as held:
                held.extractall(store.folder(artifact.digest))
        except BROKEN:
            raise ArtifactCorrupt(model=description.title, file=archive.name, state="changed") from None
        folder = store.verify(artifact.digest, artifact.manifest, description.title)
        return readers.load(
            description.reader, folder, description.options, trusted=artifact.trusted, model=description.title
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
