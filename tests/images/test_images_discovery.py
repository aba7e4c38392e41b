"""The sets of category discovery in their published form: small copies, written here.

Benchmarks draw who is labelled in the order of a set's own list, so the order is what is tested.
"""

import sys
import types
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from listed import splits_of
from scipy.io import savemat

from images import ImagesError, list_images, open_images, stat_images

Images = dict[str, list[tuple[str, int]]]  # by split: name and label, in order


def put(place: Path, names: list[str]) -> None:
    """Files that hold their own names; listing never looks into them."""
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def cub(root: Path) -> Images:
    base = root / "CUB_200_2011"
    of = {"003.Crow/Crow_7.jpg": (3, 1), "001.Auk/Auk_9.jpg": (1, 0), "001.Auk/Auk_2.jpg": (1, 1)}
    of |= {"002.Sooty_Tern/Tern_1.jpg": (2, 1), "003.Crow/Crow_1.jpg": (3, 0)}
    put(base / "images", list(of))
    write(base / "images.txt", *(f"{i} {name}" for i, name in enumerate(of, 1)))
    # The other files go by the images' numbers, whatever their own order.
    rows = list(enumerate(of.values(), 1))[::-1]
    write(base / "image_class_labels.txt", *(f"{i} {label}" for i, (label, _) in rows))
    write(base / "train_test_split.txt", *(f"{i} {train}" for i, (_, train) in rows))
    write(base / "classes.txt", "1 001.Auk", "2 002.Sooty_Tern", "3 003.Crow")
    names = list(of)
    train = [(names[0], 2), (names[2], 0), (names[3], 1)]
    return {"train": train, "test": [(names[1], 0), (names[4], 2)]}


def annotations(file: Path, of: list[tuple[str, int]]) -> None:
    """As in the devkit: a 1 x N struct array with the class as a byte, and fname last."""
    kinds = [(f"bbox_{x}", object) for x in ("x1", "y1", "x2", "y2")]
    rows = np.empty((1, len(of)), [*kinds, ("class", object), ("fname", object)])
    for i, (name, number) in enumerate(of):
        rows[0, i] = (*np.uint16([[1], [2], [300], [400]]), np.uint8(number), name)
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {"annotations": rows})


def stanford_cars(root: Path) -> Images:
    base = root / "stanford_cars"
    train, test = [("00002.jpg", 3), ("00001.jpg", 1), ("00003.jpg", 3)], [("00001.jpg", 2)]
    annotations(base / "devkit/cars_train_annos.mat", train)
    annotations(base / "cars_test_annos_withlabels.mat", test)
    names = np.array([["Acura TL Sedan 2012", "Ram C/V Cargo Van 2012", "Fisker Karma"]], object)
    savemat(base / "devkit/cars_meta.mat", {"class_names": names})
    put(base, [f"cars_train/{name}" for name, _ in train] + ["cars_test/00001.jpg"])
    return {
        "train": [(f"cars_train/{name}", number - 1) for name, number in train],
        "test": [("cars_test/00001.jpg", 1)],
    }


def fgvc_aircraft(root: Path) -> Images:
    data = root / "fgvc-aircraft-2013b/data"
    train = [("1025794.jpg", 3), ("0481847.jpg", 2), ("11.jpg", 1)]
    test = [("1514522.jpg", 0), ("0056978.jpg", 2)]
    write(data / "variants.txt", "707-320", "BAE 146-200", "BAE-125", "F-16A/B")
    rows = ["1025794 F-16A/B", "0481847 BAE-125", "11 BAE 146-200"]
    write(data / "images_variant_trainval.txt", *rows)
    write(data / "images_variant_test.txt", "1514522 707-320", "0056978 BAE-125")
    put(data / "images", [name for name, _ in [*train, *test]] + ["99.jpg"])
    return {"train": train, "test": test}


