"""ImageNet-100: the 100 classes of ImageNet on which SCAN (arXiv:2005.12320) and TEMI report.

Read from the same folders as `imagenet`; needs those of its 100 classes only.
"""

from images import _imagenet
from images._listing import Listing
from images.imagenet import open_images, stat_images

__all__ = ["list_images", "open_images", "stat_images"]


def list_images(*, root: str = _imagenet.ROOT) -> Listing:
    """The `train` and `val` images of the classes in imagenet100.txt, numbered in its order."""
    return _imagenet.list_images(root, _imagenet.subset(100))
