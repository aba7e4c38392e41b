"""Strings that are read where they are asked for; arrays that are written from where they lie."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from stored import INDEX, digests, index_of, read_all

import store
from store import files


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


def test_large_arrays_say_the_same_as_small_ones(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "LARGE", 1)
    store.save(tmp_path / "large.h5", "index", index_of(12), INDEX)
    assert read_all(tmp_path / "large.h5", "index") == read_all(path, "index")
    with h5py.File(path) as one, h5py.File(tmp_path / "large.h5") as other:
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert h5py.check_string_dtype(one[name].dtype) == h5py.check_string_dtype(
                other[name].dtype
            )
    store.save(tmp_path / "twice.h5", "index", index_of(12), INDEX)
    assert (tmp_path / "twice.h5").read_bytes() == (tmp_path / "large.h5").read_bytes()
    turned = np.asfortranarray(digests(range(12)))
    store.save(tmp_path / "turned.h5", "index", {**index_of(12), "digest": turned}, INDEX)
    assert (tmp_path / "turned.h5").read_bytes() == (tmp_path / "large.h5").read_bytes()
