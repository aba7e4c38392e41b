"""Accuracy of category discovery on All, Old and New images.

After Vaze et al. (GCD, CVPR 2022, arXiv:2201.02609) and the code of Wen et al. (SimGCD, ICCV 2023,
arXiv:2211.11727). Scored are the unlabelled images of train. Three protocols are in use, whose
numbers cannot be compared:

- v2, the official one: one Hungarian matching over all images; an image is correct if it lies in
  the cluster that is matched to its class.
- v2b: the same matching, but the mean over classes, so that large ones do not outweigh the rest.
- v1: Old and New are matched separately, as if it were known which are which; All is their mean,
  weighted by images. It is never below v2, and far above it when clusters mix old and new.

There may be more clusters than classes; images of unmatched clusters are wrong.
"""

import numpy as np

from cluster.metrics.matching import NO_CLASS, one_to_one

PROTOCOLS = ("v2", "v2b", "v1")
SUBSETS = ("all", "old", "new")
DISCOVERY_SCORES = tuple(f"{part}_{way}" for way in PROTOCOLS for part in SUBSETS)


def discovery_scores(
    counts: np.ndarray, old: np.ndarray, rejected: np.ndarray | int = 0
) -> dict[str, float]:
    """DISCOVERY_SCORES, 0 to 1, nan where there is no image.

    counts: int [cluster, class] of the images that are scored; old: bool [class]; rejected: int
    [class], images that are scored and in no cluster, which are wrong.
    """
    right, size = _right(counts), counts.sum(axis=0) + rejected
    there = size > 0
    each = right / np.maximum(size, 1)
    apart = np.array([_right(counts[:, part]).sum() for part in (old, ~old)])
    of = np.array([size[old].sum(), size[~old].sum()])
    return {
        "all_v2": _share(right.sum(), size.sum()),
        "old_v2": _share(right[old].sum(), of[0]),
        "new_v2": _share(right[~old].sum(), of[1]),
        "all_v2b": _share(each[there].sum(), there.sum()),
        "old_v2b": _share(each[there & old].sum(), (there & old).sum()),
        "new_v2b": _share(each[there & ~old].sum(), (there & ~old).sum()),
        "all_v1": _share(apart.sum(), of.sum()),
        "old_v1": _share(apart[0], of[0]),
        "new_v1": _share(apart[1], of[1]),
    }


def _right(counts: np.ndarray) -> np.ndarray:
    """Images of each class in the cluster that stands for it, int64 [class]."""
    to = one_to_one(counts)
    cluster = np.flatnonzero(to != NO_CLASS)
    right = np.zeros(counts.shape[1], np.int64)
    right[to[cluster]] = counts[cluster, to[cluster]]
    return right


def _share(right: float, of: float) -> float:
    return float(right / of) if of else float("nan")
