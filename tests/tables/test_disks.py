"""Disks that are full or can't be written to: nothing half is published, and the same command heals it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sqlml
from tables import small
from tables.small import DAY_OF, ask, declare, frame, root_of, same_scores, whole
from tables.test_faults import REFRESH, acknowledged, outcomes, query
from tables.working import LIMIT, begin, ends, goes, waits


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("a file system can't be mounted here; the tests with a limit go without")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def prepared(world: small.World, folder: Path, disk: Path | None, source: pd.DataFrame) -> Path:
    """A project whose table lies on the disk, with the first two of five days."""
    world.copy(folder, f'tables = "{disk}"\n' if disk else "")
    source.to_parquet(folder / "events.parquet")
    with sqlml.connect(project=folder) as db:
        declare(db, query=query(folder))
        ask(db, start="2024-03-01", end="2024-03-03")
    return folder


def many(source: pd.DataFrame) -> pd.DataFrame:
    """Rows of the third day that take more than a megabyte."""
    random = np.random.default_rng(0)
    count = 200_000
    day = pd.DataFrame(
        {"id": np.arange(1000, 1000 + count), "ts": pd.Timestamp("2024-03-03"), "a": random.normal(size=count)}
    )
    return pd.concat(
        [source, day.assign(b=random.normal(size=count), n=0, place="north", ts=day.ts.astype("datetime64[us]"))]
    )


def healed(folder: Path, world: small.World, source: pd.DataFrame) -> None:
    with sqlml.connect(project=folder) as db:
        db.sql(REFRESH)
        same_scores(world, frame(db), source)
        whole(db, column=DAY_OF)
        acknowledged(db)
        assert outcomes(db)[-2:] == ["failed", "done"]


def as_before(folder: Path, world: small.World, source: pd.DataFrame) -> None:
    with sqlml.connect(project=folder) as db:
        same_scores(world, frame(db), source[:16])
        whole(db, column=DAY_OF)


def test_the_disk_is_full_of_data(world, tmp_path, disk, source):
    folder = prepared(world, tmp_path / "project", disk, source)
    many(source).to_parquet(folder / "events.parquet")
    code, said, complained = ends(begin(folder, REFRESH))
    assert (code, said) == (1, "")
    assert "No space left" in complained
    as_before(folder, world, source)
    left = [path for path in (disk / "daily" / "data").rglob("*.parquet")]
    assert len(left) == 2, "what was half written is taken away, and leaves room"
    source.to_parquet(folder / "events.parquet")
    healed(folder, world, source)


def test_the_disk_is_full_before_the_log_entry(world, tmp_path, disk, source):
    folder = prepared(world, tmp_path / "project", disk, source)
    process = begin(folder, REFRESH, "before commit")
    waits(folder, process)
    with contextlib.suppress(OSError), (disk / "other").open("wb", buffering=0) as other:
        while True:
            other.write(b"x" * 512)
    code, said, complained = goes(folder, process)
    assert (code, said) == (1, "")
    assert "can't be written: " in complained
    assert "Nothing was published" in complained
    as_before(folder, world, source)
    (disk / "other").unlink()
    healed(folder, world, source)


@pytest.mark.parametrize("place", ["before data", "before commit"])
def test_the_disk_can_not_be_written_to(world, tmp_path, disk, source, place):
    folder = prepared(world, tmp_path / "project", disk, source)
    process = begin(folder, REFRESH, place)
    waits(folder, process)
    mount(disk, "ro")
    code, said, complained = goes(folder, process)
    assert (code, said) == (1, "")
    assert "Read-only file system" in complained
    assert "Traceback" not in complained
    as_before(folder, world, source)
    mount(disk, "rw")
    healed(folder, world, source)


def mount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def test_a_declaration_on_a_disk_that_can_not_be_written_to(world, tmp_path, disk, source):
    folder = prepared(world, tmp_path / "project", disk, source)
    mount(disk, "ro")
    code, _, complained = ends(begin(folder, f"CREATE PREDICTION TABLE other AS {query(folder)}"))
    assert code == 1
    assert "can't be written: " in complained
    mount(disk, "rw")
    code, _, complained = ends(begin(folder, f"CREATE OR REPLACE PREDICTION TABLE other AS {query(folder)}"))
    assert (code, complained) == (0, "")


@pytest.mark.parametrize("place", ["before data", "before commit"])
def test_no_file_can_grow(world, tmp_path, source, place):
    """Neither the table's nor the catalog's: not even the failure can be written down, and is found out later."""
    folder = prepared(world, tmp_path / "project", None, source)
    process = begin(folder, REFRESH, place, **{LIMIT: "200"})
    waits(folder, process)
    code, said, complained = goes(folder, process)
    assert (code, said) == (1, "")
    assert complained.strip()
    assert "Traceback" not in complained
    as_before(folder, world, source)
    healed(folder, world, source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where nobody may")
def test_a_folder_without_permission(world, tmp_path, source):
    folder = prepared(world, tmp_path / "project", None, source)
    with sqlml.connect(project=folder) as db:
        root = root_of(db)
    for path in (root / "data", root / "_delta_log"):
        path.chmod(0o555)
        code, _, complained = ends(begin(folder, REFRESH))
        assert (code, "ermission denied" in complained) == (1, True)
        path.chmod(0o755)
        as_before(folder, world, source)
    healed(folder, world, source)
