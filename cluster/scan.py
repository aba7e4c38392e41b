"""SCAN's heads on fixed features: a linear layer that agrees with itself on neighbours.

After Van Gansbeke et al. (ECCV 2020, arXiv:2005.12320), equation 2, as they train ImageNet: frozen
backbone, linear heads. But: features are standardised and Adam sets the step, where the rate of 5
was tied to the scale of MoCo's features; an image is never its own neighbour; heads are chosen by
the same loss, entropy weighed alike, on images that are held out of train, not on the test images.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads import Linear, linear
from cluster.optimizer_state import named_state, restore
from cluster.standardize import Scale, absorbed
from cluster.training import Step


class Settings(NamedTuple):
    """entropy_weight: lambda, how much an even use of the clusters counts."""

    heads: int
    entropy_weight: float
    weight_decay: float


class Scan:
    """The heads of one seed (a cluster.training.Learner)."""

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
        """Heads for vectors of `dim`, which are standardised by `scale`. watched: float32 [image,
        dim], images whose clusters are told after each epoch; held_out: float32 [2, pair, dim],
        images and their neighbours by which the heads are judged."""
        self.k, self.n_heads, self.device, self._settings = k, settings.heads, device, settings
        self._scale = scale
        self._mean, self._deviation = (torch.from_numpy(each).to(device) for each in scale)
        self._watched, self._held_out = watched, held_out
        generator, reach = torch.Generator().manual_seed(seed), dim**-0.5  # torch's own beginning
        weight = torch.empty(settings.heads, k, dim).uniform_(-reach, reach, generator=generator)
        bias = torch.empty(settings.heads, k).uniform_(-reach, reach, generator=generator)
        self._weight, self._bias = (w.to(device).requires_grad_() for w in (weight, bias))
        groups = [
            {"params": [self._weight], "weight_decay": settings.weight_decay},
            {"params": [self._bias], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=1.0, fused=True)

    def step(self, x: torch.Tensor, rate: float) -> Step:
        """Learn from x, float32 [2, batch, dim]; see cluster.training."""
        log_p, log_q = self._log_probabilities(x.flatten(0, 1), slice(None)).chunk(2, 1)
        loss = scan_loss(log_p, log_q, self._settings.entropy_weight)
        loss.sum().backward()
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        own = log_p.detach().argmax(2)
        own += torch.arange(self.n_heads, device=own.device)[:, None] * self.k
        sizes = torch.bincount(own.ravel(), minlength=self.n_heads * self.k)
        return Step(loss.detach(), sizes.view(self.n_heads, self.k))

    @torch.no_grad()
    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """By the loss on the images held out, or in training where there are none."""
        if not self._held_out.shape[1]:
            return mean_loss
        found = []
        for head in range(self.n_heads):  # 20,000 images and 1,000 clusters: one head fits
            one, x = slice(head, head + 1), self._held_out.flatten(0, 1)
            log_p, log_q = self._log_probabilities(x, one).chunk(2, 1)
            found.append(scan_loss(log_p, log_q, self._settings.entropy_weight))
        return torch.cat(found).double().cpu().numpy()

    @torch.no_grad()
    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        log_p = self._log_probabilities(self._watched, slice(head, head + 1))
        return log_p[0].argmax(1).int().cpu().numpy()

    def head(self, number: int) -> Linear:
        """One head, for cluster.heads.predict."""
        one = slice(number, number + 1)
        layer = absorbed(self._weight.detach()[one], self._bias.detach()[one], self._scale)
        return Linear(*(each.cpu().numpy() for each in layer))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.training."""
        return {
            "head/weight": self._weight,
            "head/bias": self._bias,
            **named_state(self._adam),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.training."""
        self._weight.copy_(state["head/weight"])
        self._bias.copy_(state["head/bias"])
        restore(self._adam, state)

    def _log_probabilities(self, x: torch.Tensor, heads: slice) -> torch.Tensor:
        scaled = (x - self._mean) / self._deviation
        return torch.log_softmax(linear(scaled, self._weight[heads], self._bias[heads]), 2)


def scan_loss(log_p: torch.Tensor, log_q: torch.Tensor, entropy_weight: float) -> torch.Tensor:
    """-mean log <p, q> - entropy_weight x H(mean p), of each head: [head].

    log_p of images and log_q of their neighbours: [head, pair, cluster]. Least, -entropy_weight x
    log k, where neighbours agree and clusters are even.
    """
    together = torch.logsumexp(log_p + log_q, 2).mean(1)
    share = log_p.exp().mean(1)
    entropy = -(share * share.clamp(min=1e-8).log()).sum(1)
    return -together - entropy_weight * entropy
