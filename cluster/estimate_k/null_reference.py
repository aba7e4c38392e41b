"""Null reference: data without groups, whose scores show what any data would get.

After the reference of the gap statistic (Tibshirani, Walther and Hastie 2001). But: drawn from a
normal distribution about 0 with the covariance of the images instead of a uniform one in a box:
a single group of the same shape in all directions, which needs no principal components.
"""

from typing import NamedTuple

import numpy as np

DRAWN = 512  # images whose random numbers are in memory at once


class Sample(NamedTuple):
    """Images in two spaces. reduced: float32 [image, dim], where they are clustered; subset: int64
    [subset], sorted, the images of the silhouette; full: float32 [subset, full dim], the subset in
    all dims."""

    reduced: np.ndarray
    subset: np.ndarray
    full: np.ndarray


def null_reference(reduced: np.ndarray, full: np.ndarray, subset: np.ndarray, seed: int) -> Sample:
    """As many images without groups as in `reduced` and `full` (float32 [image, dims of either]).

    Each is a sum of all centred images, weighted by independent normal numbers over √n, the same in
    both spaces: this has their covariance. Their mean is 0, since no score depends on it.
    """
    generator = np.random.default_rng([seed, len(reduced)])
    # In float64: the order of sums, which differs between machines, vanishes in the rounding
    centred = [x - x.mean(axis=0, dtype=np.float64) for x in (reduced, full)]
    in_reduced = np.empty_like(reduced)
    in_full = np.empty((len(subset), full.shape[1]), np.float32)
    for start in range(0, len(reduced), DRAWN):
        stop = min(start + DRAWN, len(reduced))
        weight = generator.standard_normal((stop - start, len(reduced)))
        weight /= np.sqrt(len(reduced))
        in_reduced[start:stop] = weight @ centred[0]
        first, last = np.searchsorted(subset, (start, stop))
        in_full[first:last] = weight[subset[first:last] - start] @ centred[1]
    return Sample(in_reduced, subset, in_full)
