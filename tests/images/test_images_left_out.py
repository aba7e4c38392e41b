"""What lies in people's folders beside plain pictures: read by content, left out, excluded."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from images import ImagesError, Listing, decode, digest, list_images, open_images

pillow_heif.register_heif_opener()  # to write it


def plant(root: Path, *names: str, raw: bytes = b"") -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(raw or name.encode())
    return root


def picture(kind: str = "PNG", size: int = 16) -> bytes:
    out = BytesIO()
    Image.new("RGB", (size, size), (200, 30, 40)).save(out, kind)
    return out.getvalue()


def listed(root: Path, **options: object) -> Listing:
    return list_images({"from": "folder", "root": str(root), **options})


def test_what_is_left_out_is_said(tmp_path):
    plant(tmp_path, "a.png", "Makefile", "notes", *(f"{i}.CR2" for i in range(300)))
    (said,) = listed(tmp_path).notes
    assert said == (
        "left out: 300 .cr2, 2 without suffix (develop .cr2 to JPEG, PNG or TIFF to have them)"
    )
    assert listed(plant(tmp_path / "pure", "a.png")).notes == ()


def test_many_kinds_are_said_in_one_line(tmp_path):
    plant(tmp_path, "a.png", *(f"x.{letter}" for letter in "bcdefghijk"))
    (said,) = listed(tmp_path).notes
    assert said.startswith("left out: 1 .")
    assert said.endswith(", 2 of 2 other kinds")


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.hif"])
def test_the_photographs_of_a_telephone_are_read(tmp_path, name):
    spec = {"from": "folder", "root": str(plant(tmp_path, name, raw=picture("HEIF", 64)))}
    found = decode(open_images(spec)(*list_images(spec).names))
    assert found.size == (64, 64)
    assert np.allclose(np.asarray(found)[32, 32], [200, 30, 40], atol=8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
@pytest.mark.parametrize("name", ["IMG_1234", "x.jpg_large", "0a.1", "photo.png!d", "é.ümlaut"])
def test_an_odd_suffix_does_not_hide_an_image(tmp_path, kind, name):
    plant(tmp_path, name, raw=picture(kind))
    listing = listed(tmp_path)
    assert listing.names == [name]
    assert listing.notes[0].startswith("read by their content: 1 ")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_telephones_file_without_suffix_is_an_image(tmp_path, kind):
    assert listed(plant(tmp_path, "IMG_1", raw=picture(kind))).names == ["IMG_1"]


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"BM, a good make of car",
            b"P2P networks",
            b"%PDF-1.7",
            b"<svg/>",
            b"RIFF1234WAVE",
            b"GIF",
        ),
        *(b"\0\0\0\x20ftypisom\0\0\0\0isom", b"\xff\xd8", b"II", b"\0" * 40),
    ],
)
def test_what_only_looks_alike_is_none(tmp_path, raw):
    plant(plant(tmp_path, "a.png"), "odd", raw=raw)
    assert listed(tmp_path).names == ["a.png"]


def test_raw_files_are_not_taken_for_the_tiff_that_they_begin_as(tmp_path):
    plant(plant(tmp_path, "a.png"), "b.dng", "c.NEF", "d.arw", raw=picture("TIFF"))
    listing = listed(tmp_path)
    assert listing.names == ["a.png"]
    assert "(develop .arw, .dng, .nef to" in listing.notes[0]


def test_files_whose_suffix_tells_are_not_opened(tmp_path, monkeypatch):
    plant(tmp_path, "a.png", "b.txt", "c.mp4", "d.json", "e.CR2", "f.heic", "g.xmp")
    monkeypatch.setattr("builtins.open", None)
    assert listed(tmp_path).names == ["a.png", "f.heic"]


def test_a_file_that_cannot_be_opened_is_left_out(tmp_path, monkeypatch):
    plant(tmp_path, "a.png", "odd")
    (tmp_path / "lost").symlink_to("nowhere")
    assert listed(tmp_path).notes == ("left out: 2 without suffix",)


def test_classes_left_empty_are_named(tmp_path):
    plant(tmp_path, "cat/1.png", "dog/1.cr2", "dog/deep/er/2.cr2", "dog/x.txt", "cat/y.json")
    (tmp_path / "emu/nest").mkdir(parents=True)
    listing = listed(tmp_path, tree="class")
    assert listing.classes == ["cat"]
    assert listing.notes[-1] == ("classes without an image: dog (2 .cr2, 1 .txt), emu (no files)")
    assert len(listed(tmp_path).notes) == 1  # flat: they are no classes


def test_classes_left_empty_in_one_split_are_named(tmp_path):
    plant(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.nef", "test/dog/1.png")
    (tmp_path / "extra/cat").mkdir(parents=True)
    notes = listed(tmp_path, tree="split/class").notes
    assert notes[-1] == "classes without an image: extra (no files), test/cat (1 .nef)"


@pytest.mark.parametrize(
    "folder",
    [
        *("@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", "System Volume Information"),
        *("#recycle", "__MACOSX", "@Recycle"),
    ],
)
def test_folders_of_the_system_are_no_classes(tmp_path, folder):
    plant(tmp_path, "cat/1.png", f"cat/{folder}/2.png", f"{folder}/3.png", f"{folder}/cat/4.png")
    listing = listed(tmp_path, tree="class")
    assert (listing.names, listing.classes) == (["cat/1.png"], ["cat"])
    assert listing.notes == (f"folders of the system left out: {folder} (2)",)


def test_a_file_may_be_called_like_a_folder_of_the_system(tmp_path):
    assert listed(plant(tmp_path, "__MACOSX", raw=picture())).names == ["__MACOSX"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["*.gif"], ["a/b/2.png", "a/x 1.png", "é/3.png"]),
        (["b"], ["1.gif", "a/4.gif", "a/x 1.png", "é/3.png"]),
        (["a/b"], ["1.gif", "a/4.gif", "a/x 1.png", "é/3.png"]),
        (["/a/b/"], ["1.gif", "a/4.gif", "a/x 1.png", "é/3.png"]),
        (["a"], ["1.gif", "é/3.png"]),
        (["a/*.gif", "x *"], ["1.gif", "a/b/2.png", "é/3.png"]),
        (["e\u0301"], ["1.gif", "a/4.gif", "a/b/2.png", "a/x 1.png"]),
        (["[0-9].*"], ["a/x 1.png"]),
    ],
)
def test_what_a_user_names_is_excluded(tmp_path, exclude, left):
    plant(tmp_path, "1.gif", "a/4.gif", "a/b/2.png", "a/x 1.png", "é/3.png")
    listing = listed(tmp_path, exclude=exclude)
    assert listing.names == left
    assert listing.notes[0].startswith("files and folders excluded: ")


def test_a_pattern_that_excludes_nothing_is_said(tmp_path):
    plant(tmp_path, "1.gif", "2.png")
    notes = listed(tmp_path, exclude=["*.gif", "*.GIF", "drafts"]).notes
    assert notes == (
        "files and folders excluded: 1 by *.gif",
        "exclude: nothing is called *.GIF, drafts",
    )


def test_a_folder_that_cannot_be_read_is_named_and_can_be_excluded(tmp_path, monkeypatch):
    plant(tmp_path, "a/1.png", "a/locked/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        ImagesError, match=r'a/locked: Permission denied; .*exclude: \["a/locked"\]'
    ):
        listed(tmp_path)
    assert listed(tmp_path, exclude=["a/locked"]).names == ["a/1.png"]


def deep(values: list[int], kind: str = "TIFF") -> bytes:
    out = BytesIO()
    Image.fromarray(np.array([values] * 8, np.uint16)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_twelve_bits_in_sixteen_are_scaled_when_that_is_said(tmp_path, kind):
    plant(plant(tmp_path, "a.x", raw=deep([0, 2048, 4095], kind)), "b.png", raw=picture())
    spec = {"from": "folder", "root": str(tmp_path)}
    assert np.asarray(decode(open_images(spec)("a.x")))[0, :, 0].tolist() == [0, 8, 16]
    read = open_images({**spec, "depth": 12})
    assert np.asarray(decode(read("a.x")))[0, :, 0].tolist() == [0, 128, 255]
    assert digest(read("a.x")) != digest(open_images(spec)("a.x"))  # other vectors
    assert read("b.png") == picture()
    sixteen = np.asarray(decode(open_images({**spec, "depth": 16})("a.x")))
    assert sixteen[0, :, 0].tolist() == [0, 8, 16]


def test_more_bits_than_are_said_are_refused(tmp_path):
    plant(tmp_path, "a.tif", raw=deep([0, 5000]))
    with pytest.raises(
        ImagesError, match=r"a\.tif has the value 5,000, and depth: 12 says .*4,095"
    ):
        open_images({"from": "folder", "root": str(tmp_path), "depth": 12})("a.tif")


def test_a_broken_file_is_left_to_those_who_decode_it(tmp_path):
    plant(tmp_path, "a.tif", raw=deep([0, 5000])[:60])
    spec = {"from": "folder", "root": str(tmp_path), "depth": 12}
    assert len(open_images(spec)("a.tif")) == 60


def test_a_pattern_of_another_system_is_said(tmp_path):
    plant(tmp_path, "a/1.png")
    for pattern in ("a\\1.png", f"{tmp_path}/a"):
        (*_, note) = listed(tmp_path, exclude=[pattern]).notes
        assert note.endswith("(paths begin below root, and have / in between)")
