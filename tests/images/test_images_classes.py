"""One numbering of classes: natural order, Unicode, memory."""

import tracemalloc
from decimal import Decimal

import numpy as np
import pytest
from listed import splits_of

from images import ImagesError, few, list_images, natural, number_classes


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return {"from": "folder", "root": str(root), "tree": "class"}


def test_digits_count_as_numbers_within_a_name():
    names = ["b", "a10", "a9", "a", "10", "9", "a9b2", "a9b10", "09", "a 1"]
    assert sorted(names, key=natural) == [
        "9", "09", "10", "a", "a9", "a9b2", "a9b10", "a10", "a 1", "b",
    ]  # fmt: skip
    assert natural("9" * 9000) > natural("8" * 9000)  # more digits than int() takes


def test_folders_are_numbered_as_people_count(tmp_path):
    listing = list_images(plant(tmp_path, *(f"{i}/x.png" for i in range(12))))
    assert listing.classes == [str(i) for i in range(12)]
    found = {
        name.split("/")[0]: label
        for name, label in zip(listing.names, listing.labels.tolist(), strict=True)
    }
    assert found == {str(i): i for i in range(12)}


def test_two_forms_of_one_name_are_one_class_and_one_split(tmp_path):
    spec = plant(tmp_path, "train/café/1.png", "test/cafe\u0301/2.png", "train/x/3.png")
    listing = list_images({**spec, "tree": "split/class"})
    assert listing.classes == ["café", "x"]
    assert sorted(listing.names) == ["test/cafe\u0301/2.png", "train/café/1.png", "train/x/3.png"]
    assert listing.labels.tolist() == [0, 0, 1]
    (note,) = listing.notes
    assert "class 'café' is spelled in 2 ways" in note
    other = plant(tmp_path / "other", "é/a/1.png", "e\u0301/a/2.png", "t/a/1.png")
    listing = list_images({**other, "tree": "split/class", "train": ["e\u0301"]})
    assert splits_of(listing).count("train") == 2
    assert "split 'é' is spelled in 2 ways" in listing.notes[0]


def test_a_folder_of_noise_is_no_class(tmp_path):
    listing = list_images(plant(tmp_path, "-1/a.png", "0/b.png", "1/c.png"))
    assert (listing.classes, listing.labels.tolist()) == (["0", "1"], [-1, 0, 1])
    assert "-1 (1)" in listing.notes[0]
    with pytest.raises(ImagesError, match=r"there are only -1 \(1\), 1 \(1\): is -1 a class\?"):
        list_images(plant(tmp_path / "two", "-1/a.png", "1/c.png"))
    two = plant(tmp_path / "two")
    assert list_images({**two, "unlabelled": []}).classes == ["-1", "1"]
    one = list_images({**two, "unlabelled": [-1]})
    assert (one.classes, one.labels.tolist()) == (["1"], [-1, 0])
    words = list_images(plant(tmp_path / "words", "-1/a.png", "cat/c.png"))
    assert words.classes == ["-1", "cat"]


def test_memory_is_that_of_the_images():
    values = np.array([7, 300_000_000, 2**62] * 1000)
    tracemalloc.start()
    assert number_classes(values, "x").names == ["7", "300000000", str(2**62)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_numbers_that_pandas_made_real_are_whole():
    found = number_classes(["1.0", "", "10.0", "2.0"], "x")
    assert (found.names, found.label.tolist()) == (["1", "2", "10"], [0, -1, 2, 1])
    assert number_classes(["1.0", "2.5"], "x").names == ["1.0", "2.5"]


@pytest.mark.parametrize("values", [np.array([0.5]), np.array([np.inf]), np.array([1j]),
                                    np.array(["2020-01-01"], "datetime64[D]")])  # fmt: skip
def test_what_is_no_class_is_refused(values):
    with pytest.raises(ImagesError, match=r"x: found .*, expected whole numbers or text"):
        number_classes(values, "x")


def test_of_many_words_the_first_are_shown():
    assert few(list("abcde"), 3) == "a, b, c and 2 more"
    assert few(list("abc"), 3) == "a, b, c"


def test_ids_in_the_place_of_labels_are_told():
    assert number_classes([str(i) for i in range(30)], "x").notes == [
        "x: each of 30 images is a class of its own"
    ]


def test_a_person_says_which_labels_mean_none(tmp_path):
    values = np.array([0, 255, 3, 255, -1, 0])
    found = number_classes(values, "x", [255, "-1"])
    assert (found.names, found.label.tolist()) == (["0", "3"], [0, -1, 1, -1, -1, 0])
    assert found.notes == ["x: no label, by unlabelled: -1 (1), 255 (2)"]
    (note,) = number_classes(values, "x", [255]).notes
    assert note == "x: no label, by unlabelled: 255 (2); -1 (1) is a class"
    assert number_classes(["1.0", "255.0", ""], "x", [255]).names == ["1"]
    assert number_classes(["1", "255"], "x", ["255.0"]).names == ["1"]
    spec = plant(tmp_path, "owl/1.png", "unsorted/2.png", "wre\u0301n/3.png")
    listing = list_images({**spec, "unlabelled": ["unsorted", "wr\u00e9n"]})
    assert (listing.classes, listing.labels.tolist(), listing.n_classes) == (
        ["owl"],
        [0, -1, -1],
        1,
    )


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["Unsorted"], "x: unlabelled: no label is 'Unsorted'; did you mean 'unsorted'?"),
        ([255], "x: unlabelled: no label is '255'; there are owl, unsorted"),
    ],
)
def test_a_label_that_does_not_occur_cannot_mean_none(given, line):
    with pytest.raises(ImagesError) as error:
        number_classes(["owl", "unsorted"], "x", given)
    assert str(error.value) == line


def test_classes_that_look_alike_are_said():
    (note,) = number_classes(["Owl", "owl", "wren", "owl\u200b"], "x").notes
    assert note.startswith(r"x: 'Owl', 'owl', 'owl\u200b' are told apart, and differ by capitals")
    assert not number_classes(["a1", "a2", "b"], "x").notes


def test_an_object_is_told_by_its_kind():
    with pytest.raises(ImagesError, match="x: found Decimal, expected"):
        number_classes(np.array([Decimal(1)]), "x")
