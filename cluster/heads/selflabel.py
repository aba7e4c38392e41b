"""Self-labelling: confident predictions on one view are the labels of another view.

After SCAN's third step (Van Gansbeke et al., arXiv:2005.12320, section 2.3; FixMatch,
arXiv:2001.07685): where the most probable cluster of the plain view reaches a threshold, it is the
pseudo-label of the other view; clusters have equal weight. But: only a linear head is trained, on
fixed features; a batch without any confident image is skipped and counted, where the original
crashes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.linear_layer import adamw
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.scan import MIN_LOGIT
from cluster.heads.training import Step, cluster_sizes
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale


class Settings(NamedTuple):
    """threshold: minimal probability of a pseudo-label; balance: clusters have equal weight."""

    threshold: float
    balance: bool
    weight_decay: float


class SelfLabel:
    """One head of one seed (a cluster.heads.training.Learner). Its criterion is the share of the
    images of an epoch that were not confident; `idle`: steps without any confident image."""

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
        """Start from `head` (first axis of length 1), which applies to unscaled vectors, and train
        on vectors standardised by `scale`; `watched`: [image, dim], images whose clusters are
        recorded after each epoch, of the dtype of the batches."""
        self.k, self.device, self._settings = head.weight.shape[1], device, settings
        self._scale = scale
        self._watched = watched
        mean, deviation = (torch.from_numpy(each).to(device) for each in scale)
        weight, bias = (torch.from_numpy(each).to(device) for each in head)
        # For standardised vectors, so that the learning rate does not depend on the features' scale
        self._weight = (weight * deviation).requires_grad_()
        self._bias = (bias + weight @ mean).requires_grad_()
        self._adam = adamw(self._weight, self._bias, settings.weight_decay)
        self._confident, self._seen, self._idle = (
            torch.zeros((), dtype=torch.int64, device=device) for _ in range(3)
        )

    @property
    def idle(self) -> int:
        """Steps so far without any confident image."""
        return int(self._idle)

    def step(self, x: torch.Tensor, lr: float) -> Step:
        """Learn from x, float32 or bfloat16 [2, batch, dim]: plain views and others; see
        cluster.heads.training."""
        plain, other = self._outputs(x[0]), self._outputs(x[1]).requires_grad_()
        loss, confident, label = selflabel_loss(
            plain, other, self._settings.threshold, self._settings.balance
        )
        sizes = cluster_sizes(label[None], self.k)
        slope = torch.autograd.grad(loss, other)[0].T
        self._weight.grad = weight_gradient(slope.contiguous(), x[1])[None]
        self._bias.grad = slope.sum(1)[None]
        self._confident += confident.sum()
        self._seen += len(confident)
        self._idle += ~confident.any()
        # Without a gradient, Adam's momentum would still move the head. A GPU is not waited for:
        # its fused optimiser reads the rate there.
        moves = confident.any()
        for group in self._adam.param_groups:
            group["lr"] = lr * (moves if moves.is_cuda else bool(moves))
        self._adam.step()
        return Step(loss.detach()[None], sizes)

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The share of the images of the epoch that were not confident."""
        share = 1 - int(self._confident) / max(1, int(self._seen))
        self._confident.zero_()
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
            "count/confident": self._confident,
            "count/seen": self._seen,
            "count/idle": self._idle,
            **named_state(self._adam),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        now = self.state()
        for name in ("head/weight", "head/bias", "count/confident", "count/seen", "count/idle"):
            now[name].copy_(state[name])
        restore(self._adam, state)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        """[image, dim] → float32 [image, cluster]."""
        return linear_outputs(self._weight.detach()[0], x).add_(self._bias.detach()[0][:, None]).T


class PseudoLabelled(NamedTuple):
    """loss: scalar; confident: bool [image], whether the pseudo-label counted; label: int64
    [image], the pseudo-labels."""

    loss: torch.Tensor
    confident: torch.Tensor
    label: torch.Tensor


def selflabel_loss(
    plain: torch.Tensor, other: torch.Tensor, threshold: float, balance: bool
) -> PseudoLabelled:
    """Cross-entropy of the other view with the cluster of the plain view, where that is confident.

    Logits of both: [image, cluster]. No gradient flows into the plain view. 0 where no image is
    confident.
    """
    probability, label = plain.detach().softmax(1).max(1)
    confident = probability >= threshold
    weight = confident.float()
    if balance:
        of_class = weight.new_zeros(plain.shape[1]).scatter_add_(0, label, weight)
        weight = weight / of_class.clamp(min=1)[label]
    below = other - other.detach().amax(1, keepdim=True)
    # Cross-entropy but for MIN_LOGIT, which is not applied to the label's own logit: a label that
    # the other view finds unlikely keeps its gradient.
    each = below.clamp(min=MIN_LOGIT).logsumexp(1) - below.gather(1, label[:, None])[:, 0]
    loss = (weight * each).sum() / weight.sum().clamp(min=1e-12)
    return PseudoLabelled(loss, confident, label)