def herbarium19(root: Path) -> Images:
    base = root / "herbarium_19"
    train = ["0/b.jpg", "1/c.jpg", "10/a.jpg", "10/d.jpg", "2/a.jpg"]
    test = ["0/e.jpg", "1/e.jpg", "10/e.jpg", "2/e.jpg"]
    put(base / "small-train", train[::-1])
    put(base / "small-validation", test)
    label = {"0": 0, "1": 1, "10": 2, "2": 3}
    return {
        split: [(f"small-{folder}/{name}", label[name.split("/")[0]]) for name in names]
        for split, folder, names in (("train", "train", train), ("test", "validation", test))
    }


def oxford_pets(root: Path) -> Images:
    base = root / "oxford-iiit-pet"
    write(
        base / "annotations/trainval.txt",
        *("american_bulldog_12 2 2 1", "Abyssinian_100 1 1 1", "saint_bernard_3 3 2 2"),
    )
    write(base / "annotations/test.txt", "Abyssinian_2 1 1 1", "american_bulldog_1 2 2 1")
    train = [("american_bulldog_12.jpg", 1), ("Abyssinian_100.jpg", 0), ("saint_bernard_3.jpg", 2)]
    test = [("Abyssinian_2.jpg", 0), ("american_bulldog_1.jpg", 1)]
    put(base / "images", [*(name for name, _ in train + test), "Abyssinian_100.mat"])
    return {"train": train, "test": test}


SETS: dict[str, Callable[[Path], Images]] = {
    made.__name__: made for made in (cub, stanford_cars, fgvc_aircraft, herbarium19, oxford_pets)
}
CLASSES = {
    "cub": ["Auk", "Sooty Tern", "Crow"],
    "stanford_cars": ["Acura TL Sedan 2012", "Ram C/V Cargo Van 2012", "Fisker Karma"],
    "fgvc_aircraft": ["707-320", "BAE 146-200", "BAE-125", "F-16A/B"],
    "herbarium19": ["0", "1", "10", "2"],
    "oxford_pets": ["Abyssinian", "American Bulldog", "Saint Bernard"],
}


@pytest.fixture(autouse=True)
def few_species(monkeypatch):
    monkeypatch.setattr("images.herbarium19.N_CLASSES", 4)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_listed_in_the_order_of_its_own_lists(tmp_path, name):
    expected = SETS[name](tmp_path)
    spec = {"from": name, "root": str(tmp_path)}
    listing = list_images(spec)
    assert splits_of(listing) == [split for split, of in expected.items() for _ in of]
    assert listing.names == [image for of in expected.values() for image, _ in of]
    assert listing.labels.tolist() == [label for of in expected.values() for _, label in of]
    assert listing.labels.dtype == np.int32
    assert (listing.classes, listing.n_classes) == (CLASSES[name], len(CLASSES[name]))
    read, stat = open_images(spec), stat_images(spec)
    for image in listing.names:
        assert image.encode().endswith(read(image))
        assert stat(image)[0] == len(read(image))


@pytest.mark.parametrize("name", SETS)
def test_a_listed_image_that_is_not_there_is_named(tmp_path, name):
    lost = SETS[name](tmp_path)["train"][0][0]
    (file,) = [path for path in tmp_path.rglob("*.jpg") if str(path).endswith(f"/{lost}")]
    file.unlink()
    said = f"no image in .*{Path(lost).parent}" if name == "herbarium19" else f"lacks 1 of .*{lost}"
    with pytest.raises(ImagesError, match=said) as caught:
        list_images({"from": name, "root": str(tmp_path)})
    assert "\n" not in str(caught.value)


