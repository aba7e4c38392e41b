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
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.cut.loss import (
    Batch,
    Factors,
    Kind,
    cut_gradient,
    mixed_gradient,
    normalized_cut,
)
from cluster.heads.linear_layer import adamw, initial_heads
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import Step, cluster_sizes
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale

CELLS = 20_000_000  # numbers of [edge, head, cluster] at once


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
        self._weight, self._bias = initial_heads(settings.heads, k, dim, seed=seed, device=device)
        self._adam = adamw(self._weight, self._bias, settings.weight_decay)
        self._share = torch.full((settings.heads, k), 1 / k, device=device)
        self._steps = torch.zeros((), dtype=torch.int64)
        self._factors = Factors(settings.cut, degree, settings.m, settings.bins, device)

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
