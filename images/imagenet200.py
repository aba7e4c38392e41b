"""ImageNet-200: the 200 classes of ImageNet on which SCAN (arXiv:2005.12320) and TEMI report.

Read from the same folders as `imagenet`; needs those of its 200 classes only.
"""

from images import _imagenet
from images._listing import Listing
from images.imagenet import open_images, stat_images

__all__ = ["list_images", "open_images", "stat_images"]


def list_images(*, root: str = _imagenet.ROOT) -> Listing:
    """The `train` and `val` images of the classes in imagenet200.txt, numbered in its order."""
    return _imagenet.list_images(root, _imagenet.subset(200))
