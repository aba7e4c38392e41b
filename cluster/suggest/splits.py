"""Groups that fall apart in two, best first: split them?

2-means on the vectors of a group, from several seeds (Lloyd 1982). Two things say that the halves
are more than a cut through one heap: the seeds find the same halves (stability: the mean adjusted
Rand index with the best ones), and few edges of the graph of neighbours run from one half to the
other, beside what the halves' sizes alone would give (crossing: 1 as by chance, 0 none; the
degree-corrected null model within the group). The score is stability x (1 - crossing).
Images that a person has given different labels say more: such groups come first, and their halves
begin with the means of the two most frequent labels.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.block_model.information import cluster_weights
from cluster.errors import ClusterError
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.small import is_small, small_kmeans
from cluster.metrics.agreement import adjusted_rand_index
from cluster.suggest.groups import NONE, require_same_images
from cluster.vectors.rows import ArrayRows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SEEDS = 5  # fits whose halves are compared
ITERATIONS, TOLERANCE = 50, 1e-4
FEWEST = 8  # images of a group that is looked at


class Halves(NamedTuple):
    """half: int32 [member], 0 or 1, 0 the larger; stability: mean adjusted Rand index of the fits
    with the best one."""

    half: np.ndarray
    stability: float


class Splits(NamedTuple):
    """Groups, best first. group: int32; score, stability, crossing: float64; differ: bool, whether
    a person has given its images different labels."""

    group: np.ndarray
    score: np.ndarray
    stability: np.ndarray
    crossing: np.ndarray
    differ: np.ndarray


def split_in_two(
    vectors: np.ndarray, member: np.ndarray, seed: int, decided: np.ndarray | None = None
) -> Halves:
    """The halves of the images int64 [member]; vectors: float32 [image, dim]; decided: int [image],
    the labels that a person gave, -1 where none. Raises ClusterError with fewer than two images."""
    if len(member) < 2:
        raise ClusterError(f"the group has {len(member)} images: two or more can be split")
    rows = ArrayRows(vectors[member])
    starts = None if decided is None else _means_of_two(rows.array, decided[member])
    if starts is not None:
        fit = kmeans(
            rows, 2, seeds=[seed], n_init=1, max_iter=ITERATIONS, tol=TOLERANCE, starts=starts
        )
        return Halves(_larger_first(assign(rows, fit.centroids).assignment[0]), 1.0)
    seeds = range(seed, seed + SEEDS)
    fitted = small_kmeans if is_small(rows, 2) else kmeans
    fit = fitted(rows, 2, seeds=seeds, n_init=1, max_iter=ITERATIONS, tol=TOLERANCE)
    every = assign(rows, fit.centroids).assignment
    best = int(fit.inertia.argmin())
    same = [adjusted_rand_index(every[best], every[i]) for i in range(SEEDS) if i != best]
    return Halves(_larger_first(every[best]), float(np.mean(same)))


def propose_splits(
    graph: "csr_array",
    vectors: np.ndarray,
    group: np.ndarray,
    decided: np.ndarray | None = None,
    *,
    seed: int = 0,
    least: float = 0.3,
    most: int = 20,
) -> Splits:
    """At most `most` groups of 8 images or more, with a score of `least` or more or different
    labels inside.

    graph: float csr [image, image], symmetric; vectors: float32 [image, dim], of length 1; group:
    int [image], from 0, -1 outside of all; decided: int [image], -1 where no person gave a label.
    """
    require_same_images(graph, vectors, group)
    found = []
    order = np.argsort(group, kind="stable")
    names, start = np.unique(group[order], return_index=True)
    for name, member in zip(names, np.split(order, start[1:]), strict=True):
        if name == NONE or len(member) < FEWEST:
            continue
        halves = split_in_two(vectors, member, seed, decided)
        apart = crossing(graph[member][:, member], halves.half)
        said = np.unique(decided[member]) if decided is not None else np.zeros(0)
        differ = bool((said >= 0).sum() > 1)
        score = max(0.0, halves.stability) * (1 - min(1.0, apart))
        if differ or score >= least:
            found.append((not differ, -score, int(name), halves.stability, apart))
    found = sorted(found)[:most]
    column = list(zip(*found, strict=True)) if found else [()] * 5
    return Splits(
        np.array(column[2], np.int32),
        -np.array(column[1], np.float64),
        np.array(column[3], np.float64),
        np.array(column[4], np.float64),
        ~np.array(column[0], bool),
    )


def crossing(graph: "csr_array", half: np.ndarray) -> float:
    """The weight of the edges between the halves (int [image], 0 or 1) over what their ends alone
    would give; 0 where no edge can cross, as without edges."""
    weight = cluster_weights(graph.tocsr(), half.astype(np.int32), 2).weight
    ends = weight.sum(axis=1)
    expected = ends[0] * ends[1] / max(ends.sum(), 1e-300)
    return float(weight[0, 1] / expected) if expected > 0 else 0.0


def _means_of_two(x: np.ndarray, decided: np.ndarray) -> np.ndarray | None:
    """float32 [1, 2, dim]: the means of the two labels that most have, if two are there."""
    label, count = np.unique(decided[decided >= 0], return_counts=True)
    if len(label) < 2:
        return None
    two = label[np.argsort(-count, kind="stable")[:2]]
    means = [x[decided == one].mean(axis=0, dtype=np.float64) for one in two]
    return np.stack(means)[None].astype(np.float32)


def _larger_first(half: np.ndarray) -> np.ndarray:
    one = int((half == 1).sum())
    swap = one > len(half) - one or (2 * one == len(half) and half[0] == 1)
    return (1 - half if swap else half).astype(np.int32)
