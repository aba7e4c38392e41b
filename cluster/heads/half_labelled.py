"""Batches of which one half is labelled and the other half is not.

After GCD's and SimGCD's sampler (Vaze et al., arXiv:2201.02609; arXiv:2211.11727). But: exactly
half of a batch is labelled, where theirs samples with weights that give half on average; and each
pass over the labelled or the unlabelled images shows every image once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cluster.errors import ClusterError


class HalfLabelledBatch(NamedTuple):
    """images: int64 [seed, 2 half], the labelled ones first; label: int64 [seed, half], their
    labels."""

    images: np.ndarray
    label: np.ndarray


class HalfLabelled:
    """An endless stream of batches, one for each seed, all of the same size. The batches of a step
    depend on the labels, the seeds and the number of the step only, so that a run can resume at any
    step."""

    def __init__(self, labels: Sequence[np.ndarray], batch: int, seeds: Sequence[int]) -> None:
        """labels: for each seed, int64 [image], -1 where unlabelled; batch: images of a step,
        labelled and unlabelled ones together. Raises ClusterError when there are none of either."""
        self._labels, sides = labels, []
        for label, seed in zip(labels, seeds, strict=True):
            labelled, free = np.flatnonzero(label >= 0), np.flatnonzero(label < 0)
            if not (len(labelled) and len(free)):
                raise ClusterError(
                    f"{len(labelled)} images have a label and {len(free)} have none: some of each "
                    "are needed"
                )
            sides.append((_Cycle(labelled, seed, 0), _Cycle(free, seed, 1)))
        # Labelled images may be few and repeat within a batch; unlabelled ones do not.
        self.half = max(1, min([batch // 2, *(len(free.images) for _, free in sides)]))
        self._sides = sides

    def at(self, step: int) -> HalfLabelledBatch:
        """The batches of a step."""
        start = step * self.half
        images = np.stack([
            np.concatenate([side.piece(start, self.half) for side in of]) for of in self._sides
        ])  # fmt: skip
        known = zip(self._labels, images[:, : self.half], strict=True)
        return HalfLabelledBatch(images, np.stack([label[those] for label, those in known]))


class _Cycle:
    """Some images over and over, reshuffled in each pass."""

    def __init__(self, images: np.ndarray, seed: int, side: int) -> None:
        self.images, self._seed, self._side = images, seed, side
        self._drawn = dict[int, np.ndarray]()

    def piece(self, start: int, length: int) -> np.ndarray:
        """Positions start to start + length of the endless sequence, int64 [length]."""
        n = len(self.images)
        first, last = start // n, (start + length - 1) // n
        held, passes = self._drawn, range(first, last + 1)
        self._drawn = {p: held[p] if p in held else self._order(p) for p in passes}
        return np.concatenate(list(self._drawn.values()))[start - first * n :][:length]

    def _order(self, number: int) -> np.ndarray:
        generator = np.random.default_rng([self._seed, number, self._side])
        return generator.permutation(self.images)
