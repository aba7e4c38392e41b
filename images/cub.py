"""CUB-200-2011: 11,788 photos of birds, 200 species (Wah, 2011).

Read from <root>/CUB_200_2011, downloaded there if missing: images.txt, image_class_labels.txt and
train_test_split.txt share one number an image, classes.txt names the classes.
"""

from pathlib import Path

from images import _download, _listed, _old, _tree
from images._listing import ImagesError, Listing, Opener, Stater

SITE = "https://www.vision.caltech.edu/datasets/cub_200_2011"
ARCHIVE = _download.Archive(
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "97eceeb196236b17998738112f37df78",
)

_SPLITS = {1: "train", 0: "test"}
_FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt")


def list_images(*, root: str = "data/raw") -> Listing:
    """5,994 `train` and 5,794 `test` images, each in the order of images.txt."""
    folder = _locate(root)
    do = f"delete {folder} to have it unpacked again"
    kinds = ((int, str), (int, int), (int, int))
    tables = [_listed.table(folder / f, k, do) for f, k in zip(_FILES, kinds, strict=True)]
    places, labels, trains = (dict(table) for table in tables)
    for file, table in zip(_FILES, tables, strict=True):
        if sorted(number for number, _ in table) != sorted(places):
            raise ImagesError(
                f"{folder / file} does not have each of the {len(places)} images of images.txt "
                f"once; {do}"
            )
    images: dict[str, list[tuple[str, int]]] = {split: [] for split in _SPLITS.values()}
    for number, name in places.items():
        if trains[number] not in _SPLITS:
            raise ImagesError(
                f"{folder / _FILES[2]} says {trains[number]} of image {number}; expected 1 for "
                f"train or 0 for test; {do}"
            )
        images[_SPLITS[trains[number]]].append((name, labels[number] - 1))
    classes = dict(_listed.table(folder / "classes.txt", (int, str), do))
    if sorted(classes) != list(range(1, len(classes) + 1)):
        raise ImagesError(f"{folder / 'classes.txt'} does not count classes from 1; {do}")
    # 001.Black_footed_Albatross
    names = [classes[i].split(".", 1)[-1].replace("_", " ") for i in sorted(classes)]
    return _listed.listing(folder / "images", images, names, do)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_locate(root) / "images")


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root) / "images")


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The 100 known classes of the Semantic Shift Benchmark."""
    return _old.groups("cub")["old"]


def _locate(root: str) -> Path:
    files = [*_FILES, "classes.txt"]
    name = "CUB_200_2011"
    return _download.folder(name, Path(root), name, files, SITE, archive=ARCHIVE)
