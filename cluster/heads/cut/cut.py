"""Linear heads that cut the graph of neighbours into k parts: PRCut, H-RCut and H-NCut.

With p_i = softmax(A x_i / tau) and edges ij of weight w_ij (cluster.heads.cut.edges) they minimise

    cut = sum_l sum_ij w_ij S_l(i) p_il (-log p_jl) / sum_ij w_ij,   balance = -H(mean_i p_i)

S_l(i) is the factor of cluster l (cluster.heads.cut.envelope) at its share a_l, an exponential
moving average: PRCut 1 / a_l, H-RCut 2F1(-m, 1; 2; a_l), H-NCut Phi_l(bin of i) / degree of i. The
step of a head follows grad cut / |grad cut| + grad balance / |grad balance|, so that neither
outweighs the other, and tau falls from a high value, at which all images are in all clusters, to
its last one along a line. After Ghriss (AISTATS 2026, arXiv:2511.02272) and Ghriss and Monteleoni
(PRCut, arXiv:2502.03405), with the cross-entropy of the authors' program in place of p_il (1 -
p_jl). But: several heads are trained, and the one is kept whose clusters, each image in its most
probable one, have the smallest normalised cut; the gradient passes through a_l for every factor,
by its share of the average; H-NCut has one a_l for all bins, as that program.
"""

from collections.abc import Mapping
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
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.scan import MIN_LOGIT
from cluster.heads.training import Step, cluster_sizes
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale

Kind = Literal["prcut", "h_rcut", "h_ncut"]
CELLS = 20_000_000  # numbers of [edge, head, cluster] at once


class Batch(NamedTuple):
    """x: float32 or bfloat16 [image, dim], distinct images; image: int64 [image], their rows; left,
    right: int64 [edge], positions in x; weight: float32 [edge]."""

    x: torch.Tensor
    image: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    weight: torch.Tensor


class Settings(NamedTuple):
    """m: degree of the 2F1; momentum: of the average of the shares; temperature_first, _last: tau
    at the first and last of `steps`; bins: of degrees, at most (h_ncut)."""

    heads: int
    cut: Kind
    m: int
    momentum: float
    temperature_first: float
    temperature_last: float
    bins: int
    weight_decay: float
    steps: int


