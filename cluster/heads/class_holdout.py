"""Category discovery in small, where the answer is known: some known classes are held to be new.

A setting that needs the classes of unlabelled images to be chosen well can be chosen here, by
labels that are known anyway. Only labelled images take part: were the unlabelled ones there too, a
cluster that mixes a hidden class with a truly new one would look right, and small weights of
SimGCD's entropy term, which mix classes, would win.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.metrics.matching import accuracy, contingency_table, one_to_one

PRETENCES = 10  # by which a setting is chosen
NEW = 0.4  # share of the known classes that is held to be new
LABELLED = 0.5  # share of the images of the others that keep their label, as in GCD


class Pretence(NamedTuple):
    """label: int64 [image], what the method may see, -1 where hidden; truth: int64 [image], all.
    Classes are numbered anew, those that are held to be new last."""

    label: np.ndarray
    truth: np.ndarray


def pretend(label: np.ndarray, number: int, seed: int) -> list[Pretence]:
    """So many pretences with the images whose label is given, int64 [image], classes 0 to old - 1.

    Raises ClusterError for a single class: none can be hidden.
    """
    old = int(label.max()) + 1
    if old < 2:
        raise ClusterError("one class is known, so none can be held to be new: give a number")
    return [_pretend(label, old, np.random.default_rng([seed, n])) for n in range(number)]


def hidden_accuracy(assignment: np.ndarray, pretence: Pretence, k: int) -> float:
    """The share of the images with a hidden label whose cluster (int [image]) is right, by
    one-to-one matching of these images: All by v2."""
    hidden = pretence.label < 0
    classes = int(pretence.truth.max()) + 1
    counts = contingency_table(assignment[hidden], pretence.truth[hidden], k, classes)
    return accuracy(counts, one_to_one(counts))


def _pretend(label: np.ndarray, old: int, generator: np.random.Generator) -> Pretence:
    new = max(1, round(NEW * old))
    order = generator.permutation(old)
    order = np.concatenate([np.sort(order[new:]), np.sort(order[:new])])
    truth = np.argsort(order)[label]
    seen = np.full(len(label), -1, np.int64)
    for known in range(old - new):
        images = np.flatnonzero(truth == known)
        drawn = generator.permutation(images)[: max(1, round(LABELLED * len(images)))]
        seen[drawn] = known
    return Pretence(seen, truth.astype(np.int64))
