"""Each dim to mean 0 and deviation 1, by the statistics of the rows that are fitted."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles

FLAT = 1e-5  # of the root mean square of a dim: less deviation than this is rounding


class Scale(NamedTuple):
    """mean and deviation: float32 [dim]; a dim without deviation has deviation 1."""

    mean: np.ndarray
    deviation: np.ndarray


def fit_scale(rows: Rows) -> Scale:
    """By sums in float64 about the first row, in one read."""
    shift = torch.from_numpy(rows.block(0, 1).copy())[0].double()
    total, square = torch.zeros_like(shift), torch.zeros_like(shift)
    for _, x in tiles(rows, "cpu"):
        y = x.double() - shift
        total += y.sum(0)
        square += y.square().sum(0)
    mean = total / len(rows)
    deviation = (square / len(rows) - mean.square()).clamp(min=0).sqrt()
    flat = deviation <= FLAT * (square / len(rows) + shift.square()).sqrt()
    return Scale((shift + mean).float().numpy(), torch.where(flat, 1.0, deviation).float().numpy())


def identity_scale(dim: int) -> Scale:
    """The scale that changes nothing."""
    return Scale(np.zeros(dim, np.float32), np.ones(dim, np.float32))


def fold_scale(
    weight: torch.Tensor, bias: torch.Tensor, scale: Scale
) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer of scaled vectors (weight [head, out, dim], bias [head, out]) as one of vectors."""
    mean, deviation = (torch.from_numpy(each).to(weight) for each in scale)
    weight = weight / deviation
    return weight, bias - weight @ mean
