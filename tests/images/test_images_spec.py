"""How a dataset is described: readers, their options, and what every reader takes."""

import inspect
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from listed import splits_of

import images
from images import (
    ImagesError,
    Listing,
    _splits,
    digest,
    list_images,
    open_images,
    reader,
    readers,
    stat_images,
)

FILES = {file.stem for file in Path(images.__file__).parent.glob("[!_]*.py")} - {"decode"}


def tree(root: Path, *names: str) -> dict[str, object]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return {"from": "folder", "root": str(root), "tree": "split/class"}


def test_every_file_is_a_reader():
    assert set(readers()) == FILES
    assert readers() == sorted(readers())


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_readers_functions_take_the_same_keywords(name):
    module = __import__(f"images.{name}", fromlist=["_"])
    taken = [
        inspect.signature(function).parameters
        for function in (module.list_images, module.open_images, module.stat_images)
    ]
    assert list(taken[0].values()) == list(taken[1].values()) == list(taken[2].values())
    assert all(option.kind is inspect.Parameter.KEYWORD_ONLY for option in taken[0].values())
    assert not {"from", "splits", "train", "part", "classes"} & set(taken[0])


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_readers_data_sheet_has_a_sentence_and_its_options(name):
    sheet = reader(name)
    assert sheet.name == name
    assert sheet.summary.endswith(".")
    assert all(sheet.options.values())


def test_the_data_sheet_of_folder_is_this():
    assert reader("folder").options == {
        "root": "text; required",
        "tree": "one of flat, class, split/class; default flat",
        "exclude": "a list of texts; default none",
        "depth": "a whole number; default none",
        "unlabelled": "a list of labels; default negative numbers",
    }


@pytest.mark.parametrize("what", [list_images, open_images, stat_images])
def test_an_unknown_reader_gets_a_close_name(what):
    with pytest.raises(ImagesError, match=r"from: cifar11 is no reader .*did you mean cifar1?0+\?"):
        what({"from": "cifar11"})


@pytest.mark.parametrize("word", ["decode", "_tree", "os", "../stages", "", None, 3, ["digits"]])
def test_only_readers_are_readers(word):
    with pytest.raises(ImagesError, match="is no reader"):
        list_images({"from": word})


@pytest.mark.parametrize("spec", [{}, {"root": "x"}, None, "digits", ["digits"]])
def test_a_description_without_a_reader_is_refused(spec):
    with pytest.raises(ImagesError, match="a dataset needs a reader"):
        list_images(spec)


@pytest.mark.parametrize("what", [list_images, open_images, stat_images])
def test_an_unknown_option_gets_a_close_name(what):
    with pytest.raises(ImagesError, match=r"has no option roott; did you mean root\?"):
        what({"from": "folder", "roott": "x"})


def test_the_options_of_every_reader_are_suggested_too():
    with pytest.raises(ImagesError, match=r"no option trian; did you mean train\?"):
        list_images({"from": "digits", "trian": ["test"]})


