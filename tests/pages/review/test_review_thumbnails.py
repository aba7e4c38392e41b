"""Thumbnails are made once: they go on after a kill, and new pictures only add to them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reviewed import png

import images
from pages.review.pictures import shards, thumbnails
from pages.review.pictures.read import Away, Pictures
from pages.review.pictures.shards import Shards
from pages.review.pictures.thumbnails import Thumbnails


def raws(count: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    return [png(rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)) for _ in range(count)]


def ids(of: list[bytes]) -> np.ndarray:
    return np.array([np.frombuffer(images.digest(raw), np.uint8) for raw in of])


def thumbs(folder: Path, of: list[bytes], id: np.ndarray | None = None) -> Thumbnails:
    names = np.array([str(i) for i in range(len(of))], object)
    known = ids(of) if id is None else id
    pictures = Pictures(lambda name: of[int(name)], "", names, known, 1e9)
    return Thumbnails(folder, pictures, known, 2)


def made(found: Thumbnails) -> None:
    found.start()
    found._maker.join()


def members(folder: Path) -> list[list[str]]:
    return [zipfile.ZipFile(path).namelist() for path in sorted(folder.glob("*.zip"))]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 8)
    monkeypatch.setattr(thumbnails, "SHARD", 8)
    monkeypatch.setattr(thumbnails, "AT_ONCE", 4)


def test_each_picture_has_its_thumbnail_in_a_shard(tmp_path: Path):
    every = raws(19)
    found = thumbs(tmp_path, every)
    made(found)
    assert [len(names) for names in members(tmp_path)] == [8, 8, 3]
    assert not list(tmp_path.glob("*.part"))
    for row, raw in enumerate(every):
        small = Image.open(io.BytesIO(found.of(row)))
        assert (small.format, small.size) == ("WEBP", (20, 20))
        whole = np.asarray(images.decode(raw))[:, 5:25].astype(int)
        assert np.array_equal(np.asarray(small.convert("RGB")), whole)  # small: without loss


def test_what_is_there_is_not_made_again(tmp_path: Path):
    every = raws(10)
    made(thumbs(tmp_path, every))
    again = thumbs(tmp_path, [b""] * 10, ids(every))  # which cannot be read any more
    made(again)
    assert all(again.of(row) for row in range(10))


def test_new_pictures_in_another_order_only_add(tmp_path: Path):
    every = raws(13)
    made(thumbs(tmp_path, every[:6]))
    first = members(tmp_path)[0]
    turned = every[::-1]
    found = thumbs(tmp_path, turned)
    assert len(found._shards.missing()) == 7
    made(found)
    names = members(tmp_path)
    assert names[0][:6] == first
    assert sum(map(len, names)) == 13
    for row, raw in enumerate(turned):
        digest = images.digest(raw).hex()
        assert found.of(row) == next(
            zipfile.ZipFile(path).read(f"{digest}.webp")
            for path in sorted(tmp_path.glob("*.zip"))
            if f"{digest}.webp" in zipfile.ZipFile(path).namelist()
        )


def test_pictures_of_the_same_bytes_share_one(tmp_path: Path):
    one, other = raws(2)
    found = thumbs(tmp_path, [one, other, one])
    made(found)
    assert sum(map(len, members(tmp_path))) == 2
    assert found.of(0) == found.of(2) != found.of(1)


def test_one_that_is_asked_for_before_is_made_at_once_and_a_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(thumbnails, "KEPT", 2)
    found = thumbs(tmp_path, raws(5))
    assert [Image.open(io.BytesIO(found.of(row))).size for row in range(5)] == [(20, 20)] * 5
    assert len(found._kept) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["cut", "nonsense", "empty"])
def test_a_damaged_shard_is_made_again(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
):
    every = raws(10)
    made(thumbs(tmp_path, every))
    path = tmp_path / "00000.zip"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-30], "nonsense": b"x" * 99, "empty": b""}[damage])
    found = thumbs(tmp_path, every)
    assert "is damaged" in capsys.readouterr().out
    made(found)
    assert all(Image.open(io.BytesIO(found.of(row))).size == (20, 20) for row in range(10))


def test_a_flipped_offset_gives_no_other_picture(tmp_path: Path):
    every = raws(4)
    found = thumbs(tmp_path, every)
    made(found)
    before = [found.of(row) for row in range(4)]
    other = Shards(tmp_path, ids(every))
    other.add({})  # another process writes the file anew
    found._shards._start[0] = found._shards._start[1]
    assert [found.of(row) for row in range(4)] == before


def test_a_broken_picture_is_passed_over_and_said_when_it_is_asked_for(tmp_path: Path):
    every = raws(5)
    id = ids([*every[:2], b"broken", *every[3:]])
    every[2] = b"broken"
    found = thumbs(tmp_path, every, id)
    made(found)
    assert sum(map(len, members(tmp_path))) == 4
    with pytest.raises(Away, match="no image, or of an unknown kind"):
        found.of(2)
    assert list(found.away) == [2]


def test_a_disk_that_is_full_keeps_none_and_shows_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(self: Shards, made: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Shards, "add", full)
    found = thumbs(tmp_path, raws(5))
    made(found)
    assert "thumbnails are not kept" in capsys.readouterr().out
    assert all(found.of(row) for row in range(5))


def test_stop_keeps_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = thumbs(tmp_path, raws(16))
    make, count = found._make, []

    def slow(row: int) -> bytes:
        count.append(row)
        if len(count) == 4:
            found._end.set()
        return make(row)

    monkeypatch.setattr(found, "_make", slow)
    made(found)
    found.stop()
    assert 0 < sum(map(len, members(tmp_path))) < 16
    made(thumbs(tmp_path, raws(16)))
    assert sum(map(len, members(tmp_path))) == 16
