"""Batches of all images, reshuffled in each pass.

As a shuffling data loader. But: no image is dropped at the end of a pass; the next pass begins
within the same batch, which may then contain an image twice.
"""

import numpy as np

from cluster.errors import ClusterError


class ShuffledSampler:
    """An endless stream of batches. The batch of a step depends on the seed and the number of the
    step only, so that a run can resume at any step."""

    def __init__(self, images: int, batch: int, seed: int) -> None:
        """images: their number; a batch is at most one pass. Raises ClusterError when a batch would
        have fewer than two images."""
        self.batch = min(batch, images)
        if self.batch < 2:
            raise ClusterError(
                f"a batch of {batch} from {images} images has fewer than two images to compare: "
                "set 2 or more"
            )
        self._images, self._seed, self._drawn = images, seed, dict[int, np.ndarray]()

    def at(self, step: int) -> np.ndarray:
        """The images of a step, int64 [batch]."""
        n, start = self._images, step * self.batch
        first, last = start // n, (start + self.batch - 1) // n
        held, passes = self._drawn, range(first, last + 1)
        self._drawn = {p: held[p] if p in held else self._order(p) for p in passes}
        return np.concatenate(list(self._drawn.values()))[start - first * n :][: self.batch]

    def _order(self, number: int) -> np.ndarray:
        return np.random.default_rng([self._seed, number]).permutation(self._images)
