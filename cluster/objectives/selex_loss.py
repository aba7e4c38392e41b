"""SelEx's two losses: what sets every image apart, and what members of coarser classes share.

After Rastegar et al. (SelEx, ECCV 2024, arXiv:2408.14371), "Unsupervised self-expertise" and
"Supervised self-expertise". d_ij = ||z_i - z_j|| of all views of a step, W the width of z, and
i itself is nobody's candidate:

    p_ij  = exp(-d_ij / t) / sum_l exp(-d_il / t),  t = 1
    L_u   = mean_i of -sum_j target_ij log p_ij,    target: confusion.soft_targets
    S(y, w) = SupCon of classes y with exp(-d / t), t = .07, d of the first w dims
    L_s   = S(labels, W) + sum over levels i = 0.. of S(level i, W / 2^(i+1)) / 2^(i+1)

Labels are those of labelled images, which alone take part in that term; every image has a class at
every level. The first dims of z are not divided by their length again: their distances are shorter
from level to level.
"""

import torch

from cluster.objectives.contrastive import by_class, by_image, from_similarity, log_share

SAME = 1e-6  # squared distances below this part of the squared lengths are rounding


def unsupervised(z: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_u of z (float32 [slot, image, width]); target: float32 [vector, vector], vector number
    `slot x images + image`, 0 on the diagonal."""
    other = by_image(z.shape[0], z.shape[1], z.device).other
    share = log_share(-euclidean(z.flatten(0, 1)) / temperature, other)
    return -(target * share).sum(1).mean()


def supervised(
    z: torch.Tensor, label: torch.Tensor, levels: torch.Tensor, temperature: float
) -> torch.Tensor:
    """L_s of z (float32 [slot, image, width]); label: int64 [image], -1 where unlabelled; levels:
    int64 [level, image], at most as many as `width` can be halved."""
    total = _sup_con(z, label, temperature)
    for at, own in enumerate(levels, start=1):
        total = total + _sup_con(z[..., : z.shape[2] >> at], own, temperature) / 2**at
    return total


def euclidean(x: torch.Tensor) -> torch.Tensor:
    """x: [vector, dim] → float32 [vector, vector], the distances of all from all; those of equal
    vectors are 0 and have no gradient, where that of a root would be endless."""
    x = x.float()
    x = x - x.detach().mean(0)  # vectors of a narrow cone would lose digits
    with torch.autocast(x.device.type, enabled=False):  # which would make products bfloat16
        lengths = x.square().sum(1)
        both = lengths[:, None] + lengths
        square = both - 2 * (x @ x.T)
    apart = square > SAME * both
    return torch.where(apart, square.where(apart, 1.0).sqrt(), 0.0)


def _sup_con(z: torch.Tensor, label: torch.Tensor, temperature: float) -> torch.Tensor:
    similarity = -euclidean(z.flatten(0, 1)) / temperature
    return from_similarity(similarity, by_class(label, len(z)))
