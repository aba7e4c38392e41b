"""Standardise vectors, by statistics of the fitted rows: each dim to mean 0 and deviation 1."""

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


def fit_scale(rows: Rows, stored: str = "float32", *, each_dim: bool = True) -> Scale:
    """The mean and standard deviation of the rows, by sums in float64 about the first row, in one
    read. A dim that deviates by no more than rounding to the dtype `stored` makes is constant.

    each_dim: whether each has its own deviation; else all have the root mean square of these (1 if
    all are constant), so that principal components keep their proportions: else they would be
    whitened."""
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
    of_each = torch.where(constant, 1.0, deviation)
    if not each_dim:
        of_all = torch.where(constant, 0.0, deviation).square().mean().sqrt()
        of_each = torch.full_like(deviation, float(of_all) or 1.0)
    return Scale((shift + mean).float().numpy(), of_each.float().numpy())


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
