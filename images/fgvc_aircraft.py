"""FGVC-Aircraft: 10,000 photos of aircraft, 100 model variants (Maji, arXiv:1306.5151).

Read from <root>/fgvc-aircraft-2013b/data, downloaded there if missing. The split `train` is the
published trainval, as GCD (arXiv:2201.02609) has it.
"""

from pathlib import Path

from images import _download, _listed, _old, _tree
from images._listing import ImagesError, Listing, Opener, Stater

SITE = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft"
# Not by torchvision's class for the set: that has no check sum, and takes half a download for all.
ARCHIVE = _download.Archive(
    f"{SITE}/archives/fgvc-aircraft-2013b.tar.gz", "d4acdd33327262359767eeaa97a4f732"
)

_SPLITS = {"train": "images_variant_trainval.txt", "test": "images_variant_test.txt"}


def list_images(*, root: str = "data/raw") -> Listing:
    """6,667 `train` and 3,333 `test` images in the order of their lists; variants sorted."""
    folder = _locate(root)
    do = f"delete {folder.parent} to have it unpacked again"
    classes = sorted(name for (name,) in _listed.table(folder / "variants.txt", (str,), do))
    number = {name: i for i, name in enumerate(classes)}
    images = {}
    for split, file in _SPLITS.items():
        rows = _listed.table(folder / file, (str, str), do)
        for name, variant in rows:
            if variant not in number:
                raise ImagesError(
                    f"{folder / file}: image {name} is a {variant}, which is not in variants.txt; "
                    f"{do}"
                )
        images[split] = [(f"{name}.jpg", number[variant]) for name, variant in rows]
    return _listed.listing(folder / "images", images, classes, do)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_locate(root) / "images")


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root) / "images")


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The 50 known variants of the Semantic Shift Benchmark."""
    return _old.groups("fgvc_aircraft")["old"]


def _locate(root: str) -> Path:
    name = "fgvc-aircraft-2013b"
    files = [f"data/{file}" for file in ("variants.txt", *_SPLITS.values())]
    found = _download.folder("FGVC-Aircraft", Path(root), name, files, SITE, archive=ARCHIVE)
    return found / "data"
