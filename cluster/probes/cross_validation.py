"""How well a linear model predicts labels on images that it has not seen.

The generalisation score of TURTLE (Gadetsky, Jiang and Brbić, ICML 2024, arXiv:2406.07236): the
cross-validated accuracy of a linear classifier on the labels that a method found itself. No label
of a person is read. It ranks labellings of one dataset in one space; a single cluster has 1, so
that the number of clusters in use belongs beside it.
"""

import numpy as np

from cluster.probes.linear_probe import accuracy, linear_probe
from cluster.vectors.rows import Rows, Subset


def cross_validated_accuracy(
    rows: Rows,
    label: np.ndarray,
    *,
    folds: int,
    penalty: float,
    seed: int,
    max_iter: int,
    stored: str = "float32",
    device: str = "cpu",
) -> float:
    """The share of `rows` ([image, dim]; two or more) whose label (int [image], from 0) is
    predicted by the classifier that was fitted without their fold. Folds are stratified: images
    are sorted by label, shuffled within each, and dealt out in turn."""
    images = len(label)
    folds = min(folds, images)
    order = np.lexsort([np.random.default_rng(seed).random(images), label])
    fold = np.empty(images, np.int64)
    fold[order] = np.arange(images) % folds
    right = 0.0
    for number in range(folds):
        fitted, rest = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        probe = linear_probe(
            Subset(rows, fitted), label[fitted], penalties=[penalty], validation=0.5, seed=seed,
            max_iter=max_iter, stored=stored, device=device,
        )  # fmt: skip
        right += accuracy(Subset(rows, rest), label[rest], probe, device) * len(rest)
    return right / images
