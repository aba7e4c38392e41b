"""Hubness of a table of neighbours: hubs, and images that are nobody's neighbour (anti-hubs).

After Radovanovic, Nanopoulos and Ivanovic (JMLR 11, 2010), eq. 1: N_k(x) counts how often x is
among the k nearest of others; its skewness, S = E[(N_k - μ)³] / σ³, is high where there are hubs.
"""

from typing import NamedTuple

import numpy as np


class Hubness(NamedTuple):
    """skewness: of the occurrences, 0 where all are equal; largest: the most occurrences of one
    image; antihubs: the share of images that never occur."""

    skewness: float
    largest: int
    antihubs: float


def hubness(neighbor: np.ndarray, images: int) -> Hubness:
    """Hubness of neighbor: int [image, neighbor], positions among `images` images."""
    occurrences = np.bincount(neighbor.ravel(), minlength=images)
    centred = occurrences - occurrences.mean()
    deviation = np.sqrt(np.square(centred).mean())
    skewness = float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0
    return Hubness(skewness, int(occurrences.max()), float((occurrences == 0).mean()))
