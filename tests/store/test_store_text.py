"""Strings that are read where they are asked for; arrays that are written from where they lie."""

import errno
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from stored import INDEX, digests, index_of

import store
from store import compose


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store.save(tmp_path / "i.h5", "index", index_of(12), INDEX)
    return tmp_path / "i.h5"


def test_text_is_what_the_array_is(path: Path):
    with store.read(path, "index") as file:
        text, whole = file.text("name"), file["name"]
    assert len(text) == 12
    assert list(text) == whole.tolist()
    assert text[7] == text[np.int64(7)] == text[-5] == whole[7]
    rows = np.array([3, 3, 11, 0])
    for some in (slice(2, 9), slice(None), rows, np.arange(12) % 2 == 0, rows.reshape(2, 2)[0]):
        assert text[some].tolist() == whole[some].tolist()
        assert text[some].dtype == object
    of_rows = text.of(rows)
    assert list(of_rows) == whole[rows].tolist()
    assert list(of_rows.of(np.array([2, 1]))) == [whole[11], whole[3]]
    with pytest.raises(IndexError):
        text[12]


def test_text_is_saved_as_it_was_read(path: Path, tmp_path: Path):
    with store.read(path, "index") as file:
        name, digest, split = file.text("name"), file.mapped("digest"), file["split"]
    again = {"name": name, "digest": digest, "split": split}
    store.save(tmp_path / "again.h5", "index", again, INDEX)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()
    rows = np.array([5, 1])
    some = {"name": name.of(rows), "digest": digest[rows], "split": split[rows]}
    store.save(tmp_path / "some.h5", "index", some, INDEX)
    with store.read(tmp_path / "some.h5", "index") as file:
        assert file["name"].tolist() == list(name[rows])


def test_mapped_arrays_and_text_are_checked(path: Path):
    data = path.read_bytes()
    with h5py.File(path) as file:
        places = {name: file[name].id.get_offset() for name in ("name", "digest")}
    for name, at in places.items():
        path.write_bytes(data[: at + 3] + b"\xff" + data[at + 4 :])
        with store.read(path, "index") as file:
            for look in (file.text, file.mapped, file.__getitem__):
                with pytest.raises(store.StoreError, match=f"'{name}' is damaged"):
                    look(name)
        path.write_bytes(data)


def test_no_strings_are_text_too(tmp_path: Path):
    store.save(tmp_path / "i.h5", "index", index_of(0), INDEX)
    with store.read(tmp_path / "i.h5", "index") as file:
        assert list(file.text("name")) == []
        assert file.mapped("digest").shape == (0, 16)


@pytest.mark.parametrize("count", [1, 1000, 30_000])
def test_large_arrays_give_the_same_bytes_as_small_ones(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arrays = index_of(count)
    store.save(tmp_path / "i.h5", "index", arrays, INDEX)
    monkeypatch.setattr(compose, "LARGE", 1)
    (tmp_path / "large.h5.part").write_bytes(b"left by a run that was killed" * 10_000)
    store.save(tmp_path / "large.h5", "index", arrays, INDEX)
    assert (tmp_path / "large.h5").read_bytes() == (tmp_path / "i.h5").read_bytes()
    turned = {**arrays, "digest": np.asfortranarray(digests(range(count)))}
    store.save(tmp_path / "turned.h5", "index", turned, INDEX)
    assert (tmp_path / "turned.h5").read_bytes() == (tmp_path / "i.h5").read_bytes()


def test_large_arrays_are_not_held_twice(tmp_path: Path):
    digest = np.ones((2_000_000, 16), np.uint8)
    name = store.Text(np.zeros(2_000_000, "S1"))
    arrays = {"name": name, "digest": digest, "split": np.zeros(2_000_000, np.uint8)}
    tracemalloc.start()
    store.save(tmp_path / "i.h5", "index", arrays, INDEX)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    with store.read(tmp_path / "i.h5", "index") as file:
        np.testing.assert_array_equal(file["digest"], digest)


def test_a_disk_that_is_full_of_a_large_array_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int, data: memoryview, at: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compose, "LARGE", 1)
    monkeypatch.setattr(compose, "write_at", full)
    with pytest.raises(store.StoreError, match=r"i\.h5: no room on the disk"):
        store.save(tmp_path / "i.h5", "index", index_of(30_000), INDEX)
    assert not list(tmp_path.iterdir())


def test_arrays_that_others_wrote_in_chunks_are_read_too(path: Path):
    with h5py.File(path, "r+") as file:
        for name in ("name", "digest"):
            array, crc = file[name][()], file[name].attrs["crc32"]
            kind = file[name].dtype
            del file[name]
            file.create_dataset(name, data=array, dtype=kind, chunks=True).attrs["crc32"] = crc
    with store.read(path, "index") as file:
        assert list(file.text("name")) == file["name"].tolist()
        np.testing.assert_array_equal(file.mapped("digest"), file["digest"])
