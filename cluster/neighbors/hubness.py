"""How unevenly images are one another's neighbours: hubs, and images that are nobody's neighbour.

After Radovanovic, Nanopoulos and Ivanovic (JMLR 11, 2010), eq. 1: N_k(x) counts how often x is
among the k nearest of others; its skewness, S = E[(N_k - μ)³] / σ³, is high where there are hubs.
"""

from typing import NamedTuple

import numpy as np


class Hubness(NamedTuple):
    """skewness: of the occurrences, 0 where all are equal; largest: the most occurrences of one
    image; nobodys: the share of images that never occur (anti-hubs)."""

    skewness: float
    largest: int
    nobodys: float


def hubness(neighbor: np.ndarray, images: int) -> Hubness:
    """neighbor: int [image, neighbor], positions among so many `images`."""
    occurrences = np.bincount(neighbor.ravel(), minlength=images)
    off = occurrences - occurrences.mean()
    deviation = np.sqrt(np.square(off).mean())
    skewness = float((off**3).mean() / deviation**3) if deviation > 0 else 0.0
    return Hubness(skewness, int(occurrences.max()), float((occurrences == 0).mean()))