class Cut:
    """The heads of one seed (a cluster.heads.training.Learner). The criterion is the normalised cut
    of their clusters, 0 to k."""

    def __init__(
        self,
        dim: int,
        k: int,
        settings: Settings,
        *,
        scale: Scale,
        degree: np.ndarray,
        watched: torch.Tensor,
        judged: Batch,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Heads for vectors of `dim` that were standardised by `scale`. degree: float64 [image], of
        all rows; watched: [image, dim], images whose clusters are recorded after each epoch;
        judged: edges on which the heads are compared."""
        self.k, self.n_heads, self.device, self._settings = k, settings.heads, device, settings
        self._scale, self._watched, self._judged = scale, watched, judged
        generator, reach = torch.Generator().manual_seed(seed), dim**-0.5  # torch's default
        weight = torch.empty(settings.heads, k, dim).uniform_(-reach, reach, generator=generator)
        bias = torch.empty(settings.heads, k).uniform_(-reach, reach, generator=generator)
        self._weight, self._bias = (w.to(device).requires_grad_() for w in (weight, bias))
        groups = [
            {"params": [self._weight], "weight_decay": settings.weight_decay},
            {"params": [self._bias], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=1.0, fused=True)
        self._share = torch.full((settings.heads, k), 1 / k, device=device)
        self._steps = torch.zeros((), dtype=torch.int64)
        self._factors = Factors(settings, degree, device)

    @torch.no_grad()
    def step(self, batch: Batch, lr: float) -> Step:
        """Learn from edges; see cluster.heads.training."""
        size = max(1, CELLS // (max(len(batch.left), len(batch.x)) * self.k))
        tau, losses, sizes = self._temperature(), [], []
        self._weight.grad, self._bias.grad = (
            torch.empty_like(self._weight),
            torch.empty_like(self._bias),
        )
        for low in range(0, self.n_heads, size):
            heads = slice(low, low + size)
            found = cut_gradient(
                self._logits(batch.x, heads) / tau, batch, self._share[heads],
                self._settings.momentum, self._factors,
            )  # fmt: skip
            both = weight_gradient(found.slope.flatten(0, 2), batch.x)
            mixed = mixed_gradient(both.unflatten(0, found.slope.shape[:3]), found.slope.sum(3))
            self._weight.grad[heads], self._bias.grad[heads] = mixed
            self._share[heads] = found.share
            losses.append(found.loss)
            sizes.append(cluster_sizes(found.assignment, self.k))
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        self._steps += 1
        return Step(torch.cat(losses), torch.cat(sizes))

    @torch.no_grad()
    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The normalised cut of the clusters of each head on the judged edges."""
        of, found = self._judged, []
        left, right, weight = (each.cpu().numpy() for each in of[2:])
        size = max(1, CELLS // (len(of.x) * self.k))
        for low in range(0, self.n_heads, size):
            own = self._logits(of.x, slice(low, low + size)).max(1).indices.cpu().numpy()
            found += [normalized_cut(each[left], each[right], weight, self.k) for each in own]
        return np.array(found)

    @torch.no_grad()
    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        logits = self._logits(self._watched, slice(head, head + 1))
        return logits[0].max(0).indices.int().cpu().numpy()

    def head(self, number: int) -> Linear:
        """One head at the last temperature, for cluster.heads.model.predict."""
        one, tau = slice(number, number + 1), self._settings.temperature_last
        weight, bias = self._weight.detach()[one] / tau, self._bias.detach()[one] / tau
        return Linear(*(each.cpu().numpy() for each in fold_scale(weight, bias, self._scale)))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        return {
            "head/weight": self._weight,
            "head/bias": self._bias,
            "average/share": self._share,
            "count/steps": self._steps,
            **named_state(self._adam),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        now = self.state()
        for name in ("head/weight", "head/bias", "average/share", "count/steps"):
            now[name].copy_(state[name])
        restore(self._adam, state)

    def _temperature(self) -> float:
        first, last = self._settings.temperature_first, self._settings.temperature_last
        return first + (last - first) * (int(self._steps) + 1) / self._settings.steps

    def _logits(self, x: torch.Tensor, heads: slice) -> torch.Tensor:
        """[image, dim] → float32 [head, cluster, image]."""
        weight, bias = self._weight.detach()[heads], self._bias.detach()[heads]
        return (
            linear_outputs(weight.flatten(0, 1), x).view(*bias.shape, len(x)).add_(bias[..., None])
        )


class Factors:
    """S_l(i) in two parts: of a bin of images and a cluster, and of an image."""

    def __init__(self, settings: Settings, degree: np.ndarray, device: str) -> None:
        self._settings = settings
        bins = Bins(np.zeros(len(degree), np.int64), *np.ones((3, 1)))
        of_image = np.ones(len(degree))
        if settings.cut == "h_ncut":
            bins, of_image = degree_bins(degree, settings.bins), 1 / degree
        self.bin = torch.from_numpy(bins.bin).to(device)
        self.of_image = torch.from_numpy(of_image).float().to(device)
        self._bins = [torch.from_numpy(each).to(device) for each in bins[1:]]

    def __call__(self, share: torch.Tensor) -> torch.Tensor:
        """Of bins and clusters, float64 [bin, head, cluster], of shares [head, cluster]."""
        if self._settings.cut == "h_ncut":
            return hypergeometric_bins(share, self._settings.m, *self._bins)
        if self._settings.cut == "h_rcut":
            return hypergeometric(share.double(), self._settings.m)[None]
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
