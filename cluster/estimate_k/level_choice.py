"""How many classes there may be, as CiPR chooses a level of a hierarchy of clusters.

After Hao, Han and Wong (CiPR, TMLR 2024, arXiv:2304.06928, "class number estimation") and their
code. Some known classes are hidden, and a hierarchy is built that knows the others
(cluster.estimate_k.neighbor_hierarchy). The score of a number of clusters is

    norm(silhouette of the images without a label) x norm(accuracy on the hidden classes)

where norm goes from 0 to 1 over the numbers that are compared. First the levels are compared; then
all numbers between the levels beside the best one, by merging two clusters at a time. No label of a
class that is new takes part.

But: classes are hidden at random, by seed, and numbers are not below the known classes nor above
the most that may be tried. Merging starts from a level of MERGED clusters at most.
"""

from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError
from cluster.estimate_k.neighbor_hierarchy import Level, levels, merges
from cluster.metrics.clustering import accuracies, silhouettes
from cluster.vectors.rows import Rows

SAMPLE = 2048  # images whose silhouettes are taken, as published
FEW, HIDDEN_OF_FEW, HIDDEN = 10, 0.4, 0.2  # share of the known classes that is hidden: of up to 10
MERGED = 1000  # clusters


class Scored(NamedTuple):
    """Numbers of clusters that were compared: k int64, the rest float64, [number]."""

    k: np.ndarray
    accuracy: np.ndarray
    silhouette: np.ndarray
    score: np.ndarray

    @property
    def best(self) -> int:
        """The number of the highest score, of equal ones the lowest."""
        return int(self.k[np.lexsort((self.k, -self.score))[0]])


def score_levels(
    rows: Rows, label: np.ndarray, *, least: int, most: int, seed: int, device: str = "cpu"
) -> Scored:
    """The numbers of clusters from `least` to `most` that were compared last.

    label: int64 [image], the known class or -1; seed: which classes are hidden, and which images
    are looked at. Raises ClusterError when fewer than two classes are known.
    """
    hidden = hidden_classes(label, seed)
    seen = np.where(np.isin(label, hidden), -1, label)
    of = _Of(rows, label, seen, np.flatnonzero(np.isin(label, hidden)), seed)
    found = [level for level in levels(rows, seen, device=device) if len(level.size) >= least]
    if not found:  # one level, and a coarse one: as many as there must be
        return Scored(np.array([least]), *(np.zeros(1) for _ in range(3)))
    first = of.score([len(level.size) for level in found], [level.own for level in found])
    at = int(first.score.argmax())
    end = len(found[min(at + 1, len(found) - 1)].size)
    begin = next(
        (level for level in found[max(at - 1, 0) :] if len(level.size) <= max(MERGED, most)),
        found[-1],
    )
    return _between(of, begin, max(least, min(end, most)), most)


def hidden_classes(label: np.ndarray, seed: int) -> np.ndarray:
    """The known classes that are hidden: int64 [class]."""
    classes = int(label.max(initial=-1)) + 1
    if classes < 2:
        raise ClusterError(
            f"{classes} classes are known, and some have to be hidden: set method: accuracy"
        )
    share = HIDDEN_OF_FEW if classes <= FEW else HIDDEN
    drawn = np.random.default_rng([seed, 0]).permutation(classes)
    return np.sort(drawn[: max(1, round(share * classes))])


class _Of:
    """What numbers of clusters are scored by."""

    def __init__(
        self, rows: Rows, label: np.ndarray, seen: np.ndarray, held: np.ndarray, seed: int
    ) -> None:
        free = np.flatnonzero(seen < 0)
        drawn = np.random.default_rng([seed, 1]).permutation(len(free))[:SAMPLE]
        self.sample, self.held, self._label = np.sort(free[drawn]), held, label[held]
        x = rows.take(self.sample).astype(np.float64)
        self._unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    def score(self, k: list[int], own: list[np.ndarray]) -> Scored:
        """own: of each number the cluster of every image."""
        held = np.stack([each[self.held] for each in own])
        sample = np.stack([each[self.sample] for each in own])
        right, apart = accuracies(held, self._label), silhouettes(self._unit, sample)
        apart = np.nan_to_num(apart, nan=-1.0)
        return Scored(np.array(k), right, apart, _norm(right) * _norm(apart))


def _between(of: _Of, level: Level, least: int, most: int) -> Scored:
    k, own = list[int](), list[np.ndarray]()
    if len(level.size) <= most:
        k, own = [len(level.size)], [level.own]
    for to in merges(level, least):
        if (clusters := int(to.max()) + 1) <= most:
            k.append(clusters)
            own.append(to[level.own])
    if not k:  # classes that may not mix forbid all merges
        return Scored(np.array([most]), *(np.zeros(1) for _ in range(3)))
    return of.score(k, own)


def _norm(values: np.ndarray) -> np.ndarray:
    """From 0 to 1; equal values stay as they are, as published."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else values
