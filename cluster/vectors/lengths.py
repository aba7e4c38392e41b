"""What the lengths of vectors say, which normalising them takes away."""

from typing import NamedTuple

import numpy as np

from cluster.vectors.rows import TILE, Rows


class Lengths(NamedTuple):
    """variation: the standard deviation of the lengths over their mean; share: their variance over
    that of the vectors about their mean, 1 for vectors on a line through zero."""

    variation: float
    share: float


def measure_lengths(rows: Rows) -> Lengths:
    """Of `rows` [image, dim], by sums in float64 about the first row, in one read; zeros where all
    are equal."""
    first = rows.block(0, 1).astype(np.float64)
    shift, n = np.linalg.norm(first), len(rows)
    total, square, of_length, of_square = np.zeros(rows.dim), 0.0, 0.0, 0.0
    for start in range(0, n, TILE):
        x = rows.block(start, min(start + TILE, n)).astype(np.float64)
        length = np.sqrt(np.einsum("id,id->i", x, x)) - shift
        of_length, of_square = of_length + length.sum(), of_square + np.square(length).sum()
        x -= first
        total, square = total + x.sum(axis=0), square + np.einsum("id,id->", x, x)
    variance = max(0.0, float(square / n - np.square(total / n).sum()))
    deviation = max(0.0, float(of_square / n - (of_length / n) ** 2)) ** 0.5
    mean = float(shift + of_length / n)
    return Lengths(deviation / mean if mean else 0.0, deviation**2 / variance if variance else 0.0)
