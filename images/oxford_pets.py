"""Oxford-IIIT Pet: 7,349 photos of cats and dogs, 37 breeds (Parkhi, 2012).

Read from <root>/oxford-iiit-pet, downloaded there if missing. The split `train` is the published
trainval. Classes are numbered as torchvision does: the class id in the lists, less one.
"""

from pathlib import Path

from images import _download, _listed, _tree
from images._listing import ImagesError, Listing, Opener, Stater

SITE = "https://www.robots.ox.ac.uk/~vgg/data/pets"

_SPLITS = {"train": "trainval.txt", "test": "test.txt"}


def list_images(*, root: str = "data/raw") -> Listing:
    """3,680 `train` and 3,669 `test` images in the order of their lists."""
    folder = _locate(root)
    do = f"delete {folder} to have it downloaded again"
    images = {}
    breeds: dict[int, str] = {}
    for split, name in _SPLITS.items():
        file = folder / "annotations" / name
        rows = _listed.table(file, (str, int, int, int), do)
        for image, number, *_ in rows:
            breed = image.rpartition("_")[0]
            if breeds.setdefault(number, breed) != breed:
                raise ImagesError(
                    f"{file}: class {number} is both {breeds[number]} and {breed}; {do}"
                )
        images[split] = [(f"{image}.jpg", number - 1) for image, number, *_ in rows]
    if sorted(breeds) != list(range(1, len(breeds) + 1)):
        raise ImagesError(
            f"{folder / 'annotations'} has {len(breeds)} classes, numbered {min(breeds)} to "
            f"{max(breeds)}; expected each number from 1; {do}"
        )
    classes = [breeds[number].replace("_", " ").title() for number in sorted(breeds)]
    return _listed.listing(folder / "images", images, classes, do)


def open_images(*, root: str = "data/raw") -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(_locate(root) / "images")


def stat_images(*, root: str = "data/raw") -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(_locate(root) / "images")


def old_classes(*, root: str = "data/raw") -> list[int]:
    """The first 19 breeds, as InfoSieve and SelEx (arXiv:2408.14371) have it."""
    return list(range(19))


def _locate(root: str) -> Path:
    files = [f"annotations/{name}" for name in _SPLITS.values()]
    return _download.folder("OxfordIIITPet", Path(root), "oxford-iiit-pet", files, SITE)
