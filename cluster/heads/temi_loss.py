"""The loss of TEMI (Adaloglou, Michels, Kalisch, Kollmann, BMVC 2023, arXiv:2303.17896).

Pointwise mutual information between the clusters of an image and of its neighbour (equations 5, 6),
weighted by the probability that the two belong to the same cluster (8, 9). Variants: `pmi` without
weights, `wmi` with each head's own weight, and `scan`, the loss of SCAN (Van Gansbeke et al.,
arXiv:2005.12320, equation 2) on the same heads. All in logarithms, since probabilities of 25,000
clusters underflow.
"""

from typing import Literal

import torch

Loss = Literal["temi", "wmi", "pmi", "scan"]
ENTROPY_WEIGHT = 5.0  # of `scan`, as in all settings of its authors


def pair_weights(log_teacher: torch.Tensor) -> torch.Tensor:
    """sum_c q_t(c|x) q_t(c|x') of each head and pair: [head, pair] of log q_t [head, 2 pair,
    cluster], all x before all x'."""
    x, y = log_teacher.chunk(2, 1)
    return (x + y).exp().sum(2)


def head_losses(
    log_student: torch.Tensor,
    log_teacher: torch.Tensor,
    log_prior: torch.Tensor,
    weight: torch.Tensor,
    *,
    beta: float,
    loss: Loss,
) -> torch.Tensor:
    """The loss of each head, [head].

    log_student, log_teacher: log q [head, 2 pair, cluster], all x before all x'; log_prior [head,
    cluster]; weight: of each pair, [pair] (shared by the heads) or [head, pair] (their own).
    """
    s, s_other = log_student.chunk(2, 1)
    t, t_other = log_teacher.chunk(2, 1)
    if loss == "scan":
        agreement = torch.logsumexp(s + t_other, 2) + torch.logsumexp(s_other + t, 2)
        share = log_student.exp().mean(1)
        entropy = -(share * share.clamp(min=1e-8).log()).sum(1)
        return -agreement.mean(1) / 2 - ENTROPY_WEIGHT * entropy
    prior = log_prior[:, None]
    pmi = torch.logsumexp(beta * (s + t_other) - prior, 2)
    pmi = pmi + torch.logsumexp(beta * (s_other + t) - prior, 2)
    return -((pmi if loss == "pmi" else weight * pmi).mean(1) / 2)
