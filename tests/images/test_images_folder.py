"""Anyone's own pictures: which files are images, and what their folders mean."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from listed import splits_of

from images import ImagesError, list_images, open_images, stat_images

CLOTHING = Path(__file__).parents[2].parent / "shared" / "data" / "clothing"


def plant(root: Path, *names: str) -> Path:
    """Files that are called like images; listing never looks into them."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def names(root: Path, **options: object) -> list[str]:
    return list_images({"from": "folder", "root": str(root), **options}).names


def test_images_are_found_by_suffix_in_any_case_at_any_depth(tmp_path):
    plant(
        tmp_path, "b.JPG", "a/deep/er/x.png", "a/y.Tiff", "notes.txt", "a/z.mp4", "jpg", "png.d/n"
    )
    assert names(tmp_path) == ["a/deep/er/x.png", "a/y.Tiff", "b.JPG"]


def test_a_flat_tree_is_unlabelled_and_all_train(tmp_path):
    listing = list_images({"from": "folder", "root": str(plant(tmp_path, "cat/1.png", "2.png"))})
    assert splits_of(listing) == ["train", "train"]
    assert listing.labels.tolist() == [-1, -1]
    assert listing.labels.dtype == np.int32
    assert (listing.classes, listing.n_classes) == ([], 0)


def test_the_first_folder_is_the_class(tmp_path):
    plant(tmp_path, "cat/2.png", "dog/1.png", "cat/kittens/1.png", "ant/1.png")
    listing = list_images({"from": "folder", "root": str(tmp_path), "tree": "class"})
    assert listing.names == ["ant/1.png", "cat/2.png", "cat/kittens/1.png", "dog/1.png"]
    assert listing.classes == ["ant", "cat", "dog"]
    assert listing.labels.tolist() == [0, 1, 1, 2]
    assert listing.n_classes == 3


def test_splits_may_have_different_classes_and_share_their_numbers(tmp_path):
    plant(tmp_path, "train/dog/1.png", "train/cat/1.png", "test/dog/1.png", "test/ant/1.png")
    listing = list_images({"from": "folder", "root": str(tmp_path), "tree": "split/class"})
    assert listing.names[:2] == ["test/ant/1.png", "test/dog/1.png"]
    assert listing.names[2:] == ["train/cat/1.png", "train/dog/1.png"]
    assert splits_of(listing) == ["test", "test", "train", "train"]
    assert [listing.classes[label] for label in listing.labels] == ["ant", "dog", "cat", "dog"]


def test_an_image_outside_any_class_is_refused_by_name(tmp_path):
    plant(tmp_path, "cat/1.png", "stray.png")
    with pytest.raises(ImagesError, match=r"1 of 2 images lie higher up, e\.g\. stray\.png"):
        names(tmp_path, tree="class")
    with pytest.raises(ImagesError, match=r"SPLIT/CLASS/image.*exclude: \[.*\], or say tree: flat"):
        names(tmp_path, tree="split/class")
    assert names(tmp_path, tree="class", exclude=["stray.png"]) == ["cat/1.png"]


def test_a_tree_of_another_depth_is_named(tmp_path):
    plant(tmp_path / "classes", "cat/1.png", "dog/1.png")
    with pytest.raises(ImagesError, match=r"2 of 2 .* or say tree: class$"):
        names(tmp_path / "classes", tree="split/class")
    plant(tmp_path / "splits", "train/cat/1.png", "Test/cat/1.png")
    notes = list_images({"from": "folder", "root": str(tmp_path / "splits"), "tree": "class"}).notes
    assert notes == ("classes are called Test, train: for splits say tree: split/class",)


def test_hidden_files_and_folders_are_skipped(tmp_path):
    assert names(plant(tmp_path, "a.png", ".b.png", "._a.png", ".trash/c.png", ".png")) == ["a.png"]


def test_the_order_is_that_of_code_points(tmp_path):
    plant(tmp_path, "é.png", "z.png", "Z.png", "a/b.png", "a-b.png", "10.png", "9.png", "日本.png")
    found = names(tmp_path)
    assert found == ["10.png", "9.png", "Z.png", "a-b.png", "a/b.png", "z.png", "é.png", "日本.png"]


def test_a_file_is_read_and_stated_by_its_name(tmp_path):
    plant(tmp_path, "日本/ö ü.png")
    spec = {"from": "folder", "root": str(tmp_path)}
    (name,) = list_images(spec).names
    assert open_images(spec)(name) == "日本/ö ü.png".encode()
    found = (tmp_path / name).stat()
    assert stat_images(spec)(name) == (
        found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns,
    )  # fmt: skip


def test_a_file_that_is_gone_is_an_images_error(tmp_path):
    spec = {"from": "folder", "root": str(plant(tmp_path, "a.png"))}
    for read in (open_images(spec), stat_images(spec)):
        with pytest.raises(ImagesError, match=r"cannot read .*b\.png: No such file"):
            read("b.png")


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(plant(tmp_path, "pictures/a.png")))
    spec = {"from": "folder", "root": "~/pictures"}
    assert list_images(spec).names == ["a.png"]
    assert open_images(spec)("a.png") == b"pictures/a.png"


