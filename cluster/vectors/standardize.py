"""Standardise each dim to mean 0 and standard deviation 1, by statistics of the fitted rows."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles

CONSTANT = 1e-5  # of the root mean square of a dim: less deviation than that is rounding


class Scale(NamedTuple):
    """mean and standard deviation: float32 [dim]; constant dims have deviation 1."""

    mean: np.ndarray
    deviation: np.ndarray


def fit_scale(rows: Rows, stored: str = "float32") -> Scale:
    """The mean and standard deviation of the rows, by sums in float64 about the first row, in one
    read. A dim that deviates by no more than rounding to the dtype `stored` makes is constant."""
    least = max(CONSTANT, float(np.finfo(stored).eps) / 2)
    shift = torch.from_numpy(rows.block(0, 1).copy())[0].double()
    total, square = torch.zeros_like(shift), torch.zeros_like(shift)
    for _, x in tiles(rows, "cpu"):
        y = x.double() - shift
        total += y.sum(0)
        square += y.square().sum(0)
    mean = total / len(rows)
    deviation = (square / len(rows) - mean.square()).clamp(min=0).sqrt()
    constant = deviation <= least * (square / len(rows) + shift.square()).sqrt()
    return Scale(
        (shift + mean).float().numpy(), torch.where(constant, 1.0, deviation).float().numpy()
    )


def identity_scale(dim: int) -> Scale:
    """The scale that leaves vectors unchanged."""
    return Scale(np.zeros(dim, np.float32), np.ones(dim, np.float32))


def fold_scale(
    weight: torch.Tensor, bias: torch.Tensor, scale: Scale
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fold the scale into a linear layer: the weight [head, out, dim] and bias [head, out] that
    give, on unscaled vectors, the outputs of this layer on scaled ones."""
    mean, deviation = (torch.from_numpy(each).to(weight) for each in scale)
    weight = weight / deviation
    return weight, bias - weight @ mean
