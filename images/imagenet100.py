"""ImageNet-100: 100 classes of ImageNet, those of SCAN (arXiv:2005.12320) or of GCD.

Read from the same folders as `imagenet`; needs those of its 100 classes only. `of` says which:

- `scan`: the classes on which SCAN and TEMI report, in the order of imagenet100.txt
- `gcd`: those on which category discovery reports (arXiv:2201.02609): a draw with seed 0, sorted
"""

from typing import Literal

import numpy as np

from images import _imagenet
from images._listing import Listing, Opener, Stater

Of = Literal["scan", "gcd"]


def list_images(*, root: str = _imagenet.ROOT, of: Of = "scan") -> Listing:
    """The `train` and `val` images of the classes, numbered in their order."""
    return _imagenet.list_images(root, _wnids(of))


def open_images(*, root: str = _imagenet.ROOT, of: Of = "scan") -> Opener:
    """Gives a file's bytes."""
    return _imagenet.open_images(root)


def stat_images(*, root: str = _imagenet.ROOT, of: Of = "scan") -> Stater:
    """Gives a file's size and time of change."""
    return _imagenet.stat_images(root)


def old_classes(*, root: str = _imagenet.ROOT, of: Of = "scan") -> list[int] | None:
    """The first 50 of `gcd`."""
    return list(range(50)) if of == "gcd" else None


def _wnids(of: Of) -> list[str]:
    if of == "scan":
        return _imagenet.subset(100)
    # Numpy's old generator is what was published, and numpy keeps its draws as they are.
    drawn = np.random.RandomState(0).choice(1000, 100, replace=False)
    return [wnid for i, wnid in enumerate(_imagenet.names()) if i in drawn]