@pytest.mark.parametrize("what", [list_images, open_images, stat_images])
def test_a_missing_folder_says_where_it_was_looked_for(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImagesError, match=f"looked for in {tmp_path}/birds, which does not exist"):
        what({"from": "folder", "root": "birds"})


def test_an_archive_in_place_of_the_folder_is_to_be_unpacked(tmp_path):
    with pytest.raises(ImagesError, match="is a file, not a folder; unpack it"):
        names(plant(tmp_path, "birds.zip") / "birds.zip")


def test_an_empty_folder_says_which_suffixes_count(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(ImagesError, match=r"it has no files; expected apng, avif, .*webp"):
        names(tmp_path)


def test_a_folder_without_images_says_which_suffixes_it_has(tmp_path):
    plant(tmp_path, "a.cr2", "b.cr2", "c.txt", "README")
    said = r"left out: 2 \.cr2, 1 without suffix, 1 \.txt \(develop \.cr2 to JPEG"
    with pytest.raises(ImagesError, match=said):
        names(tmp_path)


def test_a_name_that_is_not_unicode_is_refused(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).touch()
    except OSError:
        pytest.skip("this file system holds no such name")
    with pytest.raises(ImagesError, match=r"caf.\.png .* is not valid UTF-8; rename"):
        names(tmp_path)


def test_links_to_files_and_folders_are_followed(tmp_path):
    plant(tmp_path, "pool/1.png", "pool/more/2.png", "root/cat/own.png")
    (tmp_path / "root/cat/linked.png").symlink_to(tmp_path / "pool/1.png")
    (tmp_path / "root/dog").symlink_to(tmp_path / "pool")
    listing = list_images({"from": "folder", "root": str(tmp_path / "root"), "tree": "class"})
    assert listing.names == ["cat/linked.png", "cat/own.png", "dog/1.png", "dog/more/2.png"]
    assert listing.labels.tolist() == [0, 0, 1, 1]


def test_a_root_that_is_a_link_is_followed(tmp_path):
    plant(tmp_path, "real/1.png")
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path / "link") == ["1.png"]


def test_links_that_go_round_in_circles_end(tmp_path):
    plant(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a/self").symlink_to(".")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/b").symlink_to("../b")
    (tmp_path / "b/a").symlink_to("../a")
    (tmp_path / "b/ring").symlink_to("ring")
    assert names(tmp_path) == ["a/1.png", "a/b/2.png", "b/2.png", "b/a/1.png"]


def test_folders_that_all_link_to_each_other_are_listed_at_once(tmp_path):
    plant(tmp_path, *(f"{i}/x.png" for i in range(9)))
    for i in range(9):
        for j in range(9):
            (tmp_path / f"{i}/to{j}").symlink_to(f"../{j}")
    # All ways of going through 9 folders would be a million.
    assert len(names(tmp_path)) < 9**3


def test_a_link_to_nothing_is_listed_and_told_when_read(tmp_path):
    (plant(tmp_path, "a.png") / "lost.png").symlink_to("nowhere.png")
    spec = {"from": "folder", "root": str(tmp_path)}
    assert list_images(spec).names == ["a.png", "lost.png"]
    with pytest.raises(ImagesError, match=r"lost\.png is a link to nowhere\.png, which does not"):
        open_images(spec)("lost.png")


def test_pipes_and_sockets_are_no_images(tmp_path, monkeypatch):
    plant(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.png")
        assert names(tmp_path) == ["a.png"]


def test_a_test_split_that_is_a_link_to_train_is_refused(tmp_path):
    plant(tmp_path, "train/cat/1.png")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(ImagesError, match=r"test and train in .* are one folder"):
        names(tmp_path, tree="split/class")


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not beside this")
def test_the_clothing_photographs_are_listed():
    spec = {"from": "folder", "root": str(CLOTHING), "tree": "split/class", "train": ["validation"]}
    listing = list_images(spec)
    assert len(listing.names) == 713
    assert len(listing.classes) == 10
    assert set(splits_of(listing)) == {"train", "test"}
    del spec["train"]
    with pytest.raises(ImagesError, match="no split called train; found: test, validation"):
        list_images(spec)


def test_a_test_folder_without_classes_can_be_left_out(tmp_path):
    plant(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/3.png")
    with pytest.raises(
        ImagesError, match=r"leave them out by exclude: \[test\], or say tree: flat"
    ):
        names(tmp_path, tree="split/class")
    assert len(names(tmp_path, tree="split/class", exclude=["test"])) == 2


def test_a_variable_in_the_root_is_not_replaced(tmp_path):
    with pytest.raises(ImagesError, match="variables are not replaced: write ~, or the path"):
        names("$HOME/no pictures")
