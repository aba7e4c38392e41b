"""ImageNet, its subsets and ObjectNet: layouts, and one order of classes for all of them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from listed import splits_of
from PIL import Image

from images import ImagesError, decode, list_images, open_images, stat_images
from images._imagenet import names, subset
from images._objectnet import imagenet_labels

DATA = Path(list_images.__code__.co_filename).parent


def published(wnids: list[str]) -> str:
    """A subset as its authors' file has it: `wnid names` a line."""
    lines = (DATA / "imagenet.txt").read_text(encoding="utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if line.split()[0] in wnids)


def ilsvrc(root: Path, wnids: list[str]) -> Path:
    for wnid in wnids:
        for split, file in (("train", f"{wnid}_1.JPEG"), ("val", f"ILSVRC2012_val_{wnid}.JPEG")):
            (root / split / wnid).mkdir(parents=True)
            (root / split / wnid / file).write_bytes(f"{split}{wnid}".encode())
    return root


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    return ilsvrc(tmp_path_factory.mktemp("imagenet"), sorted(names(), reverse=True))


def test_the_thousand_classes_are_in_sorted_order():
    assert len(names()) == 1000
    assert list(names()) == sorted(names())
    assert len(set(names().values())) == 1000
    assert names()["n01440764"] == "n01440764 tench"


@pytest.mark.parametrize(("n", "sha256"), [(100, "583680dd"), (200, "14cb3f6b")])
def test_a_subset_is_the_published_one(n, sha256):
    raw = published(subset(n)).encode()
    assert hashlib.sha256(raw).hexdigest().startswith(sha256)


def test_the_subsets_are_nested_and_in_order():
    small, middle, large = (subset(n) for n in (50, 100, 200))
    assert (len(set(small)), len(set(middle)), len(set(large))) == (50, 100, 200)
    assert set(small) < set(middle)
    assert set(large) < set(names())
    assert all(of == sorted(of) for of in (small, middle, large))


def test_imagenet_is_train_and_val(imagenet):
    spec = {"from": "imagenet", "root": str(imagenet)}
    listing = list_images(spec)
    assert listing.names[0] == "train/n01440764/n01440764_1.JPEG"
    assert splits_of(listing) == ["train"] * 1000 + ["val"] * 1000
    assert listing.labels.tolist() == [*range(1000), *range(1000)]
    assert listing.classes == list(names().values())
    assert open_images(spec)(listing.names[1999]) == b"valn15075141"
    assert stat_images(spec)(listing.names[0])[0] == len("trainn01440764")


@pytest.mark.parametrize("layout", ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"])
def test_kaggles_layout_gives_the_same_names(tmp_path, layout):
    ilsvrc(tmp_path / layout, subset(50))
    spec = {"from": "imagenet50", "root": str(tmp_path)}
    listing = list_images(spec)
    assert listing.names[0] == "train/n01601694/n01601694_1.JPEG"
    assert open_images(spec)(listing.names[0]) == b"trainn01601694"


@pytest.mark.parametrize("n", [50, 100, 200])
def test_a_subset_takes_its_classes_from_the_whole(imagenet, n):
    listing = list_images({"from": f"imagenet{n}", "root": str(imagenet)})
    assert len(listing.names) == 2 * n
    assert listing.n_classes == n
    assert [c.split()[0] for c in listing.classes] == subset(n)
    for name, label in zip(listing.names, listing.labels, strict=True):
        assert name.split("/")[1] == listing.classes[label].split()[0]


def test_a_subset_needs_its_own_classes_only(tmp_path):
    spec = {"from": "imagenet50", "root": str(ilsvrc(tmp_path, subset(50)))}
    assert len(list_images(spec).names) == 100
    with pytest.raises(
        ImagesError, match=r"train lacks the folders of 950 of 1000 classes, e\.g\."
    ):
        list_images({**spec, "from": "imagenet"})


def test_imagenet_says_how_to_get_it(tmp_path):
    for what in (list_images, open_images, stat_images):
        with pytest.raises(ImagesError, match=r"register at https://image-net\.org.*/train/WNID/"):
            what({"from": "imagenet", "root": str(tmp_path)})


def test_a_missing_val_is_an_error_and_train_does_not_stand_in_for_it(tmp_path):
    ilsvrc(tmp_path, subset(50))
    (tmp_path / "val").rename(tmp_path / "test")
    with pytest.raises(ImagesError, match="split val is not in"):
        list_images({"from": "imagenet50", "root": str(tmp_path)})
    (tmp_path / "val").symlink_to("train")
    with pytest.raises(ImagesError, match=r"train and val in .* are one folder"):
        list_images({"from": "imagenet50", "root": str(tmp_path)})


def test_an_unsorted_val_is_told(tmp_path):
    ilsvrc(tmp_path, subset(50))
    (tmp_path / "val").rename(tmp_path / "sorted")
    (tmp_path / "val").mkdir()
    (tmp_path / "val/ILSVRC2012_val_00000001.JPEG").touch()
    with pytest.raises(ImagesError, match="images lie unsorted: put each into the folder"):
        list_images({"from": "imagenet50", "root": str(tmp_path)})


def test_a_class_without_images_is_told(tmp_path):
    ilsvrc(tmp_path, subset(50))
    for file in (tmp_path / "train/n07753592").iterdir():
        file.unlink()
    with pytest.raises(ImagesError, match=r"no image in .*/train/n07753592"):
        list_images({"from": "imagenet50", "root": str(tmp_path)})


# Three of ImageNet's classes, by place among the sorted wnids, and what the mapping calls them.
# The first class of either side takes part: 0 is a number like any other.
OURS = {"tench, Tinca tinca": 0, "analog clock": 409, "digital clock": 530, "banana": 954}
FOLDERS = {
    "zebra_mat": "Zebra mat",
    "air_fish": "Air fish",
    "alarm_clock": "Alarm clock",
    "banana": "Banana",
}
TO_IMAGENET = {
    "Banana": "banana",
    "Alarm clock": "analog clock; digital clock",
    "Air fish": "tench, Tinca tinca",
}


@pytest.fixture
def objectnet(tmp_path):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    # ILSVRC2012's own order is not that of the wnids; here it is the other way round.
    lines = [f"something {i}" for i in range(1000)]
    for name, label in OURS.items():
        lines[999 - label] = name
    (mappings / "imagenet_to_label_2012_v2").write_text("\n".join(lines) + "\n")
    for file, table in {
        "pytorch_to_imagenet_2012_id": {str(i): 999 - i for i in range(1000)},
        "folder_to_objectnet_label": FOLDERS,
        "objectnet_to_imagenet_1k": TO_IMAGENET,
    }.items():
        (mappings / f"{file}.json").write_text(json.dumps(table))
    for i, folder in enumerate(FOLDERS):
        (tmp_path / "images" / folder).mkdir(parents=True)
        picture = Image.new("RGB", (14, 9), "red")
        picture.paste((0, i, 255), (2, 2, 12, 7))
        picture.save(tmp_path / "images" / folder / "1.png")
    return tmp_path


def spec(root: Path, **options: object) -> dict[str, object]:
    return {"from": "objectnet", "root": str(root), "train": ["test"], **options}


def labelled(listing) -> dict[str, str]:
    return {
        name.split("/")[0]: listing.classes[label]
        for name, label in zip(listing.names, listing.labels, strict=True)
    }


def test_objectnet_has_its_own_classes_and_class_0_counts(objectnet):
    listing = list_images(spec(objectnet))
    assert listing.names == [
        "air_fish/1.png",
        "alarm_clock/1.png",
        "banana/1.png",
        "zebra_mat/1.png",
    ]
    assert listing.labels.tolist() == [0, 1, 2, 3]
    assert listing.classes == ["Air fish", "Alarm clock", "Banana", "Zebra mat"]
    assert labelled(listing) == FOLDERS


def test_objectnets_overlap_with_imagenet_keeps_its_names(objectnet):
    listing = list_images(spec(objectnet, labels="overlap"))
    assert listing.labels.tolist() == [0, 1, 2]
    assert listing.classes == ["Air fish", "Alarm clock", "Banana"]
    assert listing.n_classes == 3


def test_objectnet_and_imagenet_number_their_classes_alike(objectnet, imagenet):
    ours = list_images(spec(objectnet, labels="imagenet"))
    theirs = list_images({"from": "imagenet", "root": str(imagenet)})
    assert ours.classes == theirs.classes
    assert labelled(ours) == {
        "air_fish": "n01440764 tench",
        "alarm_clock": "n02708093 analog clock",
        "banana": "n07753592 banana",
    }
    assert ours.labels.tolist() == [0, 409, 954]
    assert ours.n_classes == 3


def test_a_class_that_is_two_of_imagenets_keeps_both(objectnet):
    assert imagenet_labels(objectnet / "mappings") == {
        "air_fish": [0],
        "alarm_clock": [409, 530],
        "banana": [954],
    }


def test_objectnet_is_a_test_set_unless_said_otherwise(objectnet):
    with pytest.raises(ImagesError, match=r"no split called train; found: test"):
        list_images({"from": "objectnet", "root": str(objectnet)})


def test_objectnets_red_border_is_cut_off(objectnet):
    found = open_images(spec(objectnet))("banana/1.png")
    assert found.shape == (5, 10, 3)
    assert (found == [0, 3, 255]).all()
    assert decode(found).size == (10, 5)
    assert stat_images(spec(objectnet))("banana/1.png")[0] > 0


def test_objectnets_red_border_may_stay(objectnet):
    found = open_images(spec(objectnet, border=0))("banana/1.png")
    assert found == (objectnet / "images/banana/1.png").read_bytes()
    with pytest.raises(ImagesError, match="border: must be 0 or more"):
        open_images(spec(objectnet, border=-1))


def test_an_objectnet_image_that_is_broken_or_all_border_is_named(objectnet):
    Image.new("RGB", (4, 9)).save(objectnet / "images/banana/2.png")
    (objectnet / "images/banana/3.png").write_bytes(b"")
    read = open_images(spec(objectnet))
    with pytest.raises(ImagesError, match=r"banana/2\.png: \(9, 4\) pixels are all border"):
        read("banana/2.png")
    with pytest.raises(ImagesError, match=r"banana/3\.png: the file is empty"):
        read("banana/3.png")


def test_objectnet_says_how_to_get_it(tmp_path):
    with pytest.raises(ImagesError, match=r"accept its licence at https://objectnet\.dev"):
        list_images(spec(tmp_path))


def test_objectnet_that_is_not_whole_is_refused(objectnet):
    (objectnet / "images/banana").rename(objectnet / "images/apple")
    with pytest.raises(ImagesError, match=r"lacks the folders of 1 of 4 classes, e\.g\. banana"):
        list_images(spec(objectnet))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("objectnet_to_imagenet_1k.json", '{"Banana": "bananas"}', "Banana is mapped to bananas"),
        (
            "objectnet_to_imagenet_1k.json",
            '{"Apple": "banana"}',
            "Apple is mapped, but is no class",
        ),
        ("objectnet_to_imagenet_1k.json", "{", "is no JSON"),
        ("objectnet_to_imagenet_1k.json", "[]", "is not a table"),
        ("imagenet_to_label_2012_v2", "banana\nbanana\n", "of which ImageNet's list has 2"),
        ("pytorch_to_imagenet_2012_id.json", '{"0": 0}', "mapped to"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(objectnet, file, text, said):
    (objectnet / "mappings" / file).write_text(text)
    with pytest.raises(ImagesError, match=said):
        list_images(spec(objectnet, labels="overlap"))


def test_a_missing_mapping_is_named(objectnet):
    (objectnet / "mappings/folder_to_objectnet_label.json").unlink()
    with pytest.raises(ImagesError, match=r"cannot read .*folder_to_objectnet_label"):
        list_images(spec(objectnet))


def test_labels_are_32_bit(objectnet, imagenet):
    for one in (spec(objectnet), {"from": "imagenet50", "root": str(imagenet)}):
        assert list_images(one).labels.dtype == np.int32
