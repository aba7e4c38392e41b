"""How much a cluster's cut counts, by its share: the factors of PRCut, H-RCut and H-NCut.

The expected ratio cut holds E[1 / (1 + X)] with X the number of other images in the cluster. With
images independent and of equal probability, X is binomial, and

    2F1(-m, 1; r + 1; a) = E[r / (r + X)],  X ~ Bin(m, a),

of which r = 1 has the closed form 2F1(-m, 1; 2; a) = (1 - (1 - a)^(m + 1)) / ((m + 1) a). For the
normalised cut the weights are degrees, and Hölder's inequality over bins of equal degree gives

    Phi(b) = prod_j 2F1(-m, 1; q_b / beta_j + 1; a)^(w_j),

q_b the mean degree of a bin, beta_j the least of bin j, w_j its share of the images. After Ghriss
(AISTATS 2026, arXiv:2511.02272), theorems 1 and 2; PRCut, 1 / a, after Ghriss and Monteleoni
(arXiv:2502.03405). But: the 2F1 of the bins are sums over the binomial distribution in float64,
whose terms are all positive, so that no digits cancel; bins have equal width in log degree, where
the authors' program finds them by k-means.
"""

from typing import NamedTuple

import numpy as np
import torch

LEAST = 1e-7  # shares are clamped to this much from 0 and 1


class Bins(NamedTuple):
    """Bins of the degrees. bin: int64 [image]; mean and least degree, and the share of the images:
    float64 [bin]."""

    bin: np.ndarray
    mean: np.ndarray
    least: np.ndarray
    share: np.ndarray


def degree_bins(degree: np.ndarray, most: int) -> Bins:
    """At most so many bins of equal width in log degree; empty ones are dropped. degree: float64
    [image], above 0."""
    low, high = np.log(degree.min()), np.log(degree.max())
    width = (high - low) / most or 1.0
    number = np.minimum((np.log(degree) - low) / width, most - 1).astype(np.int64)
    _, of_image, images = np.unique(number, return_inverse=True, return_counts=True)
    least = np.full(len(images), np.inf)
    np.minimum.at(least, of_image, degree)
    mean = np.bincount(of_image, weights=degree) / images
    return Bins(of_image, mean, least, images / len(degree))


def inverse_share(share: torch.Tensor) -> torch.Tensor:
    """1 / a, of PRCut."""
    return 1 / share.clamp(min=LEAST)


def hypergeometric(share: torch.Tensor, m: int) -> torch.Tensor:
    """2F1(-m, 1; 2; a) of H-RCut, of the shape of float a."""
    a = share.clamp(LEAST, 1 - LEAST)
    return -torch.expm1((m + 1) * torch.log1p(-a)) / ((m + 1) * a)


def hypergeometric_bins(
    share: torch.Tensor, m: int, mean: torch.Tensor, least: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Phi of H-NCut, float64 [bin, ...], of shares a [...] and, float64 [bin], the mean and least
    degrees and shares of the bins."""
    a = share.double().clamp(LEAST, 1 - LEAST)[..., None]
    x = torch.arange(m + 1, dtype=torch.float64, device=share.device)
    choose = torch.lgamma(torch.tensor(m + 1.0).double()) - torch.lgamma(x + 1)
    choose = choose - torch.lgamma(m - x + 1)
    chance = (choose + x * a.log() + (m - x) * torch.log1p(-a)).exp()
    ratio = (mean[:, None] / least).reshape(-1, 1)  # [bin bin, 1]
    each = (chance @ (ratio / (ratio + x)).T).unflatten(-1, (len(mean), len(mean)))
    return (each.log() @ weight).exp().movedim(-1, 0)
