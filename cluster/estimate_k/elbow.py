"""Elbow of the inertia: the k after which more clusters lower it less than before.

The point furthest below the chord from the first point to the last, as in Satopaa, Albrecht, Irwin
and Raghavan ("Finding a kneedle in a haystack", 2011). But: both axes are logarithmic, since the
inertia of data without groups falls like a power of k, which is then a straight line without an
elbow. (With linear axes the elbow of four datasets of 10 classes was at 12 or 13 up to k = 50, and
that of mixtures of 3, 10 and 30 groups at 6, 10 and 22; now it is at 6 to 10, and at 3, 10 and 29.)
"""

import numpy as np

from cluster.errors import ClusterError

STRAIGHT = 1e-9  # of the chord's height: less than this is rounding


def below_chord(k: np.ndarray, inertia: np.ndarray) -> np.ndarray:
    """How far each point of log `inertia` (float [candidate], not below 0) over log `k` (int
    [candidate], increasing, above 0) lies below the chord, as a share of the chord's height:
    float64 [candidate], 0 at both ends. All 0 for a curve without an elbow: one that does not fall,
    has fewer than 3 points, or no point below the chord.

    Raises ClusterError when the two do not fit together.
    """
    if len(k) != len(inertia) or (np.diff(k) <= 0).any() or (len(k) and k[0] < 1):
        raise ClusterError(f"{len(inertia)} inertias of k = {k.tolist()}: k has to rise from 1 on")
    if len(k) < 3:
        return np.zeros(len(k))
    x = np.log(k / k[0]) / np.log(k[-1] / k[0])
    # The logarithm of inertia 0 (each image alone) is infinite: use the rounding of float32 instead
    y = np.log(np.maximum(inertia, max(inertia[0], 1e-300) * 2.0**-24))
    if not y[-1] < y[0]:
        return np.zeros(len(k))
    out = (y[0] + x * (y[-1] - y[0]) - y) / (y[0] - y[-1])
    out[[0, -1]] = 0  # but for rounding
    return out if out.max() > STRAIGHT else np.zeros(len(k))