TEXTS = {
    "cub": ["images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"],
    "stanford_cars": [
        *("cars_train_annos.mat", "cars_test_annos_withlabels.mat", "cars_meta.mat"),
    ],
    "fgvc_aircraft": ["variants.txt", "images_variant_trainval.txt", "images_variant_test.txt"],
    "oxford_pets": ["trainval.txt", "test.txt"],
}
FILES = [(name, file) for name, files in TEXTS.items() for file in files]


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_set_with_a_file_missing_is_refused(tmp_path, name, file):
    SETS[name](tmp_path)
    (found,) = tmp_path.rglob(file)
    found.unlink()
    for what in (list_images, open_images, stat_images):
        with pytest.raises(ImagesError, match=f"lacks .*{file}"):
            what({"from": name, "root": str(tmp_path)})


@pytest.mark.parametrize(("name", "file"), FILES)
@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00 \n", b"x\n"])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, name, file, raw):
    SETS[name](tmp_path)
    (found,) = tmp_path.rglob(file)
    found.write_bytes(raw)
    with pytest.raises(ImagesError, match=r"; (delete|put) ") as caught:
        list_images({"from": name, "root": str(tmp_path)})
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file", "line", "said"),
    [
        ("cub", "image_class_labels.txt", "3 x", r"line 6 of .* is '3 x'; expected NUMBER NUMBER"),
        ("cub", "image_class_labels.txt", "3 1", "does not have each of the 5 images"),
        ("cub", "images.txt", "6 001.Auk/Auk_2.jpg", "does not have each of the 6 images"),
        ("cub", "classes.txt", "5 005.Grebe", "does not count classes from 1"),
        ("fgvc_aircraft", "images_variant_test.txt", "11 707-320", r"11\.jpg .* listed 2 times"),
        ("fgvc_aircraft", "images_variant_test.txt", "99 707", "image 99 is a 707, which is not"),
        ("oxford_pets", "test.txt", "Abyssinian_9 3 1 1", "class 3 is both saint_bernard and Abys"),
        ("oxford_pets", "test.txt", "sphynx_9 5 1 1", "4 classes, numbered 1 to 5; expected each"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(tmp_path, name, file, line, said):
    SETS[name](tmp_path)
    (found,) = tmp_path.rglob(file)
    with found.open("a") as lines:
        lines.write(f"{line}\n")
    with pytest.raises(ImagesError, match=f"{said}.*; delete "):
        list_images({"from": name, "root": str(tmp_path)})


def test_a_split_that_is_neither_train_nor_test_is_refused(tmp_path):
    cub(tmp_path)
    write(tmp_path / "CUB_200_2011/train_test_split.txt", "1 1", "2 2", "3 1", "4 0", "5 0")
    with pytest.raises(ImagesError, match="says 2 of image 2; expected 1 for train or 0 for test"):
        list_images({"from": "cub", "root": str(tmp_path)})


@pytest.mark.parametrize("number", [0, 4])
def test_a_class_beyond_the_classes_is_refused(tmp_path, number):
    stanford_cars(tmp_path)
    file = tmp_path / "stanford_cars/cars_test_annos_withlabels.mat"
    annotations(file, [("00001.jpg", number)])
    said = f"cars_test/00001.jpg .* is of class {number}, counted from 1, but there are 3 classes"
    with pytest.raises(ImagesError, match=said):
        list_images({"from": "stanford_cars", "root": str(tmp_path)})


def test_variants_are_numbered_as_sorted_text_whatever_the_order_of_their_file(tmp_path):
    fgvc_aircraft(tmp_path)
    file = tmp_path / "fgvc-aircraft-2013b/data/variants.txt"
    write(file, *file.read_text().splitlines()[::-1])
    listing = list_images({"from": "fgvc_aircraft", "root": str(tmp_path)})
    assert listing.classes == CLASSES["fgvc_aircraft"]
    assert listing.labels.tolist() == [3, 2, 1, 0, 2]


def test_the_test_labels_of_cars_may_lie_in_the_devkit_too(tmp_path):
    expected = stanford_cars(tmp_path)
    base = tmp_path / "stanford_cars"
    name = "cars_test_annos_withlabels.mat"
    (base / name).rename(base / "devkit" / name)
    listing = list_images({"from": "stanford_cars", "root": str(tmp_path)})
    assert listing.names[-1] == expected["test"][0][0]


def test_annotations_of_cars_without_classes_are_refused(tmp_path):
    stanford_cars(tmp_path)
    rows = np.array([[("00001.jpg",)]], [("fname", object)])
    file = tmp_path / "stanford_cars/cars_test_annos_withlabels.mat"
    savemat(file, {"annotations": rows.repeat(2, 1)})
    with pytest.raises(ImagesError, match="has fname of each image; expected fname and class"):
        list_images({"from": "stanford_cars", "root": str(tmp_path)})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stanford_cars", r"lacks devkit/cars_train_annos\.mat, .*get a copy \(https://.* and put"),
        ("herbarium19", r"lacks small-train, small-validation; join .*kaggle.* unpack them to"),
    ],
)
def test_a_set_that_cannot_be_downloaded_says_what_to_put_where(tmp_path, name, said):
    for what in (list_images, open_images, stat_images):
        with pytest.raises(ImagesError, match=said) as caught:
            what({"from": name, "root": str(tmp_path)})
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_a_herbarium_without_a_class_is_refused_for_the_numbers_would_shift(tmp_path):
    herbarium19(tmp_path)
    (tmp_path / "herbarium_19/small-validation/10").rename(tmp_path / "10")
    with pytest.raises(ImagesError, match="small-validation has 3 folders, 0, 1, 2 …; expected"):
        list_images({"from": "herbarium19", "root": str(tmp_path)})
    (tmp_path / "10").rename(tmp_path / "herbarium_19/small-validation/3")
    with pytest.raises(ImagesError, match="have not the same classes; unpack both whole"):
        list_images({"from": "herbarium19", "root": str(tmp_path)})


def test_the_herbarium_has_683_species_numbered_as_sorted_text(tmp_path, monkeypatch):
    monkeypatch.undo()
    for folder in ("small-train", "small-validation"):
        put(tmp_path / "herbarium_19" / folder, [f"{i}/x.jpg" for i in range(683)])
    listing = list_images({"from": "herbarium19", "root": str(tmp_path)})
    assert listing.n_classes == 683
    assert [listing.classes.index(name) for name in ("0", "1", "10", "100", "2", "99")] == [
        *(0, 1, 2, 3, 112, 682)
    ]
    (tmp_path / "herbarium_19/small-train/7/x.jpg").unlink()
    (tmp_path / "herbarium_19/small-train/7").rmdir()
    with pytest.raises(ImagesError, match="has 682 folders, 0, 1, 10 …; expected those of 683"):
        list_images({"from": "herbarium19", "root": str(tmp_path)})


ARCHIVES = {"cub": "CUB_200_2011", "fgvc_aircraft": "FGVC-Aircraft"}


@pytest.mark.parametrize("name", ARCHIVES)
def test_without_a_network_an_archive_says_where_it_was_looked_for(tmp_path, monkeypatch, name):
    asked = []

    def refuse(url, root, md5):
        asked.append((url, root, md5))
        raise urllib.error.URLError("Name or service\nnot known")

    fake = types.ModuleType("torchvision")
    utils = types.SimpleNamespace(download_and_extract_archive=refuse)
    fake.datasets = types.SimpleNamespace(utils=utils)
    torch = types.ModuleType("torch")
    torch.version = types.SimpleNamespace(cuda="13.0")
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    monkeypatch.setitem(sys.modules, "torch", torch)
    said = rf"{ARCHIVES[name]} is not in {tmp_path}/.*get the files from https://.* by hand"
    with pytest.raises(ImagesError, match=said) as caught:
        list_images({"from": name, "root": str(tmp_path)})
    assert "\n" not in str(caught.value)
    ((url, root, md5),) = asked
    assert url.startswith("https://")
    assert (root, len(bytes.fromhex(md5))) == (str(tmp_path), 16)
