"""Images that have no groups, to compare with: what a score is worth that any data would get.

After the reference of the gap statistic (Tibshirani, Walther and Hastie 2001). But: drawn from a
normal distribution about 0 with the covariance of the images instead of a box, which is one group
of the same shape in all directions and needs no principal components.
"""

from typing import NamedTuple

import numpy as np

DRAWN = 512  # images whose random numbers are held at once


class Sample(NamedTuple):
    """Images in two spaces. reduced: float32 [image, dim], where they are clustered; watched: int64
    [watched], rising, some of them; whole: float32 [watched, whole dim], those in all dims."""

    reduced: np.ndarray
    watched: np.ndarray
    whole: np.ndarray


def null_reference(
    reduced: np.ndarray, whole: np.ndarray, watched: np.ndarray, seed: int
) -> Sample:
    """As many images as there are in `reduced` and `whole` (float32 [image, dims of either]).

    Each is a sum of all images less their mean, weighted by independent normal numbers over √n:
    that has their covariance, and the same in both spaces. Where they lie has no say in a score.
    """
    generator = np.random.default_rng([seed, len(reduced)])
    # In float64, so that the order of a sum, which differs between machines, leaves no trace.
    centred = [x - x.mean(axis=0, dtype=np.float64) for x in (reduced, whole)]
    near = np.empty_like(reduced)
    far = np.empty((len(watched), whole.shape[1]), np.float32)
    for start in range(0, len(reduced), DRAWN):
        stop = min(start + DRAWN, len(reduced))
        weight = generator.standard_normal((stop - start, len(reduced)))
        weight /= np.sqrt(len(reduced))
        near[start:stop] = weight @ centred[0]
        first, last = np.searchsorted(watched, (start, stop))
        far[first:last] = weight[watched[first:last] - start] @ centred[1]
    return Sample(near, watched, far)
