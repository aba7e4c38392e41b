"""SelEx's soft targets: label smoothing over far images only, so that near ones stay negatives.

After Rastegar et al. (SelEx, ECCV 2024, arXiv:2408.14371), "Unsupervised self-expertise". f_i are
the backbone's features, r_c is half the distance of prototype c to the nearest other prototype of
its level, and c_l(j) is the cluster of j at level l, where level 0 is the finest:

    conf_ij   = sum over l of 2^-l [ ||f_i - f_j|| > 2 r_{c_l(j)} ]
    target_ij = (1 - s) [j is the other view of i] + s conf_ij / sum_j conf_ij

Images within 2 r are thus hard negatives, and coarser levels count less. The original scales conf
to 0..1 before dividing, which cancels, as its minimum is conf_ii = 0. But: in a row where conf is
0, all of the target is the other view. The published code sums along the wrong axis: it divides
column j by the sum of row j; `by_row=False` does the same, except that column j stays 0 where row j
sums to 0, where the code's result would not be finite.
"""

import numpy as np
import torch

from cluster.objectives.selex_loss import pairwise_distances

CELLS = 16_000_000  # distances of prototypes in one array (64 MB)


def radii(centroids: np.ndarray, device: str) -> np.ndarray:
    """Half the distance of each prototype (float32 [cluster, dim]) to the nearest other one,
    float32 [cluster]; infinite for a single prototype, 0 for two equal ones."""
    c, out = torch.tensor(centroids, device=device), np.empty(len(centroids), np.float32)
    part = max(1, CELLS // len(c))
    for start in range(0, len(c), part):
        here = c[start : start + part]
        apart = torch.cdist(here, c, compute_mode="donot_use_mm_for_euclid_dist")
        apart[torch.arange(len(here)), torch.arange(start, start + len(here))] = torch.inf
        out[start : start + part] = (apart.amin(1) / 2).cpu().numpy()
    return out


def smoothing_scores(f: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """f: float32 [vector, dim]; radius: float32 [level, vector], of the vector's own cluster →
    conf, float32 [vector, vector], 0 on the diagonal."""
    distance, total = pairwise_distances(f), torch.zeros(len(f), len(f), device=f.device)
    for level, own in enumerate(radius):
        total += (distance > 2 * own) * 0.5**level
    return total


def soft_targets(
    conf: torch.Tensor, positive: torch.Tensor, smoothing: float, *, by_row: bool
) -> torch.Tensor:
    """target, float32 [vector, vector], from conf (float32, same shape) and `positive` (bool, same
    shape), which marks the other view of each vector."""
    other_view, total = positive.float(), conf.sum(1)
    share = conf / total.where(total > 0, 1.0).unsqueeze(1 if by_row else 0)
    share = torch.where((total > 0)[:, None], share, other_view) if by_row else share * (total > 0)
    return (1 - smoothing) * other_view + smoothing * share
