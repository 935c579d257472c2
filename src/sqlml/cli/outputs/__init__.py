"""The forms in which a result is written, one file a form, imported when it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlml.cli.rows import Result

# A form that isn't asked for is not imported: rich draws tables only, and a file is written with pyarrow's Parquet.
OUTPUTS: Mapping[str, str] = {
    "text": "sqlml.cli.outputs.table",
    "json": "sqlml.cli.outputs.objects",
    "csv": "sqlml.cli.outputs.csv",
    "parquet": "sqlml.cli.outputs.parquet",
}


def write(result: Result, output: str, to: Path | None = None, **options: Any) -> None:
    """Write a result in one of the forms of `OUTPUTS`, to standard output or to a file."""
    form: Callable[..., None] = importlib.import_module(OUTPUTS[output]).write
    if to is None:
        form(result, sys.stdout, **options)
    else:
        with _aside(to, binary=output == "parquet") as stream:
            form(result, stream, **options)


@contextmanager
def _aside(path: Path, *, binary: bool) -> Iterator[IO[Any]]:
    """A file that takes its name when it is whole: nobody reads half of it, and a failure leaves the old one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") if binary else aside.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
