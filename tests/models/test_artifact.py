from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sqlml.errors import ArtifactCorrupt
from sqlml.models.artifact import manifest_digest


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "inner" / "model.bin").write_bytes(bytes(range(256)))
    return folder


def test_a_copy_is_whole_and_private(store, source):
    digest, manifest = store.adopt(source)
    (source / "MLmodel").write_text("changed later")
    folder = store.verify(digest, manifest, "m version 1")
    assert sorted(manifest) == ["MLmodel", "inner/model.bin"]
    assert (folder / "MLmodel").read_text() == "flavors: {}"
    assert digest == manifest_digest(manifest)
    assert [path.name for path in store.root.iterdir()] == [digest]


def test_the_same_content_is_stored_once(store, source):
    with ThreadPoolExecutor(8) as pool:
        adopted = list(pool.map(lambda _: store.adopt(source), range(16)))
    assert len({digest for digest, _ in adopted}) == 1
    assert len(list(store.root.iterdir())) == 1


def test_a_flipped_bit_is_found_and_its_file_named(store, source):
    digest, manifest = store.adopt(source)
    path = store.folder(digest) / "inner" / "model.bin"
    held = bytearray(path.read_bytes())
    held[100] ^= 1
    path.write_bytes(held)
    with pytest.raises(ArtifactCorrupt) as caught:
        store.verify(digest, manifest, "m version 1")
    assert str(path) in str(caught.value)
    assert "'m version 1' is changed" in str(caught.value)


def test_a_missing_file_is_named(store, source):
    digest, manifest = store.adopt(source)
    path = store.folder(digest) / "inner" / "model.bin"
    path.unlink()
    with pytest.raises(ArtifactCorrupt, match="is missing") as caught:
        store.verify(digest, manifest, "m version 1")
    assert str(path) in str(caught.value)


def test_adopting_again_mends_a_changed_copy(store, source):
    digest, manifest = store.adopt(source)
    (store.folder(digest) / "MLmodel").write_text("changed")
    assert store.adopt(source) == (digest, manifest)
    assert store.verify(digest, manifest, "m").joinpath("MLmodel").read_text() == "flavors: {}"
