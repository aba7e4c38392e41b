"""What an objective without labels learns from: all images, in a new order in each pass.

As a shuffling loader. But: no image is left out at the end of a pass, the next one begins within
the same batch; an image may then come twice in it.
"""

import numpy as np

from cluster.errors import ClusterError


class Everyone:
    """An endless stream of batches; that of a step follows from the seed and its number alone, so a
    run can go on anywhere."""

    def __init__(self, images: int, batch: int, seed: int) -> None:
        """images: how many there are; a batch is no more than a pass. Raises ClusterError when
        fewer than two images would be in one."""
        self.batch = min(batch, images)
        if self.batch < 2:
            raise ClusterError(
                f"a batch of {batch} from {images} images has no two to tell apart: take 2 or more"
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
