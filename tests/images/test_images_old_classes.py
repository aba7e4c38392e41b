"""Which classes the benchmarks of category discovery take for known, and who may be labelled."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from listed import splits_of

import images
from images import ImagesError, _imagenet, _old, list_images, old_classes

ROOT = Path(__file__).parents[2]

BENCHMARKS = {  # from: classes, known classes, and the first and last of these
    "cifar10": (10, 5, 0, 4),
    "cifar100": (100, 80, 0, 79),
    "imagenet": (1000, 500, 0, 499),
    "cub": (200, 100, 0, 199),
    "stanford_cars": (196, 98, 0, 195),
    "fgvc_aircraft": (100, 50, 0, 99),
    "herbarium19": (683, 341, 0, 682),
    "oxford_pets": (37, 19, 0, 18),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_known_classes_are_as_many_as_published(name):
    old = old_classes({"from": name})
    classes, *said = BENCHMARKS[name]
    assert [len(old), old[0], old[-1]] == said
    assert old == sorted(set(old))
    assert set(old) < set(range(classes))


def test_other_sets_have_no_published_known_classes():
    without = set(images.readers()) - {*BENCHMARKS, "imagenet100"}
    needs = {"folder": {"root": "x"}}
    assert {"digits", "cifar20", "folder", "imagenet50", "stl10"} <= without
    for name in without:
        assert old_classes({"from": name, **needs.get(name, {})}) is None
    assert old_classes({"from": "imagenet100"}) is None
    assert old_classes({"from": "imagenet100", "of": "gcd"}) == list(range(50))


def test_known_classes_are_asked_for_as_images_are():
    with pytest.raises(ImagesError, match="is no reader"):
        old_classes({"from": "cubs"})
    for name in images.readers():
        module = __import__(f"images.{name}", fromlist=["_"])
        if hasattr(module, "old_classes"):
            taken = inspect.signature(module.old_classes).parameters
            assert taken == inspect.signature(module.list_images).parameters


@pytest.mark.parametrize(
    ("name", "sizes", "some"),
    [
        ("cub", (100, 34, 34, 32), {"old": 199, "hard": 29, "medium": 152, "easy": 138}),
        ("stanford_cars", (98, 7, 15, 76), {"old": 81, "hard": 190, "medium": 183, "easy": 132}),
        ("fgvc_aircraft", (50, 13, 17, 20), {"old": 39, "hard": 20, "medium": 78, "easy": 89}),
    ],
)
def test_known_and_new_classes_are_all_classes_once(name, sizes, some):
    groups = _old.groups(name)
    assert list(groups) == ["old", "hard", "medium", "easy"]
    assert tuple(map(len, groups.values())) == sizes
    assert sorted(number for group in groups.values() for number in group) == list(
        range(BENCHMARKS[name][0])
    )
    for group, number in some.items():
        assert number in groups[group]


def test_the_new_classes_keep_their_published_order():
    assert _old.groups("cub")["hard"][:3] == [29, 110, 3]
    assert _old.groups("fgvc_aircraft")["easy"][-2:] == [62, 89]


def test_some_of_the_herbariums_known_classes_are_these():
    old = old_classes({"from": "herbarium19"})
    assert old[:10] == [0, 1, 3, 6, 7, 8, 10, 12, 14, 15]
    assert old[-4:] == [678, 680, 681, 682]
    assert list(_old.groups("herbarium19")) == ["old"]


def test_imagenet_100_of_category_discovery_is_a_draw_with_seed_0(tmp_path):
    wnids = list(_imagenet.names())
    drawn = [1, 14, 27, 31, 45, 55, 77, 103, 108, 141]  # the first in order; the last is 996
    for wnid in wnids:
        for split in ("train", "val"):
            (tmp_path / split / wnid).mkdir(parents=True)
            (tmp_path / split / wnid / "b.JPEG").touch()
    (tmp_path / "train" / wnids[14] / "a.JPEG").touch()
    listing = list_images({"from": "imagenet100", "root": str(tmp_path), "of": "gcd"})
    found = [name.split()[0] for name in listing.classes]
    assert (len(found), found[:10], found[-1]) == (100, [wnids[i] for i in drawn], wnids[996])
    assert listing.names[:3] == [
        *(f"train/{wnids[1]}/b.JPEG", f"train/{wnids[14]}/a.JPEG", f"train/{wnids[14]}/b.JPEG")
    ]
    assert listing.labels[:4].tolist() == [0, 1, 1, 2]
    scan = list_images({"from": "imagenet100", "root": str(tmp_path), "of": "scan"})
    assert scan.classes == list_images({"from": "imagenet100", "root": str(tmp_path)}).classes
    assert [name.split()[0] for name in scan.classes] == _imagenet.subset(100)


def known(listing: images.Listing, old: list[int]) -> list[int]:
    """Places of the images of train of known classes, in the order in which GCD draws of them."""
    train = np.array([split == "train" for split in splits_of(listing)])
    return np.flatnonzero(train & np.isin(listing.labels, old)).tolist()


def test_the_draw_with_seed_0_is_of_known_images_in_list_order(tmp_path):
    base = tmp_path / "oxford-iiit-pet"
    rows = [f"breed_{n % 3}_{n} {n % 3 + 1} 1 1" for n in (7, 4, 9, 0, 2, 6, 5, 3, 1)]
    for folder in ("annotations", "images"):
        (base / folder).mkdir(parents=True)
    lists = {"trainval": rows, "test": ["breed_0_12 1 1 1", "breed_1_10 2 1 1"]}
    for split, lines in lists.items():
        (base / f"annotations/{split}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            (base / "images" / f"{line.split()[0]}.jpg").touch()
    listing = list_images({"from": "oxford_pets", "root": str(tmp_path)})
    of_old = known(listing, [0, 1])
    assert [listing.names[i].split("_")[2] for i in of_old] == [
        *("7.jpg", "4.jpg", "9.jpg", "0.jpg", "6.jpg", "3.jpg", "1.jpg")
    ]
    # numpy.random.seed(0); numpy.random.choice(7, 3, replace=False)
    drawn = np.random.RandomState(0).choice(len(of_old), len(of_old) // 2, replace=False)
    assert drawn.tolist() == [6, 2, 1]
    assert {listing.names[of_old[i]] for i in drawn} == {
        *("breed_1_1.jpg", "breed_0_9.jpg", "breed_1_4.jpg")
    }


PUBLISHED = {  # where below data/raw: labelled and unlabelled images, in thousands
    "cifar10": ("cifar-10-batches-py", 12.5, 37.5),
    "cifar100": ("cifar-100-python", 20.0, 30.0),
    "imagenet100": ("imagenet", 31.9, 95.3),
    "imagenet": ("imagenet", 321, 960),
    "cub": ("CUB_200_2011", 1.5, 4.5),
    "stanford_cars": ("stanford_cars", 2.0, 6.1),
    "fgvc_aircraft": ("fgvc-aircraft-2013b", 1.7, 5.0),
    "herbarium19": ("herbarium_19", 8.9, 25.4),
}
COUNTS = {  # images of train and test
    "cub": (5994, 5794),
    "stanford_cars": (8144, 8041),
    "fgvc_aircraft": (6667, 3333),
    "herbarium19": (34225, 2679),
    "oxford_pets": (3680, 3669),
}


@pytest.mark.parametrize("name", [*PUBLISHED, "oxford_pets"])
def test_the_published_counts_are_those_of_the_real_set(name):
    raw = ROOT / "data/raw"
    folder, labelled, unlabelled = PUBLISHED.get(name, ("oxford-iiit-pet", None, None))
    if not (raw / folder).is_dir():
        pytest.skip(f"{name} is not in data/raw/{folder}")
    root = raw / "imagenet" if folder == "imagenet" else raw
    spec = {"from": name, "root": str(root)} | ({"of": "gcd"} if name == "imagenet100" else {})
    listing = list_images(spec)
    train = splits_of(listing).count("train")
    if name in COUNTS:
        assert (train, len(splits_of(listing)) - train) == COUNTS[name]
    if labelled is not None:
        drawn = len(known(listing, old_classes(spec))) // 2
        within = 1 if labelled > 100 else 0.05
        assert abs(drawn / 1000 - labelled) <= within
        assert abs((train - drawn) / 1000 - unlabelled) <= within
