"""Choose a setting of category discovery where the answer is known: hold known classes out as new.

Some methods have a setting whose best value depends on the unlabelled images, whose classes nobody
knows. Here it is chosen on the labelled images alone: the labels of some known classes are hidden,
and the setting that finds these classes best is taken. Unlabelled images take no part: with them, a
cluster that mixes a hidden class with a truly new one would count as right, and small weights of
SimGCD's entropy term, which mix classes, would win.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.metrics.matching import accuracy, contingency_table, one_to_one

HOLDOUTS = 10  # by which a setting is chosen
NEW = 0.4  # share of the known classes that is held out
LABELLED = 0.5  # share of the images of the other classes that keep their label, as in GCD


class ClassHoldout(NamedTuple):
    """label: int64 [image], the labels that the method may see, -1 where hidden; truth: int64
    [image], all labels. Classes are renumbered so that the held-out ones come last."""

    label: np.ndarray
    truth: np.ndarray


def hold_out_classes(label: np.ndarray, number: int, seed: int) -> list[ClassHoldout]:
    """`number` random holdouts of classes; label: int64 [image], of labelled images only, classes
    0 to old - 1.

    Raises ClusterError for a single class: none can be held out.
    """
    old = int(label.max()) + 1
    if old < 2:
        raise ClusterError("one class is known, so none can be held out as new: give a number")
    return [_hold_out(label, old, np.random.default_rng([seed, n])) for n in range(number)]


def hidden_accuracy(assignment: np.ndarray, holdout: ClassHoldout, k: int) -> float:
    """The accuracy of clusters (int [image]) on the images whose label is hidden, by one-to-one
    matching of these images: the "All" accuracy of GCD's protocol v2."""
    hidden = holdout.label < 0
    classes = int(holdout.truth.max()) + 1
    counts = contingency_table(assignment[hidden], holdout.truth[hidden], k, classes)
    return accuracy(counts, one_to_one(counts))


def _hold_out(label: np.ndarray, old: int, generator: np.random.Generator) -> ClassHoldout:
    new = max(1, round(NEW * old))
    order = generator.permutation(old)
    order = np.concatenate([np.sort(order[new:]), np.sort(order[:new])])
    truth = np.argsort(order)[label]
    visible = np.full(len(label), -1, np.int64)
    for known in range(old - new):
        images = np.flatnonzero(truth == known)
        drawn = generator.permutation(images)[: max(1, round(LABELLED * len(images)))]
        visible[drawn] = known
    return ClassHoldout(visible, truth.astype(np.int64))
