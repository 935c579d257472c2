"""A query's rows as files: whole, or not there."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sqlml.engines.engine import Engine, Written
from sqlml.errors import BadSetting, TargetExists


def write_files(
    engine: Engine,
    text: str,
    to: str | Path,
    *,
    mode: Literal["error", "overwrite"],
    partition_by: Sequence[str],
    by_files: bool,
) -> Written:
    """Write a query into a folder, which appears, or takes the place of the old one, once it is whole.

    Raises:
        TargetExists: it is there, and `mode` is 'error'.
        BadSetting: another mode, or a place that is no folder on this machine.
        EngineError: the engine refused the query, or a model raised; nothing is left behind.
    """
    if mode not in ("error", "overwrite"):
        raise BadSetting(key="mode", value=mode, reason="it is 'error' or 'overwrite'")
    if "://" in str(to):
        reason = "only a folder on this machine appears whole; write the data frame of db.sql(...) there yourself"
        raise BadSetting(key="to", value=to, reason=reason)
    target = Path(to).absolute()
    if target.exists() and mode == "error":
        raise TargetExists(path=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    old = staging.with_suffix(".old")
    try:
        written = engine.write(text, str(staging), partition_by, by_files=by_files)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        return written
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for path in (staging, old):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
