"""Which numbers of clusters the images can be divided into: one rule for all methods.

Equal vectors are never told apart, so k is at most the number of distinct vectors of train; where
some classes are known, each is a cluster, and each new cluster needs an unlabelled vector. A k that
cannot be is left out, with a line. If none is left, a k that was written as a number is refused. A
multiple of the classes, or `auto`, is no mistake of the user: the run is then absent, and
everything else goes on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from cluster.neighbors.equal_rows import count_distinct
from cluster.vectors.rows import Subset
from pipeline.io.absent import Absent
from pipeline.io.cell import Cell
from pipeline.io.known import Known
from pipeline.io.space import Space, numbers_of_clusters, settings
from pipeline.params import StageError


class Limits(NamedTuple):
    """The least and the most clusters, and what sets either limit."""

    least: int
    most: int
    few: str
    many: str

    def refusal(self, k: int) -> str:
        """Why k cannot be, and what can; empty where it can."""
        if k < self.least:
            return f"k is {k}, but {self.few}: choose k from {self.least} on"
        if k > self.most:
            return f"k is {k}, but {self.many}: choose k from {self.least} to {self.most}"
        return ""


def feasible_settings(
    cell: Cell,
    k: Sequence[int | str],
    dims: Sequence[int],
    space: Space,
    estimate: Path,
    known: Known | None = None,
) -> list[tuple[int, int]]:
    """Every (k, dims) of a run that can be; see feasible_k and pipeline.io.space.settings."""
    some = feasible_k(cell, k, space.found, space.train, estimate, known)
    return settings(some, dims, cell.images, estimate, space)


def feasible_k(
    cell: Cell,
    k: Sequence[int | str],
    found: store.Features,
    train: np.ndarray,
    estimate: Path,
    known: Known | None = None,
) -> list[int]:
    """Every k of the run as a number, without those that the images `train` (int64, rows of the
    store) cannot be divided into.

    Raises StageError where none can be and one was written as a number, else Absent.
    """
    numbers = numbers_of_clusters(k, cell.images, estimate)
    limits = limits_of_k(found, train, max(numbers), known)
    fit = [number for number in numbers if not limits.refusal(number)]
    if not fit:
        written = [number for number in k if isinstance(number, int)]
        error = StageError if written else Absent
        raise error(limits.refusal((written or numbers)[0]))
    low = [number for number in numbers if number < limits.least]
    high = [number for number in numbers if number > limits.most]
    for left_out, why in ((low, limits.few), (high, limits.many)):
        if left_out:
            print(f"{cell.run}: k of {', '.join(map(str, left_out))} left out: {why}")
    return fit


def limits_of_k(
    found: store.Features, train: np.ndarray, enough: int, known: Known | None = None
) -> Limits:
    """The limits of k; vectors are counted up to `enough` clusters only."""
    if known is None:
        old, images = 0, train
        many = f"there are {len(train)} images to fit on"
    else:
        old, images = len(known.old), train[known.label < 0]
        many = f"{old} classes are known and {len(images)} images are unlabelled"
    distinct = count_distinct(Subset(found, images), min(len(images), max(1, enough - old)))
    if distinct < min(len(images), enough - old):
        many += f", of {distinct} distinct vectors"
    else:  # all that are needed are there
        distinct = len(images)
    return Limits(max(1, old), old + distinct, f"{old} classes are known", many)
