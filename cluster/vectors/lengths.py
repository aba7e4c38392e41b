"""What the lengths of vectors say, which normalising them takes away."""

from typing import NamedTuple, final

import numpy as np

from cluster.vectors.rows import Rows
from cluster.vectors.spread import Spread


class Lengths(NamedTuple):
    """variation: the standard deviation of the lengths over their mean; share: their variance over
    that of the vectors about their mean, 1 for vectors on a line through zero."""

    variation: float
    share: float


@final
class Measured:
    """Rows that are measured while another function reads them from the first to the last, a block
    at a time; what it reads again counts once."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self._seen = rows, 0
        self._vectors, self._lengths = Spread(), Spread()
        self.dim: int = rows.dim

    def __len__(self) -> int:
        return len(self._rows)

    def block(self, start: int, stop: int) -> np.ndarray:
        found = self._rows.block(start, stop)
        if start == self._seen:
            self._seen = stop
            x = found.astype(np.float64)
            self._vectors.add(x)
            self._lengths.add(np.sqrt(np.einsum("id,id->i", x, x))[:, None])
        return found

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self._rows.take(rows)

    def lengths(self) -> Lengths:
        """Of the rows so far, one at least; zeros where all are equal."""
        of_lengths, of_vectors = self._lengths.variance(), self._vectors.variance()
        mean = float(self._lengths.mean()[0])
        return Lengths(
            of_lengths**0.5 / mean if mean else 0.0, of_lengths / of_vectors if of_vectors else 0.0
        )
