"""ImageNet-1k (ILSVRC2012): 1.3 million photos, 1,000 classes (Russakovsky, arXiv:1409.0575).

Read from <root>/train/WNID/*.JPEG and <root>/val/WNID/*.JPEG, or from Kaggle's ILSVRC/Data/CLS-LOC
under <root>. It has to be fetched by hand, from image-net.org. Published splits: `train`, `val`.
"""

from images import _imagenet
from images._listing import Listing, Opener, Stater


def list_images(*, root: str = _imagenet.ROOT) -> Listing:
    """1,281,167 `train` and 50,000 `val` images; classes by sorted WordNet id."""
    return _imagenet.list_images(root, list(_imagenet.names()))


def open_images(*, root: str = _imagenet.ROOT) -> Opener:
    """Gives a file's bytes."""
    return _imagenet.open_images(root)


def stat_images(*, root: str = _imagenet.ROOT) -> Stater:
    """Gives a file's size and time of change."""
    return _imagenet.stat_images(root)


def old_classes(*, root: str = _imagenet.ROOT) -> list[int]:
    """The first 500, as in SimGCD (arXiv:2211.11727)."""
    return list(range(500))