def test_a_required_option_is_asked_for():
    with pytest.raises(ImagesError, match=r"from: folder needs root \(text\)"):
        list_images({"from": "folder"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"from": "folder", "root": 2024}, "root must be text; found 2024"),
        ({"from": "folder", "root": None}, "root must be text; found None"),
        ({"from": "folder", "root": "x", "tree": "clas"}, "did you mean class"),
        ({"from": "folder", "root": "x", "tree": ["class"]}, "must be one of flat, class"),
        ({"from": "folder", "root": " "}, "root is empty"),
        (
            {"from": "folder", "root": "x", "exclude": "*.gif"},
            r'a list of texts, e.g. \["\*.gif"\]',
        ),
        ({"from": "folder", "root": "x", "exclude": [2024]}, "exclude must be a list of texts"),
        ({"from": "folder", "root": "x", "exclude": [""]}, "exclude must be a list of texts"),
        ({"from": "folder", "root": "x", "unlabelled": 255}, "unlabelled must be a list of labels"),
        ({"from": "folder", "root": "x", "unlabelled": [True]}, r"of labels, e\.g\. \[255, uns"),
        ({"from": "folder", "root": "x", "depth": 1.5}, "depth must be a whole number"),
        ({"from": "folder", "root": "x", "depth": 4}, "depth must be 8 to 16 bits"),
        ({"from": "folder", "root": "~nobody-at-all/x"}, "names no home folder"),
        ({"from": "objectnet", "border": True}, "border must be a whole number; found True"),
        ({"from": "objectnet", "border": "2"}, "border must be a whole number"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused(options, said):
    with pytest.raises(ImagesError, match=said):
        list_images(options)


def test_any_mapping_describes_a_dataset():
    assert len(list_images(MappingProxyType({"from": "digits"})).names) == 1797


def test_a_set_without_train_says_what_there_is(tmp_path):
    spec = tree(tmp_path, "test/cat/1.png", "validation/cat/1.png")
    said = r"no split called train; found: test, validation; .* e\.g\. train: \[validation\]"
    with pytest.raises(ImagesError, match=said):
        list_images(spec)


def test_splits_are_merged_into_train_and_keep_their_names(tmp_path):
    spec = tree(tmp_path, "a/cat/1.png", "b/cat/1.png", "test/cat/1.png")
    listing = list_images({**spec, "train": ["b", "a"]})
    assert splits_of(listing) == ["train", "train", "test"]
    assert listing.names == ["a/cat/1.png", "b/cat/1.png", "test/cat/1.png"]


def test_renaming_does_not_mix_with_a_train_that_is_there(tmp_path):
    spec = tree(tmp_path, "train/cat/1.png", "val/cat/1.png")
    with pytest.raises(ImagesError, match=r"mixed with .* say train: \[train, val\] to merge"):
        list_images({**spec, "train": ["val"]})
    assert splits_of(list_images({**spec, "train": ["train", "val"]})) == ["train", "train"]
    assert list_images({**spec, "splits": ["val"], "train": ["val"]}).names == ["val/cat/1.png"]


def test_only_some_splits_may_be_kept():
    listing = list_images({"from": "digits", "splits": ["test"], "train": ["test"]})
    assert set(splits_of(listing)) == {"train"}
    assert len(listing.names) == len(listing.labels) == 360
    assert listing.names[0] == "test/00000"


@pytest.mark.parametrize("option", ["splits", "train"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["tset"], r"there is no split called tset; did you mean test\?"),
        (["x"], "there is no split called x; there are test, train"),
        ("test", r"must be a list of splits, e\.g\."),
        ([], "must be a list of splits"),
        ([1], "there is no split called 1; there are test, train"),
        ([[1]], "must be a list of splits"),
        (None, "must be a list of splits"),
    ],
)
def test_a_split_that_is_not_there_is_refused(option, value, said):
    with pytest.raises(ImagesError, match=f"{option}: {said}"):
        list_images({"from": "digits", option: value})


def test_classes_overrides_how_many_are_expected():
    listing = list_images({"from": "digits", "classes": 30})
    assert listing.n_classes == 30
    assert len(listing.classes) == 10


@pytest.mark.parametrize("n", [0, -1, 2.0, "10", True, None])
def test_classes_is_a_positive_number(n):
    with pytest.raises(ImagesError, match=f"classes: must be a whole number .* found {n!r}"):
        list_images({"from": "digits", "classes": n})


def part_of(part: float, **options: object) -> list[str]:
    return list_images({"from": "digits", "part": part, **options}).names


def test_a_part_of_each_split_is_kept_in_order():
    whole, listing = list_images({"from": "digits"}), list_images({"from": "digits", "part": 0.1})
    assert [splits_of(listing).count(split) for split in ("train", "test")] == [144, 36]
    at = [whole.names.index(name) for name in listing.names]
    assert at == sorted(at)
    assert splits_of(listing) == [splits_of(whole)[i] for i in at]
    np.testing.assert_array_equal(listing.labels, whole.labels[at])
    assert listing.n_classes == whole.n_classes == 10
    assert listing.classes == whole.classes


