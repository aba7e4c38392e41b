"""Digests of images: files are read once, by runs that end and by runs that are stopped."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import images
from pipeline.indexing import digests as module
from pipeline.indexing.digests import digests
from pipeline.indexing.seen import Seen
from pipeline.params import Runtime

RUNTIME = Runtime.model_validate({
    "device": "cpu", "batch_size": 0, "workers": 0, "memory_gb": 1, "gpus": 1,
    "share_decoding": 1, "engine": "local", "ray_address": "local",
})  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "count_cores", lambda: 1)  # files are read in the order of names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(50):
        path = tmp_path / f"pictures/{i // 10}/{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([i % 40]))
    return tmp_path / "pictures"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are read."""
    found, opened = list[str](), images.open_images

    def counting(spec: object) -> Callable[[str], images.Raw]:
        read = opened(spec)
        return lambda name: found.append(name) or read(name)

    monkeypatch.setattr(images, "open_images", counting)
    return found


def look(root: Path) -> np.ndarray:
    spec = {"from": "folder", "root": str(root)}
    names = images.list_images(spec).names
    return digests(spec, names, root.parent / "data/photos/images.seen.h5", RUNTIME)


def expected(root: Path) -> list[bytes]:
    return [images.digest(path.read_bytes()) for path in sorted(root.rglob("*.png"))]


def test_digests_are_those_of_the_bytes_and_known_files_are_not_read(root: Path, reads: list[str]):
    assert [row.tobytes() for row in look(root)] == expected(root)
    assert len(reads) == 50
    (root / "0/03.png").write_bytes(b"other")
    (root / "2/new.png").write_bytes(b"new")
    (root / "4/49.png").unlink()
    (root / "1/10.png").rename(root / "1/moved.png")
    reads.clear()
    assert [row.tobytes() for row in look(root)] == expected(root)
    assert sorted(reads) == ["0/03.png", "1/moved.png", "2/new.png"]


@pytest.mark.parametrize("after", [0.0, 1e9], ids=["kept on the way", "kept at the end"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, images.ImagesError])
def test_a_stopped_run_goes_on(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch,
    after: float, error: type[BaseException],
):  # fmt: skip
    """What was read in whole chunks before a stop is not read again."""
    monkeypatch.setattr(module, "KEEP", after)
    digest, stop = module._digest, [0]

    def stopping(read: images.Opener, name: str) -> np.ndarray:
        stop[0] -= 1
        if stop[0] < 0:
            raise error("stopped")
        return digest(read, name)

    monkeypatch.setattr(module, "_digest", stopping)
    part, read_by = root.parent / "data/photos/images.seen.part", list[int]()
    for count in (9, 14, 1):
        reads.clear()
        stop[0] = count
        with pytest.raises(error):
            look(root)
        assert part.exists()
        assert not (root.parent / "data/photos/images.seen.h5").exists()
        read_by.append(len(reads))
    assert read_by == [9, 14, 1]
    stop[0] = 100
    reads.clear()
    assert [row.tobytes() for row in look(root)] == expected(root)
    assert len(reads) == 50 - 8 - 12
    assert not part.exists()
    reads.clear()
    assert [row.tobytes() for row in look(root)] == expected(root)
    assert reads == []


def test_what_a_killed_run_has_kept_is_known_as_far_as_it_is_whole(root: Path, reads: list[str]):
    spec, path = {"from": "folder", "root": str(root)}, root.parent / "data/photos/images.seen.h5"
    look(root)
    hashes = np.concatenate([found for _, found in module._hashes(spec, sorted(reads))])
    digest = look(root)
    path.unlink()
    seen = Seen(path, spec)
    for start in range(0, 40, 10):
        seen.keep(hashes[start : start + 10], digest[start : start + 10])
    part = path.with_suffix(".part")
    data = part.read_bytes()
    reads.clear()
    part.write_bytes(data[:-1])  # killed while the last ten were written
    look(root)
    assert len(reads) == 20
    path.unlink()
    reads.clear()
    part.write_bytes(data[:-1])
    seen = Seen(path, spec)
    seen.keep(hashes[30:40], digest[30:40])  # in the place of what is torn
    assert part.read_bytes() == data
    look(root)
    assert len(reads) == 10


def test_any_byte_of_what_was_kept_may_be_wrong(root: Path):
    """The number of entries, too, which says how much is read."""
    spec, path = {"from": "folder", "root": str(root)}, root.parent / "data/photos/images.seen.h5"
    hashes = np.arange(6, dtype=np.uint64).reshape(3, 2) + 1
    Seen(path, spec).keep(hashes, np.ones((3, 16), np.uint8))
    part = path.with_suffix(".part")
    data = part.read_bytes()
    for at in range(len(data)):
        part.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert not Seen(path, spec).find(hashes)[0].any()


def test_what_was_kept_may_be_removed_by_another_run(root: Path):
    spec, path = {"from": "folder", "root": str(root)}, root.parent / "data/photos/images.seen.h5"
    hashes = np.arange(8, dtype=np.uint64).reshape(4, 2) + 1
    digest, seen = np.ones((4, 16), np.uint8), Seen(path, spec)
    seen.keep(hashes[:2], digest[:2])
    path.with_suffix(".part").unlink()
    seen.keep(hashes[2:3], digest[2:3])
    seen.keep(hashes[3:], digest[3:])
    assert Seen(path, spec).find(hashes)[0].tolist() == [False, False, True, True]


def test_a_packed_set_has_no_files_to_know(tmp_path: Path):
    spec = {"from": "digits"}
    names = images.list_images(spec).names[:40]
    found = digests(spec, names, tmp_path / "images.seen.h5", RUNTIME)
    read = images.open_images(spec)
    assert [row.tobytes() for row in found] == [images.digest(read(name)) for name in names]
    assert list(tmp_path.iterdir()) == []
