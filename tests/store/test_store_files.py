"""Files of the store: what is written comes back, whole or not at all, in the same bytes."""

import errno
import fcntl
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from stored import INDEX, OF_SETTINGS, SAVED, index_of, locked, read_all, save_each_kind

import store
from store import disk


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Not to wait for the disk: no test here takes the power away."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_comes_back(tmp_path: Path, kind: str):
    path = save_each_kind(tmp_path)[kind]
    found = read_all(path, kind)
    with h5py.File(path) as file:
        for name, said in store.KINDS[kind].arrays.items():
            if "*" not in name or name.removeprefix("*/") in OF_SETTINGS:
                assert file[name.replace("*", "0")].ndim == said.ndim
    assert found["attrs"]["kind"] == kind
    assert found["attrs"]["version"] == store.KINDS[kind].version


def test_text_lists_and_numbers_come_back_as_they_were(tmp_path: Path):
    names = np.array(["", "a b/ü.jpg", "日本.png", "json:[1]"], object)
    attrs = {"dataset": "json:x", "splits": ["train", "", "é"], "n_classes": 0}
    arrays = {**index_of(4), "name": names}
    store.save(tmp_path / "i.h5", "index", arrays, attrs)
    with store.read(tmp_path / "i.h5", "index") as file:
        assert file["name"].tolist() == names.tolist()
        assert {key: file.attrs[key] for key in attrs} == attrs
        assert "digest" in file
        assert "label" not in file


def test_twenty_thousand_class_names_fit(tmp_path: Path):
    classes = [f"a class with a rather long name, number {i}" for i in range(20_000)]
    label = np.zeros(3, np.int32)
    store.save(tmp_path / "l.h5", "labels", {"label": label}, {"dataset": "d", "classes": classes})
    with store.read(tmp_path / "l.h5", "labels") as file:
        assert file.attrs["classes"] == classes


def test_an_array_larger_than_a_page_of_memory_comes_back(tmp_path: Path):
    components = np.random.default_rng(0).random((300, 300))
    basis = {"mean": np.ones(300), "components": components, "variance": np.ones(300)}
    attrs = {"dataset": "d", "backbone": "b", "normalize": True, "whiten": True, "images": 5}
    store.save(tmp_path / "p.h5", "pca", basis, attrs)
    with store.read(tmp_path / "p.h5", "pca") as file:
        np.testing.assert_array_equal(file["components"], basis["components"])


def test_equal_content_is_equal_bytes_at_any_time_and_in_any_order(tmp_path: Path):
    save_each_kind(tmp_path / "one")
    time.sleep(1.1)  # HDF5 counts seconds
    save_each_kind(tmp_path / "two")
    backwards = dict(reversed(index_of(12).items()))
    store.save(tmp_path / "two/index.h5", "index", backwards, dict(reversed(INDEX.items())))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": None}, "needs digest"),
        ({"colour": np.zeros(4)}, "has no array 'colour'"),
        ({"split": np.zeros(4, np.int64)}, "is int64, expected uint8"),
        ({"digest": np.zeros(4, np.uint8)}, r"is \(4,\), expected \[image 16\]"),
        ({"name": np.array([b"a"] * 4)}, r"is \|S1, expected str"),
    ],
)
def test_what_a_kind_does_not_say_is_refused_and_nothing_is_written(
    tmp_path: Path, change: dict, message: str
):
    arrays = {k: v for k, v in {**index_of(4), **change}.items() if v is not None}
    with pytest.raises(store.StoreError, match=message):
        store.save(tmp_path / "i.h5", "index", arrays, INDEX)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_attribute_is_refused(tmp_path: Path):
    with pytest.raises(store.StoreError, match="needs n_classes"):
        store.save(tmp_path / "i.h5", "index", index_of(4), {"dataset": "d", "splits": ["train"]})


def test_another_kind_is_refused_by_name(tmp_path: Path):
    path = save_each_kind(tmp_path)["labels"]
    with (
        pytest.raises(store.StoreError, match=r"labels\.h5: kind is 'labels', expected 'index'"),
        store.read(path, "index"),
    ):
        pass


def test_an_unknown_version_is_refused_with_what_to_do(tmp_path: Path, monkeypatch):
    path = save_each_kind(tmp_path)["index"]
    newer = store.KINDS["index"]._replace(version=2)
    monkeypatch.setitem(store.KINDS, "index", newer)
    message = r"index\.h5: version 1 of kind index, this program reads 2: write it anew"
    with pytest.raises(store.StoreError, match=message), store.read(path, "index"):
        pass


