"""The neighbours of images, whichever search has found them."""

from typing import NamedTuple

import numpy as np


class Neighbors(NamedTuple):
    """neighbor: int32 [image, neighbor], positions among those searched, nearest first, ties by
    the lower position; similarity: float32 [image, neighbor]."""

    neighbor: np.ndarray
    similarity: np.ndarray
