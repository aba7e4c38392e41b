"""SelEx's soft targets: an image may be taken for those far from it, not for its own cluster's.

After Rastegar et al. (SelEx, ECCV 2024, arXiv:2408.14371), "Unsupervised self-expertise". f_i are
the backbone's features, r_c is half the distance of prototype c to the nearest other one of its
level, and c_l(j) is the cluster of j at level l, the finest being level 0:

    conf_ij   = sum over l of 2^-l [ ||f_i - f_j|| > 2 r_{c_l(j)} ]
    target_ij = (1 - s) [j is the other view of i] + s conf_ij / sum_j conf_ij

So images within reach are hard negatives, and the further the level, the less it counts. The
original scales conf to 0..1 before it divides; that cancels, as its least value is conf_ii = 0.
But: a row without any confusion is left to the other view alone. The published code divides by sums
that lie along the wrong axis, that is column j by the sum of row j: `by_row` False does so too, and
leaves a column at 0 whose row sums to 0, where its answer would not be a finite number.
"""

import numpy as np
import torch

from cluster.objectives.selex_loss import euclidean

CELLS = 16_000_000  # distances of prototypes held at once (64 MB)


def radii(centroids: np.ndarray, device: str) -> np.ndarray:
    """Half the distance of each prototype (float32 [cluster, dim]) to the nearest other one,
    float32 [cluster]; infinite for one alone, 0 for two in one place."""
    c, out = torch.tensor(centroids, device=device), np.empty(len(centroids), np.float32)
    part = max(1, CELLS // len(c))
    for start in range(0, len(c), part):
        here = c[start : start + part]
        apart = torch.cdist(here, c, compute_mode="donot_use_mm_for_euclid_dist")
        apart[torch.arange(len(here)), torch.arange(start, start + len(here))] = torch.inf
        out[start : start + part] = (apart.amin(1) / 2).cpu().numpy()
    return out


def confusion(f: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """f: float32 [vector, dim]; radius: float32 [level, vector], that of the vector's own cluster
    → conf, float32 [vector, vector], 0 on the diagonal."""
    distance, total = euclidean(f), torch.zeros(len(f), len(f), device=f.device)
    for level, own in enumerate(radius):
        total += (distance > 2 * own) * 0.5**level
    return total


def soft_targets(
    conf: torch.Tensor, positive: torch.Tensor, smoothing: float, *, by_row: bool
) -> torch.Tensor:
    """The target of conf (float32 [vector, vector]) and of `positive` (bool, same shape), the one
    other view of each: float32 [vector, vector]."""
    other_view, total = positive.float(), conf.sum(1)
    share = conf / total.where(total > 0, 1.0).unsqueeze(1 if by_row else 0)
    share = torch.where((total > 0)[:, None], share, other_view) if by_row else share * (total > 0)
    return (1 - smoothing) * other_view + smoothing * share
