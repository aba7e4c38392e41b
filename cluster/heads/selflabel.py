"""Self-labelling: what a head is sure of in one view, it is taught in another.

After SCAN's third step (Van Gansbeke et al., arXiv:2005.12320, section 2.3; FixMatch,
arXiv:2001.07685): images whose cluster is more probable than a threshold in the plain view are
labels for the other view; classes weigh alike. But: only a linear head learns, on fixed features;
a batch in which nothing is sure teaches nothing and is counted, where the original crashes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.scan import LEAST
from cluster.heads.training import Step
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale


class Settings(NamedTuple):
    """threshold: least probability of a cluster that is taken for a label."""

    threshold: float
    balance: bool
    weight_decay: float


class SelfLabel:
    """One head of one seed (a cluster.heads.training.Learner). Its criterion, told of each epoch,
    is the share of the images that were no label; `idle`: steps in which none was."""

    n_heads = 1

    def __init__(
        self,
        head: Linear,
        settings: Settings,
        *,
        scale: Scale,
        watched: torch.Tensor,
        device: str = "cpu",
    ) -> None:
        """Go on from `head` (first axis of length 1), which is of plain vectors, on such that were
        standardised by `scale`; `watched`: [image, dim], of the dtype of the batches."""
        self.k, self.device, self._settings = head.weight.shape[1], device, settings
        self._scale = scale
        self._watched = watched
        mean, deviation = (torch.from_numpy(each).to(device) for each in scale)
        weight, bias = (torch.from_numpy(each).to(device) for each in head)
        # Of standardised vectors, so that the step size does not hinge on the features' scale
        self._weight = (weight * deviation).requires_grad_()
        self._bias = (bias + weight @ mean).requires_grad_()
        groups = [
            {"params": [self._weight], "weight_decay": settings.weight_decay},
            {"params": [self._bias], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=1.0, fused=True)
        self._sure, self._seen, self._idle = (
            torch.zeros((), dtype=torch.int64, device=device) for _ in range(3)
        )

    @property
    def idle(self) -> int:
        """Steps so far in which nothing was sure."""
        return int(self._idle)

    def step(self, x: torch.Tensor, rate: float) -> Step:
        """Learn from x, float32 or bfloat16 [2, batch, dim]: plain views and others; see
        cluster.heads.training."""
        plain, other = self._outputs(x[0]), self._outputs(x[1]).requires_grad_()
        loss, sure, label = selflabel_loss(
            plain, other, self._settings.threshold, self._settings.balance
        )
        sizes = torch.bincount(label, minlength=self.k)
        slope = torch.autograd.grad(loss, other)[0].T
        self._weight.grad = weight_gradient(slope.contiguous(), x[1])[None]
        self._bias.grad = slope.sum(1)[None]
        self._sure += sure.sum()
        self._seen += len(sure)
        self._idle += ~sure.any()
        # With nothing to learn Adam's momentum would still move the head.
        for group in self._adam.param_groups:
            group["lr"] = rate * bool(sure.any())
        self._adam.step()
        return Step(loss.detach()[None], sizes[None])

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The share of the images of the epoch that were no label."""
        share = 1 - int(self._sure) / max(1, int(self._seen))
        self._sure.zero_()
        self._seen.zero_()
        return np.array([share])

    @torch.no_grad()
    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images, int32 [image]."""
        return self._outputs(self._watched).argmax(1).int().cpu().numpy()

    def head(self, number: int) -> Linear:
        """The head, for cluster.heads.model.predict."""
        layer = fold_scale(self._weight.detach(), self._bias.detach(), self._scale)
        return Linear(*(each.cpu().numpy() for each in layer))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        return {
            "head/weight": self._weight,
            "head/bias": self._bias,
            "count/sure": self._sure,
            "count/seen": self._seen,
            "count/idle": self._idle,
            **named_state(self._adam),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        now = self.state()
        for name in ("head/weight", "head/bias", "count/sure", "count/seen", "count/idle"):
            now[name].copy_(state[name])
        restore(self._adam, state)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        """[image, dim] → float32 [image, cluster]."""
        return linear_outputs(self._weight.detach()[0], x).add_(self._bias.detach()[0][:, None]).T


class Taught(NamedTuple):
    """loss: scalar; sure: bool [image], those that taught; label: int64 [image], the clusters."""

    loss: torch.Tensor
    sure: torch.Tensor
    label: torch.Tensor


def selflabel_loss(
    plain: torch.Tensor, other: torch.Tensor, threshold: float, balance: bool
) -> Taught:
    """Cross-entropy of the other view with the cluster of the plain one, where that is sure.

    Logits of both: [image, cluster]. The plain view is taught nothing. 0 where nothing is sure.
    """
    probability, label = plain.detach().softmax(1).max(1)
    sure = probability >= threshold
    weight = sure.float()
    if balance:
        of_class = torch.bincount(label, weights=weight, minlength=plain.shape[1])
        weight = weight / of_class.clamp(min=1)[label]
    below = other - other.detach().amax(1, keepdim=True)
    # But for LEAST, cross-entropy: a label that the other view holds for unlikely still teaches
    each = below.clamp(min=LEAST).logsumexp(1) - below.gather(1, label[:, None])[:, 0]
    return Taught((weight * each).sum() / weight.sum().clamp(min=1e-12), sure, label)