def test_an_unknown_array_is_refused_with_those_there_are(tmp_path: Path):
    path = save_each_kind(tmp_path)["labels"]
    with (
        store.read(path, "labels") as file,
        pytest.raises(store.StoreError, match="no array 'labels'; it holds label"),
    ):
        file["labels"]


def test_what_is_no_hdf5_file_is_refused_by_name(tmp_path: Path):
    for name, data in (("empty.h5", b""), ("text.h5", b"no HDF5 at all" * 100)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(store.StoreError, match=name), store.read(tmp_path / name, "index"):
            pass
    with (
        pytest.raises(store.StoreError, match="no such file; the stage that writes it has not run"),
        store.read(tmp_path / "none.h5", "index"),
    ):
        pass


def test_a_file_of_another_program_is_refused_by_name(tmp_path: Path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["name"] = np.zeros(3)
        file.attrs["crc32"] = "text"
    with pytest.raises(store.StoreError, match=r"other\.h5: kind is None"):
        read_all(tmp_path / "other.h5", "index")


def test_an_error_while_saving_leaves_the_old_file(tmp_path: Path):
    path = save_each_kind(tmp_path)["index"]
    before = path.read_bytes()
    with pytest.raises(store.StoreError):
        store.save(path, "index", {}, INDEX)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_disk_that_is_full_at_any_byte_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "i.h5"
    store.save(path, "index", index_of(40), INDEX)
    before, size = path.read_bytes(), path.stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, size, 97):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        try:
            with pytest.raises(store.StoreError, match=r"i\.h5: no room on the disk"):
                store.save(path, "index", index_of(40), INDEX)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["i.h5"]


@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate", "fsync", "ftruncate"])
def test_no_room_is_said_in_one_line_whoever_notices(tmp_path: Path, monkeypatch, call: str):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full, raising=False)
    with pytest.raises(store.StoreError, match="no room on the disk") as caught:
        store.save(tmp_path / "i.h5", "index", index_of(4), INDEX)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_without_preallocation_and_locks_will_do(
    tmp_path: Path, monkeypatch, number: int
):
    def unsupported(*_):
        raise OSError(number, os.strerror(number))

    save_each_kind(tmp_path / "one")
    monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    monkeypatch.setattr(fcntl, "flock", unsupported)
    save_each_kind(tmp_path / "two")
    monkeypatch.delattr(os, "posix_fallocate")
    save_each_kind(tmp_path / "three")
    for path in (tmp_path / "one").iterdir():
        for other in ("two", "three"):
            assert path.read_bytes() == (tmp_path / other / path.name).read_bytes()


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path):
    path = tmp_path / "i.h5"
    with disk.replacing(path) as descriptor:
        with pytest.raises(store.StoreError, match=r"i\.h5: another process is writing it"):
            store.save(path, "index", index_of(4), INDEX)
        os.write(descriptor, b"the first")
    assert path.read_bytes() == b"the first"
    store.save(path, "index", index_of(4), INDEX)


def test_what_a_killed_writer_left_does_not_stop_the_next(tmp_path: Path):
    (tmp_path / "i.h5.part").write_bytes(b"half a file, longer than the whole" * 1000)
    store.save(tmp_path / "i.h5", "index", index_of(4), INDEX)
    store.save(tmp_path / "j.h5", "index", index_of(4), INDEX)
    assert (tmp_path / "i.h5").read_bytes() == (tmp_path / "j.h5").read_bytes()


def test_many_writers_and_readers_of_one_file_see_only_whole_ones(tmp_path: Path):
    path = tmp_path / "i.h5"
    store.save(path, "index", index_of(3), INDEX)

    def work(turn: int) -> int:
        with suppress(store.StoreError):  # another is writing
            store.save(path, "index", index_of(2 + turn % 5), INDEX)
        with store.read(path, "index") as file:
            return len({len(file[name]) for name in ("name", "digest", "split")})

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(120))) == {1}


def test_a_file_can_be_read_though_its_writer_holds_a_lock_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, pauses = tmp_path / "i.h5", list[float]()
    store.save(path, "index", index_of(3), INDEX)
    with path.open("rb+") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)

        def wait(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                fcntl.flock(writer, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", wait)
        with store.read(path, "index") as file:
            assert len(file["name"]) == 3
        assert len(pauses) == 3
        fcntl.flock(writer, fcntl.LOCK_EX)
        monkeypatch.setattr("store.files.MOMENT", 0.0)
        with pytest.raises(store.StoreError, match="unable to lock"), store.read(path, "index"):
            pass


def test_a_folder_that_is_not_writable_is_named():
    with locked() as folder, pytest.raises(PermissionError) as caught:
        store.save(folder / "i.h5", "index", index_of(4), INDEX)
    assert str(folder) in str(caught.value.filename)
