"""Mapping of clusters to classes, by Hungarian matching or majority vote, and its accuracy.

After the Hungarian matching of Kuhn 1955, as used in deep clustering, and majority voting.
But: one-to-one is strict. Where there are more clusters than classes, unmatched clusters have no
class and count as wrong; kmeans_selfsuper (arXiv 2008.10312) gives them their majority class, which
turns one-to-one into majority voting, whose accuracy increases with k by itself.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError

NO_CLASS = -1


class ClusterMeaning(NamedTuple):
    """The class of each cluster, or NO_CLASS, by either rule: int64 [cluster]."""

    one_to_one: np.ndarray
    majority: np.ndarray


def contingency_table(
    assignment: np.ndarray, label: np.ndarray, k: int, n_classes: int
) -> np.ndarray:
    """The contingency table, int64 [cluster, class], of `assignment` and `label` (int [image]).

    Raises ClusterError when a cluster is not in 0..k-1 or a label not in 0..n_classes-1.
    """
    for what, values, stop in (("cluster", assignment, k), ("class", label, n_classes)):
        if len(values) and not (values.min() >= 0 and values.max() < stop):
            found = values.max() if values.min() >= 0 else values.min()
            raise ClusterError(f"an image is of {what} {found}, expected 0 to {stop - 1}")
    cells = assignment.astype(np.int64) * n_classes + label
    return np.bincount(cells, minlength=k * n_classes).reshape(k, n_classes)


def learn_meaning(counts: np.ndarray) -> ClusterMeaning:
    """The class of each cluster by both rules, from counts: int [cluster, class]."""
    return ClusterMeaning(one_to_one(counts), majority(counts))


def one_to_one(counts: np.ndarray) -> np.ndarray:
    """The matching of clusters to classes with the highest accuracy: int64 [cluster], each class at
    most once.

    `counts`: int [cluster, class]. A cluster that is unmatched, or shares no image with its class,
    has NO_CLASS.
    """
    from scipy.optimize import linear_sum_assignment

    to = np.full(len(counts), NO_CLASS, np.int64)
    cluster, label = linear_sum_assignment(counts, maximize=True)
    shared = counts[cluster, label] > 0  # pairs without common images are arbitrary
    to[cluster[shared]] = label[shared]
    return to


def majority(counts: np.ndarray) -> np.ndarray:
    """The most frequent class of each cluster, int64 [cluster]; NO_CLASS for an empty cluster."""
    return np.where(counts.any(axis=1), counts.argmax(axis=1), NO_CLASS)


def accuracy(counts: np.ndarray, to: np.ndarray) -> float:
    """The share of the images of `counts` (int [cluster, class]) whose cluster is mapped to their
    class by `to` (int [cluster]). NO_CLASS is always wrong; nan without images."""
    total = counts.sum()
    known = np.flatnonzero(to != NO_CLASS)
    return float(counts[known, to[known]].sum() / total) if total else float("nan")