def test_a_part_is_spread_over_the_split():
    at = [int(name[-5:]) for name in part_of(0.1) if name.startswith("train")]
    assert np.ptp(at) > 1300
    assert len({i % 144 for i in at}) > 70


def test_a_larger_part_holds_a_smaller_one_and_1_holds_all():
    parts = [set(part_of(part)) for part in (1e-9, 0.01, 0.1, 0.5, 0.99, 1)]
    assert all(small < large for small, large in pairwise(parts))
    assert [len(parts[0]), len(parts[-1])] == [2, 1797]
    assert part_of(1.0) == list_images({"from": "digits"}).names


def test_a_part_is_of_what_splits_and_train_leave():
    assert set(part_of(0.1, splits=["train"])) < set(part_of(0.1))
    merged = list_images({"from": "digits", "train": ["train", "test"], "part": 0.1})
    assert splits_of(merged) == ["train"] * 180


def test_the_same_names_are_kept_in_any_order():
    names = [f"train/{i}" for i in range(50)]
    labels = np.arange(50, dtype=np.int32)

    def kept(order: list[int]) -> dict[str, int]:
        listing = Listing(
            [names[i] for i in order], np.zeros(50, np.int32), ["train"], labels[order], [], 0
        )
        found = _splits.apply(listing, {"part": 0.3})
        return dict(zip(found.names, found.labels.tolist(), strict=True))

    forwards = kept(list(range(50)))
    assert kept(list(range(49, -1, -1))) == forwards
    assert len(forwards) == 15


def test_which_images_a_part_holds_does_not_change():
    # Whoever tried something on a part wants the same images tomorrow.
    expected = ["train/00168", "train/00685", "train/00997", "test/00171"]
    assert part_of(0.002) == expected


@pytest.mark.parametrize("part", [0, 0.0, -0.1, 1.1, 10, "0.1", True, None, [0.1], math.nan])
def test_a_part_is_a_share(part):
    with pytest.raises(ImagesError, match="part: must be a share of the images, above 0") as error:
        list_images({"from": "digits", "part": part})
    assert str(error.value).endswith(f"found {part!r}")


def test_classes_taken_for_splits_are_told(tmp_path):
    spec = tree(tmp_path, *(f"c{i:03}/x/1.png" for i in range(300)))
    with pytest.raises(ImagesError, match=r"300 splits, at most 255 .* then say tree: class"):
        list_images({**spec, "train": ["c000"]})
    with pytest.raises(ImagesError, match="c007 and 292 more"):
        list_images(spec)


def test_a_digest_is_of_content_shape_and_kind():
    raw = bytes(range(16))
    flat = np.frombuffer(raw, np.uint8)
    found = [
        digest(raw),
        digest(raw + b"\0"),
        digest(flat.reshape(2, 8)),
        digest(flat.reshape(4, 4)),
        digest(flat.reshape(4, 4).astype(np.uint16)),
        digest(b""),
    ]
    assert len(set(found)) == len(found)
    assert {len(one) for one in found} == {16}


def test_a_digest_does_not_depend_on_memory_order():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert digest(picture) == digest(np.asfortranarray(picture))
    assert digest(picture[:, ::-1]) == digest(picture[:, ::-1].copy())


def test_digests_do_not_change():
    # They key the feature store: another value here would embed everybody's images again.
    assert digest(b"cairn").hex() == "6e68aa8c2fef8aee617f11d9c07f8b8f"
    assert digest(np.zeros((2, 2), np.uint8)).hex() == "122da9557d569f1ca152bf9e8ffa839c"


def test_importing_images_imports_nothing_heavy():
    heavy = ["PIL.Image", "torch", "torchvision", "sklearn", "yaml", "images.folder"]
    code = f"import images, sys; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
