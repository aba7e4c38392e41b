"""The loss of SimGCD's classifier: supervised, self-distilled between two views, and entropy.

After Wen, Zhao and Qi (ICCV 2023, arXiv:2211.11727): their L_u_cls and L_s_cls. As in their code,
and not as in the text, which swaps the two temperatures and has a cosine for the teacher's warm-up.
But: their two contrastive terms, L_u_con and L_s_con, are left out, since they train a projector
and the backbone, and both are fixed here (cluster.objectives.simgcd has all four terms).
"""

import math
from typing import NamedTuple

import torch


class Weights(NamedTuple):
    """supervised: lambda, the weight of the supervised loss; temperature: of the students."""

    supervised: float
    temperature: float


def simgcd_loss(
    cosine: torch.Tensor,
    label: torch.Tensor,
    teacher: float,
    entropy_weight: torch.Tensor,
    weights: Weights,
    prior: torch.Tensor | None = None,
) -> torch.Tensor:
    """(1 - lambda) (cross-view + epsilon (log k - H(mean p))) + lambda supervised: [head].

    cosine: [view, head, image, cluster] of one view (which is then its own teacher) or two, the
    labelled images first; label: int64 [head, labelled]; teacher: the teacher's temperature;
    entropy_weight: epsilon of each head, [head]. prior: the share of the images that each cluster
    is expected to have, [head, cluster], 0 nowhere: the entropy term is then KL(mean p, prior),
    of which log k - H(mean p) is that of a uniform prior.
    """
    # By logsumexp, which is fast for any memory layout, where log_softmax is not
    log_p = cosine / weights.temperature
    log_p = log_p - log_p.logsumexp(3, keepdim=True)
    target = cosine.detach() / teacher
    target = (target - target.logsumexp(3, keepdim=True)).exp()
    # L_u_cls: each view is the teacher of the other, q' log p, labelled images included
    across = -(target.flip(0) * log_p).sum(3).mean((0, 2))
    share = log_p.exp().mean((0, 2))
    gap = (share * share.clamp(min=1e-12).log()).sum(1)
    entropy_gap = math.log(cosine.shape[3]) + gap if prior is None else _kl(gap, share, prior)
    # L_s_cls: of both views
    own = label.expand(len(cosine), *label.shape)[..., None]
    supervised = -log_p[:, :, : label.shape[1]].gather(3, own).mean((0, 2, 3))
    unsupervised = across + entropy_weight * entropy_gap
    return (1 - weights.supervised) * unsupervised + weights.supervised * supervised


def _kl(negative_entropy: torch.Tensor, share: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    return negative_entropy - (share * prior.log()).sum(1)


def teacher_temperature(step: float, first: float, last: float, warmup: float) -> float:
    """Linear from `first` to `last` in `warmup` steps (or epochs), and `last` from then on."""
    return last if step >= warmup else first + (last - first) * step / warmup
