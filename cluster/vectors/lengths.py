"""What the lengths of vectors say, which normalising them takes away."""

from typing import NamedTuple

import numpy as np

from cluster.vectors.rows import TILE, Rows
from cluster.vectors.spread import Spread


class Lengths(NamedTuple):
    """variation: the standard deviation of the lengths over their mean; share: their variance over
    that of the vectors about their mean, 1 for vectors on a line through zero."""

    variation: float
    share: float


def measure_lengths(rows: Rows) -> Lengths:
    """Of `rows` [image, dim], in one read; zeros where all are equal."""
    vectors, lengths = Spread(), Spread()
    for start in range(0, len(rows), TILE):
        x = rows.block(start, min(start + TILE, len(rows))).astype(np.float64)
        vectors.add(x)
        lengths.add(np.sqrt(np.einsum("id,id->i", x, x))[:, None])
    of_lengths, of_vectors, mean = lengths.variance(), vectors.variance(), float(lengths.mean()[0])
    return Lengths(
        of_lengths**0.5 / mean if mean else 0.0, of_lengths / of_vectors if of_vectors else 0.0
    )
