"""Names that are packed are those that were given, wherever the blocks and the file begin."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import ImagesError, Names, _names, list_images
from images._found import Found
from images._walk import walk


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=30))
def test_packed_names_are_a_sequence_of_them(names: list[str], in_memory: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_names, "BLOCK", 4)
        patch.setattr(_names, "IN_MEMORY", in_memory)
        packed = Names(name for name in names)
        assert len(packed) == len(names)
        assert list(packed) == names
        assert packed == names
        for at in range(-len(names), len(names)):
            assert packed[at] == names[at]
        for start in range(len(names) + 1):
            for stop in range(len(names) + 2):
                assert packed[start:stop] == names[start:stop]
        assert packed[::-2] == names[::-2]
        for at in (len(names), -len(names) - 1):
            with pytest.raises(IndexError):
                packed[at]


def test_few_bytes_a_name_stay_in_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_names, "IN_MEMORY", 1 << 12)
    packed = Names(f"folder/{i:032}" for i in range(100_000))
    held = [a for a in vars(packed).values() if isinstance(a, np.ndarray)]
    assert sum(a.nbytes for a in held if not isinstance(a, np.memmap)) == 4 * 100_000
    assert packed[99_999] == f"folder/{99_999:032}"


def plant(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_names_come_sorted_whatever_folders_are_called(tmp_path: Path):
    """'/' sorts between '.' and '0': a folder does not sort as its name does."""
    names = ["a/z", "a.b/y", "a", "a-/x", "a0", "a/b/c", "a/b", "ab"]
    names = [f"{name}.png" for name in names]
    plant(tmp_path / "root", *names)
    plant(tmp_path / "pool", "2.png", "deep/1.png")
    plant(tmp_path / "other", "q.png")
    (tmp_path / "root/a!").symlink_to(tmp_path / "pool")
    (tmp_path / "pool/deep.x").symlink_to(tmp_path / "other")
    linked = ["a!/2.png", "a!/deep/1.png", "a!/deep.x/q.png"]
    found = list(walk(str(tmp_path / "root"), "", Found(), None))
    assert found == sorted([*names, *linked])


def test_no_folder_but_the_one_it_is_in_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The walk looks into a folder when its first name is asked for."""
    plant(tmp_path, *(f"{i}/{j}.png" for i in range(5) for j in range(3)))
    looked, scandir = list[str](), os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    names = walk(str(tmp_path), "", Found(), None)
    assert next(names) == "0/0.png"
    assert [Path(path).name for path in looked] == [tmp_path.name, "0"]
    assert len(list(names)) == 14
    assert len(looked) == 6


def test_a_folder_that_cannot_be_read_is_named_where_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plant(tmp_path, "a/1.png", "b/2.png")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("b/"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ImagesError, match=r'cannot read .*/b: .*by exclude: \["b"\]'):
        list_images({"from": "folder", "root": str(tmp_path)})
