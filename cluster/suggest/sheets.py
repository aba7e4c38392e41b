"""Sheets of pictures to be verified: doubtful ones of one predicted label, wrong ones together.

A sheet holds the images that are most doubtful of a label; a person selects the wrong ones, moves
them, and accepts the rest, so that all of it is decided. The labels come in the order of what that
is worth: the wrong images that are expected (the sum of 1 - p) for each action that is expected
(one to accept, a move for each other label that is second somewhere, and the selections: alone, an
image is the beginning of a run of wrong ones in p (1 - p) of cases).
Images lie in the order of the leaves of a hierarchical clustering (average linkage; leaves in the
optimal order, Bar-Joseph et al. 2001) of their vectors and their probabilities together, in which
those of one other label come side by side and can be selected by one drag.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.suggest.sort_rest import top_two

OPTIMAL = 400  # images whose leaves are put in the optimal order, which takes time cubic in them
WEIGHT = 1.0  # of the probabilities (their roots, so that distances are Hellinger's)


class Sheet(NamedTuple):
    """label: what is predicted; rows: int64 [row], in the order of the sheet; second: int32 [row],
    the second most probable label, -1 if none; probability: float32 [row], of the label; value: the
    wrong images that are expected for each action."""

    label: int
    rows: np.ndarray
    second: np.ndarray
    probability: np.ndarray
    value: float


def propose_sheets(
    unit: np.ndarray,
    probability: np.ndarray,
    undecided: np.ndarray,
    *,
    size: int,
    most: int = 1,
) -> list[Sheet]:
    """At most `most` sheets of `size` images or fewer, of a label each, the most useful first.

    unit: float32 [image, dim], of length 1; probability: float64 [image, class]; undecided: bool
    [image]. Ties: the lower label. Raises ClusterError when the images differ, or size is below 1.
    """
    if not len(unit) == len(probability) == len(undecided):
        raise ClusterError(
            f"there are {len(unit)} vectors, probabilities of {len(probability)} images and "
            f"{len(undecided)} marks: expected the same images in each"
        )
    if size < 1:
        raise ClusterError(f"a sheet of {size} images is empty: expected 1 or more")
    found = top_two(probability)
    sheets = []
    for label in np.unique(found.label[undecided]):
        rows = np.flatnonzero(undecided & (found.label == label))
        p = found.first_probability[rows]
        rows = rows[np.argsort(p, kind="stable")][:size]
        p = found.first_probability[rows].astype(np.float64)
        actions = 1 + len(np.unique(found.second[rows])) + (p * (1 - p)).sum()
        sheets.append((-float((1 - p).sum() / actions), int(label), rows))
    out = []
    for value, label, rows in sorted(sheets, key=lambda sheet: sheet[:2])[:most]:
        placed = rows[side_by_side(unit[rows], probability[rows])]
        out.append(
            Sheet(label, placed, found.second[placed], found.first_probability[placed], -value)
        )
    return out


def side_by_side(unit: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """An order of the images, int64 [image], in which like ones are neighbours. unit: float32
    [image, dim]; probability: float64 [image, class]."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(unit) < 3:
        return np.arange(len(unit))
    x = np.concatenate([unit, WEIGHT * np.sqrt(probability)], axis=1, dtype=np.float64)
    tree = linkage(x, "average", optimal_ordering=len(x) <= OPTIMAL)
    return leaves_list(tree).astype(np.int64)
