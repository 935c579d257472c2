"""One registry and one child process for the whole session: each takes a second or more to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

from parity.asking import Registry


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The models are tiny: on a busy machine their threads would wait for each other a hundred times longer."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    held = Registry(tmp_path_factory.mktemp("registry"))
    yield held
    held.reader.close()
