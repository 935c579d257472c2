"""The parent's side of the child process that reads models, and what it brings back."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from sqlml.errors import MissingPackage, ModelDied, error_classes
from sqlml.models.artifact import ArtifactStore
from sqlml.models.description import Description
from sqlml.models.reference import ModelReference


@dataclass(frozen=True)
class Artifact:
    """A version's private copy, found and hashed, not loaded yet."""

    source: Mapping[str, Any]
    digest: str
    manifest: Mapping[str, str]

    @property
    def title(self) -> str:
        """The version as people name it."""
        model, version = self.source["model"], self.source["version"]
        return f"{model} version {version}" if version else str(model)


@dataclass(frozen=True)
class Tried:
    """What the child learnt of a version: its description, and how each strategy's answers compare with the model's."""

    description: Description
    proof: Mapping[str, Any]
    compiled: Sequence[Mapping[str, Any]]


class ModelReader:
    """Reads models in a child process, which is started at the first need and kept for the next.

    One request at a time; a child that ends is replaced at the next one.
    """

    def __init__(self, registry: str, store: ArtifactStore, *, debug: bool = False) -> None:
        self.registry = registry
        self.store = store
        self._debug = debug
        self._child: subprocess.Popen[str] | None = None
        self._printed: IO[str] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ModelReader of {self.registry}>"

    def ping(self) -> None:
        """Raise RegistryUnreachable unless the registry answers."""
        self._ask("the registry", {"operation": "ping"})

    def resolve(self, reference: ModelReference) -> Mapping[str, Any]:
        """The model, version and run that a reference means now.

        Raises:
            UnknownModel: there is none.
            RegistryUnreachable: the registry doesn't answer.
        """
        found: Mapping[str, Any] = self._ask(reference.text, {"operation": "resolve", "reference": reference.text})
        return found

    def fetch(self, reference: ModelReference) -> Artifact:
        """Copy a version's artifact into the store.

        Raises:
            UnknownModel: there is none.
            RegistryUnreachable: the registry doesn't answer.
        """
        held = self._ask(
            reference.text, {"operation": "fetch", "reference": reference.text, "store": str(self.store.root)}
        )
        return Artifact(held, held["digest"], held["manifest"])

    def describe(self, artifact: Artifact, *, trusted: bool) -> Tried:
        """Load a fetched version in the child, try it and compile it.

        Raises:
            NotTrusted: loading it runs code, and `trusted` is False.
            ModelDied: the child ended while it loaded or tried the model.
            ModelError: whatever else stands against it.
        """
        request = {
            "operation": "describe",
            "store": str(self.store.root),
            "source": dict(artifact.source),
            "digest": artifact.digest,
            "manifest": dict(artifact.manifest),
            "trusted": trusted,
        }
        held = self._ask(artifact.title, request)
        return Tried(Description.from_json(held["description"]), held["proof"], held["compiled"])

    def close(self) -> None:
        """End the child process."""
        with self._lock:
            self._end()

    def _ask(self, what: str, request: dict[str, Any]) -> Any:
        with self._lock:
            child = self._started()
            assert child.stdin is not None
            assert child.stdout is not None
            line = json.dumps({"registry": self.registry, "debug": self._debug, **request})
            try:
                child.stdin.write(line + "\n")
                child.stdin.flush()
                reply = child.stdout.readline()
            except BrokenPipeError:
                reply = ""
            except BaseException:
                # An interrupt leaves a half-read answer behind: the child can't be asked again.
                self._end()
                raise
            if not reply:
                raise ModelDied(model=what, how=self._last_words())
        answer = json.loads(reply)
        if "error" in answer:
            raise error_classes()[answer["error"]](**answer["values"])
        return answer["ok"]

    def _started(self) -> subprocess.Popen[str]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        if importlib.util.find_spec("mlflow") is None:
            raise MissingPackage(what="Reading a model from a registry", package="mlflow", extra="models")
        self._end()
        self._printed = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-m", "sqlml.models.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr if self._debug else self._printed,
            text=True,
            encoding="utf-8",
            env=_child_environment(),
            # Ctrl-C is the parent's to answer.
            start_new_session=True,
        )
        return self._child

    def _last_words(self) -> str:
        assert self._child is not None
        code = self._child.wait(timeout=30)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        lines: list[str] = []
        if self._printed is not None:
            self._printed.seek(0)
            lines = [line.strip() for line in self._printed.read().splitlines() if line.strip()]
        return f"{how}, '{lines[-1][:160]}'" if lines and code > 0 else how

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                if child.stdin is not None:
                    child.stdin.close()
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if self._printed is not None:
            self._printed.close()
            self._printed = None


def _child_environment() -> dict[str, str]:
    return {
        # Two tries a request: a user waits for it, and MLflow's own default is seven with minutes of back-off.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A few dozen rows are tried; threads would wait for each other longer than that takes.
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        # The child finds what the parent does: sqlml itself, and the modules that a trusted pickle names.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
