"""ImageNet as it lies on disk, and the one order of its 1,000 classes that all readers keep to.

Classes are numbered by sorted WordNet id (wnid), whatever is on disk and in whatever order.
imagenet.txt lists them, `wnid names`, after WordNet 3.0; imagenetN.txt has the subsets' wnids.

After SCAN's and TEMI's loaders. But: the two splits have to be there, and apart; none stands in for
the other.
"""

from functools import cache
from pathlib import Path

import numpy as np

from images import _tree
from images._listing import ImagesError, Listing, Opener, Stater, coded

SITE = "https://image-net.org/download.php"
ROOT = "data/raw/imagenet"

_SPLITS = ("train", "val")
# Where the folders train and val lie in the archives that are about: plain, and Kaggle's.
_LAYOUTS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")


@cache
def names() -> dict[str, str]:
    """The class name, `wnid name`, by wnid; 1,000, in order.

    Names alone are not unique: there are two cranes.
    """
    lines = (Path(__file__).parent / "imagenet.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0]: line.split(",")[0] for line in lines}


def subset(n: int) -> list[str]:
    """The wnids of ImageNet-50, -100 or -200, in class order."""
    return (Path(__file__).parent / f"imagenet{n}.txt").read_text(encoding="utf-8").split()


def list_images(root: str, wnids: list[str]) -> Listing:
    """The `train` and `val` images of some classes, which are numbered as given."""
    base = locate(root)
    for split in _SPLITS:
        _check_folders(base, split, wnids)
    _tree.check_apart(base, list(_SPLITS))
    listed: list[str] = []
    splits: list[str] = []
    labels: list[np.ndarray] = []
    for split in _SPLITS:
        for label, wnid in enumerate(wnids):
            of_class = _tree.image_names(base, f"{split}/{wnid}")
            listed += of_class
            splits += [split] * len(of_class)
            labels.append(np.full(len(of_class), label, np.int32))
    classes = [names()[wnid] for wnid in wnids]
    return Listing(listed, *coded(splits), np.concatenate(labels), classes, len(classes))


def open_images(root: str) -> Opener:
    """Gives a file's bytes."""
    return _tree.opener(locate(root))


def stat_images(root: str) -> Stater:
    """Gives a file's size and time of change."""
    return _tree.stater(locate(root))


def locate(root: str) -> Path:
    """The folder in which train and val lie."""
    base = Path(root)
    for layout in _LAYOUTS:
        if (base / layout / "train").is_dir():
            return base / layout
    raise ImagesError(
        f"ImageNet is not in {_tree.full(base)}, there is no folder train; register at {SITE}, get "
        "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, and unpack them to "
        f"{base}/train/WNID/*.JPEG and {base}/val/WNID/*.JPEG, or set root to where they are"
    )


def _check_folders(base: Path, split: str, wnids: list[str]) -> None:
    place = base / split
    if not place.is_dir():
        raise ImagesError(
            f"ImageNet's split {split} is not in {_tree.full(place)}; unpack it there, "
            f"{place}/WNID/*.JPEG; for other splits use from: folder, tree: split/class"
        )
    missing = [wnid for wnid in wnids if not (place / wnid).is_dir()]
    if missing:
        flat = any(file.suffix == ".JPEG" for file in place.iterdir())
        do = (
            "its images lie unsorted: put each into the folder of its class, by ILSVRC2012's list"
            if flat
            else "unpack it whole, or for a part of ImageNet use from: folder, tree: split/class"
        )
        raise ImagesError(
            f"{_tree.full(place)} lacks the folders of {len(missing)} of {len(wnids)} classes, "
            f"e.g. {missing[0]}; {do}"
        )
