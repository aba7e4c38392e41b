"""SCAN: linear heads on fixed features, trained to give an image and its neighbour one cluster.

After Van Gansbeke et al. (ECCV 2020, arXiv:2005.12320), equation 2, as they train ImageNet: frozen
backbone, linear heads. But: features are standardised and the optimiser is AdamW, since the
original's learning rate of 5 depends on the scale of MoCo's features; an image is never its own
neighbour; heads are selected by the same loss, with the same entropy weight, on held-out images of
train, not on the test images.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.linear_layer import adamw, initial_heads
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import Step, cluster_sizes
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale

# Logits are clamped to this much below the largest: e^-60 is negligible beside 1. Confident heads
# have lower ones, whose exponentials are denormal numbers, with which CPUs are ten times slower.
MIN_LOGIT = -60.0
CELLS = 20_000_000  # logits of held-out images at once: 20,000 images, 1,000 clusters of a head


class Settings(NamedTuple):
    """entropy_weight: lambda, the weight of the entropy of the cluster sizes."""

    heads: int
    entropy_weight: float
    weight_decay: float


class Scan:
    """The heads of one seed (a cluster.heads.training.Learner)."""

    def __init__(
        self,
        dim: int,
        k: int,
        settings: Settings,
        *,
        scale: Scale,
        watched: torch.Tensor,
        held_out: torch.Tensor,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Heads for vectors of `dim` that were standardised by `scale`. watched: [image, dim],
        images whose clusters are recorded after each epoch; held_out: [2, pair, dim], images and
        their neighbours, on which the heads are compared. Both have the dtype of the batches."""
        self.k, self.n_heads, self.device, self._settings = k, settings.heads, device, settings
        self._scale = scale
        self._watched, self._held_out = watched, held_out
        self._weight, self._bias = initial_heads(settings.heads, k, dim, seed=seed, device=device)
        self._adam = adamw(self._weight, self._bias, settings.weight_decay)

    @torch.no_grad()
    def step(self, x: torch.Tensor, lr: float) -> Step:
        """Learn from x, float32 or bfloat16 [2, batch, dim]; see cluster.heads.training."""
        x = x.flatten(0, 1)
        loss, slope, own = scan_gradient(
            self._logits(x, slice(None)), self._settings.entropy_weight
        )
        self._weight.grad = weight_gradient(slope.flatten(0, 1), x).view_as(self._weight)
        self._bias.grad = slope.sum(2)
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        return Step(loss, cluster_sizes(own, self.k))

    @torch.no_grad()
    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The loss on the held-out images, or the training loss if there are none."""
        if not self._held_out.shape[1]:
            return mean_loss
        x, found = self._held_out.flatten(0, 1), []
        group = max(1, CELLS // (self.k * len(x)))  # heads at once
        for low in range(0, self.n_heads, group):
            log_p, log_q = self._logits(x, slice(low, low + group)).log_softmax(1).mT.chunk(2, 1)
            found.append(scan_loss(log_p, log_q, self._settings.entropy_weight))
        return torch.cat(found).double().cpu().numpy()

    @torch.no_grad()
    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        logits = self._logits(self._watched, slice(head, head + 1))
        return logits[0].argmax(0).int().cpu().numpy()

    def head(self, number: int) -> Linear:
        """One head, for cluster.heads.model.predict."""
        one = slice(number, number + 1)
        layer = fold_scale(self._weight.detach()[one], self._bias.detach()[one], self._scale)
        return Linear(*(each.cpu().numpy() for each in layer))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        return {
            "head/weight": self._weight,
            "head/bias": self._bias,
            **named_state(self._adam),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        self._weight.copy_(state["head/weight"])
        self._bias.copy_(state["head/bias"])
        restore(self._adam, state)

    def _logits(self, x: torch.Tensor, heads: slice) -> torch.Tensor:
        """[image, dim] → float32 [head, cluster, image]."""
        weight, bias = self._weight.detach()[heads], self._bias.detach()[heads]
        return (
            linear_outputs(weight.flatten(0, 1), x).view(*bias.shape, len(x)).add_(bias[..., None])
        )


def scan_loss(log_p: torch.Tensor, log_q: torch.Tensor, entropy_weight: float) -> torch.Tensor:
    """-mean log <p, q> - entropy_weight x H(mean p), of each head: [head].

    log_p of images and log_q of their neighbours: [head, pair, cluster]. The minimum,
    -entropy_weight x log k, is reached where neighbours agree and clusters have equal sizes.
    """
    agreement = torch.logsumexp(log_p + log_q, 2).mean(1)
    share = log_p.exp().mean(1)
    entropy = -(share * share.clamp(min=1e-8).log()).sum(1)
    return -agreement - entropy_weight * entropy


class Gradient(NamedTuple):
    """loss: [head]; slope: its derivative by the logits, [head, cluster, 2 pair]; assignment: int64
    [head, pair], the most probable clusters of the images."""

    loss: torch.Tensor
    slope: torch.Tensor
    assignment: torch.Tensor


def scan_gradient(logits: torch.Tensor, entropy_weight: float) -> Gradient:
    """scan_loss of logits [head, cluster, 2 pair], all images before all neighbours.

    With z, y the logits of an image and its neighbour, p, q their probabilities and m = mean p over
    the B pairs: <p, q> = exp(lse(z + y) - lse(z) - lse(y)), so

        dL/dz = (p - softmax(z + y) + entropy_weight x p (a - <p, a>)) / B,  a = log m + 1
        dL/dy = (q - softmax(z + y)) / B.

    Written out by hand, it takes half the time of autograd.
    """
    pairs = logits.shape[2] // 2
    slope, lse = _softmax(logits)
    agreed, lse_both = _softmax(logits[..., :pairs] + logits[..., pairs:])
    agreement = (lse_both - lse[..., :pairs] - lse[..., pairs:]).mean((1, 2))
    p, q = slope.split(pairs, 2)
    # argmax is ten times slower than max
    assignment, share = p.max(1).indices, p.mean(2, keepdim=True)
    log_share = share.clamp(min=1e-8).log()
    entropy = -(share * log_share).sum((1, 2))
    uneven = (log_share + (share > 1e-8)).mul_(entropy_weight)
    pull = uneven - torch.bmm(uneven.mT, p)
    pull *= p
    q.sub_(agreed)
    p.sub_(agreed).add_(pull)
    return Gradient(-agreement - entropy_weight * entropy, slope.div_(pairs), assignment)


def _softmax(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of logits [head, cluster, image]: probabilities, and their logsumexp [head, 1, image]; each
    exponential is computed once."""
    most = logits.amax(1, keepdim=True)
    p = (logits - most).clamp_(min=MIN_LOGIT).exp_()
    total = p.sum(1, keepdim=True)
    return p.div_(total), most + total.log_()
