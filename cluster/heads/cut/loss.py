"""The cut and the balance of a batch of edges, and their slopes (see cluster.heads.cut.cut)."""

from typing import Literal, NamedTuple

import numpy as np
import torch

from cluster.heads.cut.envelope import (
    Bins,
    degree_bins,
    hypergeometric,
    hypergeometric_bins,
    inverse_share,
)
from cluster.heads.scan import MIN_LOGIT

Kind = Literal["prcut", "h_rcut", "h_ncut"]


class Batch(NamedTuple):
    """x: float32 or bfloat16 [image, dim], distinct images; image: int64 [image], their rows; left,
    right: int64 [edge], positions in x; weight: float32 [edge]."""

    x: torch.Tensor
    image: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    weight: torch.Tensor


class Factors:
    """S_l(i) in two parts: of a bin of images and a cluster, and of an image."""

    def __init__(self, cut: Kind, degree: np.ndarray, m: int, bins: int, device: str) -> None:
        """degree: float64 [image], of all images; bins: of them, at most."""
        self._cut, self._m = cut, m
        found = Bins(np.zeros(len(degree), np.int64), *np.ones((3, 1)))
        of_image = np.ones(len(degree))
        if cut == "h_ncut":
            found, of_image = degree_bins(degree, bins), 1 / degree
        self.bin = torch.from_numpy(found.bin).to(device)
        self.of_image = torch.from_numpy(of_image).float().to(device)
        self._bins = [torch.from_numpy(each).to(device) for each in found[1:]]

    def __call__(self, share: torch.Tensor) -> torch.Tensor:
        """Of bins and clusters, float64 [bin, head, cluster], of shares [head, cluster]."""
        if self._cut == "h_ncut":
            return hypergeometric_bins(share, self._m, *self._bins)
        if self._cut == "h_rcut":
            return hypergeometric(share.double(), self._m)[None]
        return inverse_share(share.double())[None]


class Gradient(NamedTuple):
    """loss: cut + balance, [head]; slope: the derivatives of the cut and of the balance by the
    logits, [2, head, cluster, image]; share: the new average, [head, cluster]; assignment: int64
    [head, image], the most probable clusters."""

    loss: torch.Tensor
    slope: torch.Tensor
    share: torch.Tensor
    assignment: torch.Tensor


def cut_gradient(
    logits: torch.Tensor, batch: Batch, average: torch.Tensor, momentum: float, factors: Factors
) -> Gradient:
    """The two losses of logits A x / tau, float [head, cluster, image], and their derivatives.

    With c = w_ij S_l(i) p_il / sum w and T_i = -(sum of c over the edges that end in i) - (sum of c
    log p_j over those that begin in i), the cut's derivative by the logits of i is T - p sum T.
    That through a_l, of which the mean of p is the part 1 - momentum, comes on top.
    """
    log_p = logits.log_softmax(1)
    p = log_p.clamp(min=MIN_LOGIT).exp()
    images, mean = p.shape[2], p.mean(2)
    share = momentum * average + (1 - momentum) * mean
    with torch.enable_grad():
        a = share.double().requires_grad_()
        factor = factors(a)
    by_image_p, by_image_log = (each.permute(2, 0, 1).contiguous() for each in (p, log_p))
    here, there = by_image_p[batch.left], by_image_log[batch.right]  # [edge, head, cluster]
    row = batch.image[batch.left]
    bins = factors.bin[row]
    total_weight = batch.weight.sum().clamp(min=torch.finfo(torch.float32).tiny)
    weight = (batch.weight * factors.of_image[row] / total_weight)[:, None, None]
    plain = weight * here  # c without S
    c = plain * factor.detach().to(p.dtype)[bins]
    # The cut of each bin and cluster without S, by which S is weighted
    parts = _sums(bins, -plain * there, len(factor)).double()
    (by_share,) = torch.autograd.grad(factor, a, parts)
    cut = (factor.detach() * parts).sum((0, 2))
    total = _sums(batch.left, -c * there, images) + _sums(batch.right, -c, images)
    total = total.permute(1, 2, 0)
    log_mean = mean.clamp(min=1e-30).log()
    through = ((1 - momentum) / images * by_share).to(p.dtype)
    slope = torch.stack([
        total - p * total.sum(1, keepdim=True) + _by_logits(p, through),
        _by_logits(p, log_mean / images),
    ])  # fmt: skip
    loss = cut.to(p.dtype) + (mean * log_mean).sum(1)
    return Gradient(loss, slope, share.to(average.dtype), p.max(1).indices)


def mixed_gradient(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of two gradients of each head, each divided by its length: weight [2, head, cluster,
    dim] and bias [2, head, cluster]. One of zeros stays."""
    square = weight.square().sum((2, 3)) + bias.square().sum(2)
    factor = square.sqrt().clamp(min=1e-30).reciprocal()
    return (weight * factor[..., None, None]).sum(0), (bias * factor[..., None]).sum(0)


def normalized_cut(left: np.ndarray, right: np.ndarray, weight: np.ndarray, k: int) -> float:
    """sum_l cut(l) / volume(l) of the clusters (int [edge]) of both ends of edges. A cluster
    without an edge counts 1, as one of images drawn at random would in the limit of many clusters,
    so that a head gains nothing by giving clusters up."""
    weight = weight.astype(np.float64)
    between = np.where(left == right, 0, weight)
    volume, cut = (
        np.bincount(left, weights=w, minlength=k) + np.bincount(right, weights=w, minlength=k)
        for w in (weight, between)
    )
    return float(np.divide(cut, volume, out=np.ones(k), where=volume > 0).sum())


def _by_logits(p: torch.Tensor, by_p: torch.Tensor) -> torch.Tensor:
    """The derivative by the logits, given that by p, [head, cluster], alike for all images."""
    return p * (by_p[..., None] - torch.bmm(by_p[:, None], p))


def _sums(index: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """The sums of the values (float [edge, ...]) of each index (int64 [edge]): [size, ...]."""
    out = values.new_zeros(size, *values.shape[1:])
    if out.is_cuda:  # where only this one adds in a fixed order
        return out.index_put_((index,), values, accumulate=True)
    return out.index_add_(0, index, values)
