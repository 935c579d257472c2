"""Private copies of model artifacts, addressed by content, and the check that they are unchanged.

MLflow keeps no checksum, and a local registry hands out the store's own folder. One flipped bit in a pickled tree
or a LightGBM text often loads and predicts wrongly, so a copy is hashed when it is made and before every load.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from sqlml.errors import ArtifactCorrupt


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest_of(folder: Path) -> dict[str, str]:
    """Each file below a folder, by its relative path, with its sha256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def manifest_digest(manifest: Mapping[str, str]) -> str:
    """One sha256 for a whole manifest: the artifact's address."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(manifest.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


class ArtifactStore:
    """A folder of private copies, `<root>/<digest>/`, each put there whole by one rename.

    `programs` is the folder beside it, where the programs that versions were compiled to are kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs = root.parent / "programs"

    def folder(self, digest: str) -> Path:
        """Where the artifact of that digest lies, or would lie."""
        return self.root / digest

    def adopt(self, source: Path) -> tuple[str, dict[str, str]]:
        """Copy a folder into the store; gives its digest and manifest. The same content is stored once."""
        self.root.mkdir(parents=True, exist_ok=True)
        staging = self.root / f".staging-{uuid.uuid4().hex}"
        try:
            # The copy is hashed, not the source, which may change while it is read.
            shutil.copytree(source, staging, symlinks=False)
            manifest = manifest_of(staging)
            digest = manifest_digest(manifest)
            target = self.folder(digest)
            if target.exists() and manifest_of(target) != manifest:
                shutil.rmtree(target)
            if not target.exists():
                try:
                    os.rename(staging, target)
                except OSError:
                    # Another process stored the same content first.
                    if not target.exists():
                        raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return digest, manifest

    def verify(self, digest: str, manifest: Mapping[str, str], model: str) -> Path:
        """The artifact's folder, once every file in it was found to be as registered.

        Raises:
            ArtifactCorrupt: a file is missing or changed.
        """
        folder = self.folder(digest)
        for name, expected in manifest.items():
            path = folder / name
            if not path.is_file():
                raise ArtifactCorrupt(file=path, model=model, state="missing")
            if file_digest(path) != expected:
                raise ArtifactCorrupt(file=path, model=model, state="changed")
        return folder
