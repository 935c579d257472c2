"""The child process that reads models first: `python -m sqlml.models.worker`.

A broken artifact can end the process that loads it (a truncated LightGBM text does), so a version is fetched,
loaded and tried here before any session loads it. One JSON object a line comes in on standard input, and one goes
out for each on a private copy of standard output; whatever a library prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from sqlml.errors import ModelFailedToLoad, SqlmlError, UnsupportedModel
from sqlml.models import readers
from sqlml.models.artifact import ArtifactStore
from sqlml.models.compiling import compile_version
from sqlml.models.describe import Source, describe, input_example
from sqlml.models.probe import compare, probe_rows
from sqlml.models.reference import ModelReference
from sqlml.models.registry import check_reachable, fetch, resolve
from sqlml.models.requirements import differences
from sqlml.programs.kernel.loading import machine


def _resolve(request: Mapping[str, Any]) -> dict[str, Any]:
    return asdict(resolve(request["registry"], ModelReference.parse(request["reference"])))


def _fetch(request: Mapping[str, Any]) -> dict[str, Any]:
    fetched = fetch(
        request["registry"], ModelReference.parse(request["reference"]), ArtifactStore(Path(request["store"]))
    )
    reader = _reader_of(fetched.mlmodel, f"{fetched.model} version {fetched.version}")
    options = fetched.mlmodel["flavors"][reader] if reader != "python_function" else {}
    return {
        **asdict(fetched),
        "reader": reader,
        "options": {key: value for key, value in options.items() if isinstance(value, str | int | float | bool)},
        "flavour": next((name for name in fetched.mlmodel["flavors"] if name != "python_function"), reader),
        "format": readers.storage_format(reader, options),
    }


def _reader_of(mlmodel: Mapping[str, Any], title: str) -> str:
    flavours = mlmodel.get("flavors") or {}
    for reader in readers.READERS:
        if reader in flavours:
            return reader
    raise UnsupportedModel(model=title, reason=f"its flavours are {sorted(flavours)}, and none has a predict")


def _describe(request: Mapping[str, Any]) -> dict[str, Any]:
    store = ArtifactStore(Path(request["store"]))
    source = Source(**{key: request["source"][key] for key in Source.__dataclass_fields__})
    folder = store.verify(request["digest"], request["manifest"], source.title)
    fitted = readers.load(source.reader, folder, source.options, trusted=bool(request["trusted"]), model=source.title)
    description = describe(source, fitted, folder, differences(folder))
    example = input_example(folder, source.mlmodel, description.arguments)
    proof = compare(description, fitted, example)
    rows = probe_rows(description.arguments, fitted.categories, example)
    outcome = compile_version(description, fitted, rows, store.programs, machine)
    compiled = [
        {"strategy": name, "reason": reason, **asdict(found)} for name, (found, reason) in outcome.proofs.items()
    ]
    return {"description": outcome.description.to_json(), "proof": asdict(proof), "compiled": compiled}


def _ping(request: Mapping[str, Any]) -> dict[str, Any]:
    check_reachable(request["registry"])
    return {}


OPERATIONS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "ping": _ping,
    "resolve": _resolve,
    "fetch": _fetch,
    "describe": _describe,
}


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one request; an error becomes its class and fields, so that the parent raises the same one."""
    try:
        return {"ok": OPERATIONS[request["operation"]](request)}
    except SqlmlError as error:
        values = {key: str(value) for key, value in error.values.items()}
        return {"error": type(error).__name__, "values": values}
    except Exception as error:
        if request.get("debug"):
            raise
        values = {"model": request.get("reference", "?"), "library": "its library"}
        line = (str(error).splitlines() or [""])[0]
        return {"error": ModelFailedToLoad.__name__, "values": {**values, "error": f"{type(error).__name__}: {line}"}}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the parent closes its end."""
    for line in requests:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def main() -> None:
    """Keep a private copy of standard output for answers, and send what libraries print to standard error."""
    private = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, private)


if __name__ == "__main__":
    main()
