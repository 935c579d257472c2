"""Programs on disk: what was saved is what is read, or nothing is."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest

from programs.making import forest
from sqlml.programs.store import BadProgram, load, read, save


@pytest.fixture
def saved(tmp_path):
    program = forest(np.random.default_rng(0), 4, 20, leaves=8)
    return program, save(program, tmp_path)


def test_what_was_saved_is_read(saved):
    program, path = saved
    assert load(path.parent, program.digest).digest == program.digest
    with pytest.raises(BadProgram, match=r"no_such\.npz"):
        load(path.parent, "no_such")
    path.rename(path.with_stem("another"))
    with pytest.raises(BadProgram, match="not what its name says"):
        load(path.parent, "another")


def test_a_file_with_any_bit_flipped_is_the_same_program_or_none(saved):
    program, path = saved
    content, found = path.read_bytes(), Counter()
    for place in range(len(content)):
        for bit in (1, 128):
            damaged = bytearray(content)
            damaged[place] ^= bit
            try:
                held = read(io.BytesIO(damaged), program.digest)
            except BadProgram:
                found["refused"] += 1
            else:
                # The archive's dates, say, which nobody reads.
                assert held.digest == program.digest
                found["same"] += 1
    assert found["refused"] > found["same"] > 0


def test_a_file_cut_anywhere_is_no_program(saved):
    program, path = saved
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        with pytest.raises(BadProgram):
            read(io.BytesIO(content[:length]), program.digest)
