"""SelEx's two losses: contrastive with soft targets, and supervised contrastive at every level.

After Rastegar et al. (SelEx, ECCV 2024, arXiv:2408.14371), "Unsupervised self-expertise" and
"Supervised self-expertise". d_ij = ||z_i - z_j|| of all views of a step, W is the width of z, and
no vector is its own candidate:

    p_ij  = exp(-d_ij / t) / sum_l exp(-d_il / t),  t = 1
    L_u   = mean_i of -sum_j target_ij log p_ij,    target: selex_targets.soft_targets
    S(y, w) = SupCon of classes y with exp(-d / t), t = .07, d of the first w dims
    L_s   = S(labels, W) + sum over levels i = 0.. of S(level i, W / 2^(i+1)) / 2^(i+1)

Only labelled images take part in the first term of L_s; at the levels every image has a class. The
first dims of z are not normalised again, so that distances get shorter from level to level.
"""

from collections.abc import Callable

import torch

from cluster.objectives.contrastive import by_class, by_image, from_similarity, log_share

Distances = Callable[[torch.Tensor], torch.Tensor]  # [vector, dim] → [vector, vector]
ROUNDING = 1e-6  # squared distances below this fraction of the squared lengths count as 0


def unsupervised(
    z: torch.Tensor, target: torch.Tensor, temperature: float, distances: Distances | None = None
) -> torch.Tensor:
    """L_u of z (float32 [slot, image, width]); target: float32 [vector, vector], vector number
    `slot x images + image`, 0 on the diagonal; distances: of all pairs, Euclidean unless given."""
    candidate = by_image(z.shape[0], z.shape[1], z.device).candidate
    away = (distances or pairwise_distances)(z.flatten(0, 1))
    log_p = log_share(-away / temperature, candidate)
    return -(target * log_p).sum(1).mean()


def supervised(
    z: torch.Tensor,
    label: torch.Tensor,
    levels: torch.Tensor,
    temperature: float,
    distances: Distances | None = None,
) -> torch.Tensor:
    """L_s of z (float32 [slot, image, width]); label: int64 [image], -1 where unlabelled; levels:
    int64 [level, image], at most as many levels as `width` can be halved; distances: of all pairs,
    Euclidean unless given."""
    of = distances or pairwise_distances
    total = _sup_con(z, label, temperature, of)
    for at, own in enumerate(levels, start=1):
        total = total + _sup_con(z[..., : z.shape[2] >> at], own, temperature, of) / 2**at
    return total


def pairwise_distances(x: torch.Tensor) -> torch.Tensor:
    """x: [vector, dim] → Euclidean distances, float32 [vector, vector]; those of equal vectors are
    0 with gradient 0, where that of the square root would be infinite."""
    x = x.float()
    x = x - x.detach().mean(0)  # else vectors in a narrow cone lose digits
    with torch.autocast(x.device.type, enabled=False):  # else products would be bfloat16
        lengths = x.square().sum(1)
        both = lengths[:, None] + lengths
        square = both - 2 * (x @ x.T)
    different = square > ROUNDING * both
    return torch.where(different, square.where(different, 1.0).sqrt(), 0.0)


def _sup_con(
    z: torch.Tensor, label: torch.Tensor, temperature: float, distances: Distances
) -> torch.Tensor:
    similarity = -distances(z.flatten(0, 1)) / temperature
    return from_similarity(similarity, by_class(label, len(z)))
