"""The outer loss of TURTLE and its derivative (see cluster.heads.turtle.turtle)."""

import torch

from cluster.heads.scan import MIN_LOGIT


def outer_gradient(
    own: torch.Tensor, log_p: torch.Tensor, entropy_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The outer loss of each head, [head], and its derivative by z: both, and log_p of the
    classifiers, are float [space, head, cluster, image].

    With g = -sum_s log_p_s and n images, p_s = softmax(z_s) and a the log of its mean over them,
    dL/dz_s = tau (g - <tau, g>) / (n spaces) + gamma / n x p_s (a - <p_s, a>).
    """
    images, label = own.shape[3], softmax(own.mean(0), 1)
    error = -log_p.sum(0)
    each = (label * error).sum(1, keepdim=True)
    p = softmax(own, 2)
    share = p.mean(3, keepdim=True)
    log_share = share.clamp(min=1e-30).log()
    entropy = -(share * log_share).sum((0, 2, 3))
    slope = entropy_weight / images * p * (log_share - (p * log_share).sum(2, keepdim=True))
    slope += label * (error - each) / (images * len(own))
    return each.mean((1, 2)) - entropy_weight * entropy, slope


def softmax(z: torch.Tensor, axis: int) -> torch.Tensor:
    """torch's own rounds by the number of threads, and is slow where probabilities underflow."""
    return z.log_softmax(axis).clamp_(min=MIN_LOGIT).exp_()
