"""Handwritten digits, 1,797 of 8 x 8 grey pixels, 10 classes; they come with scikit-learn.

The test part of UCI's Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998).
It has no split of its own. But: so that there is something to test on, the first 1,437 images
(80 %) are `train` here and the last 360 are `test`.
"""

import numpy as np

from images import _packed
from images._listing import ImagesError, Listing, Opener, Stater

_N_TRAIN = 1437


def list_images() -> Listing:
    """1,437 + 360 images."""
    _, labels = _load()
    return _packed.listing(
        {"train": labels[:_N_TRAIN], "test": labels[_N_TRAIN:]}, [str(i) for i in range(10)]
    )


def open_images() -> Opener:
    """Gives uint8 arrays [8, 8], white on black."""
    images, _ = _load()
    return _packed.opener({"train": images[:_N_TRAIN], "test": images[_N_TRAIN:]})


def stat_images() -> Stater:
    """Gives None: these are no files."""
    return _packed.stater()


def _load() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImagesError("the digits come with scikit-learn: pip install scikit-learn") from error
    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target
