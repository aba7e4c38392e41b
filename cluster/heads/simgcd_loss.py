"""The loss of SimGCD's classifier: what is known is taught, what is not agrees in two views.

After Wen, Zhao and Qi (ICCV 2023, arXiv:2211.11727): their L_u_cls and L_s_cls. As in their code,
and not as in the text, which has the two temperatures the other way round and a cosine for the
ramp. But: their two contrastive terms, L_u_con and L_s_con, train a projector and the backbone, and
neither is here: they are left for a backbone that is adapted.
"""

import math
from typing import NamedTuple

import torch


class Weights(NamedTuple):
    """supervised: lambda, the share of the labels in the loss; temperature: of students."""

    supervised: float
    temperature: float


def simgcd_loss(
    cosine: torch.Tensor,
    label: torch.Tensor,
    teacher: float,
    entropy: torch.Tensor,
    weights: Weights,
) -> torch.Tensor:
    """(1 - lambda) (cross-view + epsilon (log k - H(mean p))) + lambda supervised: [head].

    cosine: [view, head, image, cluster] in one view (which is then its own teacher) or two, the
    labelled images first; label: int64 [head, labelled]; teacher: its temperature; entropy:
    epsilon of each head, [head].
    """
    # By logsumexp, which goes along whatever lies side by side in memory, as log_softmax does not
    log_p = cosine / weights.temperature
    log_p = log_p - log_p.logsumexp(3, keepdim=True)
    target = cosine.detach() / teacher
    target = (target - target.logsumexp(3, keepdim=True)).exp()
    # L_u_cls: each view is taught by the other, q' log p, both ways, labelled images too
    across = -(target.flip(0) * log_p).sum(3).mean((0, 2))
    share = log_p.exp().mean((0, 2))
    short = math.log(cosine.shape[3]) + (share * share.clamp(min=1e-12).log()).sum(1)
    # L_s_cls: of both views
    own = label.expand(len(cosine), *label.shape)[..., None]
    supervised = -log_p[:, :, : label.shape[1]].gather(3, own).mean((0, 2, 3))
    alone = across + entropy * short
    return (1 - weights.supervised) * alone + weights.supervised * supervised


def teacher_temperature(step: float, first: float, last: float, ramp: float) -> float:
    """From `first` to `last` in `ramp` steps (or epochs) along a line, and `last` from then on."""
    return last if step >= ramp else first + (last - first) * step / ramp
