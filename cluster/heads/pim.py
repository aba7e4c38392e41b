"""PIM: a linear head that maximises a parametric mutual information of images and clusters.

The head is trained to be certain about each image (low conditional entropy) and to use all clusters
evenly (high marginal entropy). After Chiaroni et al. (ICCV 2023, arXiv:2212.00334) and their code:
a linear layer without bias, initialised with the centroids of k-means, and the loss over all images

    L = lambda mean_U H(p_i) - H(mean_N p_i) + mean_L -log p_i[y_i]

with U the unlabelled, L the labelled and N all images; Adam with weight decay, full batches. But:
all heads (seeds and weights lambda) are trained at once; vectors are scaled to a root mean square
length of 1 (cluster.vectors.rms_scale); the images are read tile by tile, in two passes:

1. z_i = s w x_i and p_i = softmax(z_i) of each tile; their sums give m = mean_N p_i and the
   entropies.
2. -H(m) = sum_c m_c log m_c couples the images through m only. With a_c = log m_c held fixed (the
   constant 1 of its derivative cancels in the gradient of a softmax) the gradient is a sum over
   images:

    dL/dz_ij =   lambda / |U| x -p_ij (log p_ij + H(p_i))               i in U
               + 1 / |N| x p_ij (a_j - sum_c p_ic a_c)                  all i
               + 1 / |L| x (p_ij - [j = y_i])                           i in L

   and dL/dw = s sum_i dL/dz_i x_i: exact for any tiles. The log-probabilities of the first pass are
   kept if they fit in memory.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import Step, cluster_sizes
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.kmeans.data import MAX_BF16_BYTES
from cluster.kmeans.semi_supervised import require_label
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from cluster.vectors.tiles import tiles

CELLS = 16_000_000  # probabilities in one array (64 MB; several such arrays exist at a time)
KEPT = 100_000_000  # log-probabilities that a CPU keeps for the second pass (400 MB)


class Settings(NamedTuple):
    """logit_scale: s, the factor of all logits."""

    logit_scale: float
    weight_decay: float


class _Known(NamedTuple):
    """Of a tile: the places of its labelled images, their labels, and the places of the others,
    int64 each; share: 1 / |U| for an image of U, else 0, float32 [image]."""

    labelled: torch.Tensor
    label: torch.Tensor
    free: torch.Tensor
    share: torch.Tensor


class Gradient(NamedTuple):
    """loss: float64 [head]; gradient: float32 [head, cluster, dim]; sizes: int64 [head, cluster],
    the number of images in each cluster."""

    loss: torch.Tensor
    gradient: torch.Tensor
    sizes: torch.Tensor


class Pim:
    """Heads trained on all images in every step (a cluster.heads.training.Learner), each with its
    own lambda. The weights apply to the scaled vectors."""

    def __init__(
        self,
        rows: Rows,
        label: np.ndarray,
        starts: np.ndarray,
        weight: np.ndarray,
        settings: Settings,
        *,
        scale: Scale,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """label: int64 [image], -1 where unlabelled (if all images are, the supervised term is 0);
        starts: float32 [head, cluster, dim], centroids of the rows; weight: lambda, float [head];
        scale: of the rows, one deviation for all dims; dtype: of the matrix products. Raises
        ClusterError when there are more classes than clusters, or labels do not fit the rows."""
        self.n_heads, self.k = starts.shape[:2]
        require_label(label, len(rows), self.k)
        self.device, self._rows, self._dtype = device, rows, dtype
        small = dtype == torch.bfloat16 and 2 * len(rows) * rows.dim <= MAX_BF16_BYTES
        fits = fits_on_gpu(len(rows) * rows.dim, device) if device.startswith("cuda") else small
        self._kept = [(here, x.to(dtype)) for here, x in tiles(rows, device)] if fits else None
        numbers = self.n_heads * len(rows) * self.k
        self._keeps = numbers <= KEPT or fits_on_gpu(2 * numbers, device)
        self._label, self._known = label, dict[int, _Known]()
        self._unlabelled = int((label < 0).sum())
        self._lambda = torch.as_tensor(weight, dtype=torch.float32, device=device)
        self._mean, length = torch.from_numpy(scale.mean).to(device), float(scale.deviation[0])
        initial = (torch.from_numpy(starts).to(device) - self._mean) / length
        self._weight, self._gain = initial.requires_grad_(), settings.logit_scale / length
        self._adam = torch.optim.Adam([self._weight], lr=1.0, weight_decay=settings.weight_decay)

    def step(self, batch: object, lr: float) -> Step:
        """Learn from all images; the batch is ignored. See cluster.heads.training."""
        found = self.gradient()
        self._weight.grad = found.gradient
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        return Step(found.loss, found.sizes)

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The training loss: every head is kept, so that it selects nothing."""
        return mean_loss

    def watch(self, head: int) -> np.ndarray:
        """No images are watched: int32 [0]."""
        return np.zeros(0, np.int32)

    def head(self, number: int) -> Linear:
        """One head, for cluster.heads.model.predict."""
        one = self._weight.detach()[number : number + 1]
        return Linear(*(each.cpu().numpy() for each in (one * self._gain, self._bias(one))))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        return {"head/weight": self._weight, **named_state(self._adam)}

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        self._weight.copy_(state["head/weight"])
        restore(self._adam, state)

    @torch.no_grad()
    def gradient(self) -> Gradient:
        """The loss and its gradient at the current weights, in two passes over the rows."""
        h, k, n, device = self.n_heads, self.k, len(self._rows), self.device
        kept: list[torch.Tensor] = []
        share = torch.zeros(h, k, dtype=torch.float64, device=device)
        sizes = torch.zeros(h, k, dtype=torch.int64, device=device)
        conditional_entropy, cross_entropy = torch.zeros(2, h, dtype=torch.float64, device=device)
        for here, x in self._tiles():
            log_p, known = self._log_p(x), self._known_of(here)
            p = log_p.exp()
            share += p.sum(2)
            conditional_entropy -= (p * log_p).sum(1)[:, known.free].sum(1)
            cross_entropy -= log_p[:, known.label, known.labelled].sum(1)
            sizes += cluster_sizes(log_p.max(1).indices, k)  # argmax is ten times slower
            if self._keeps:
                kept.append(log_p)
        share /= n
        log_share = share.clamp(min=1e-38).log()
        loss = self._lambda * conditional_entropy / self._unlabelled + (share * log_share).sum(1)
        loss += cross_entropy / max(1, n - self._unlabelled)
        total = torch.zeros(h * k, self._rows.dim, dtype=torch.float64, device=device)
        for number, (here, x) in enumerate(self._tiles()):
            log_p = kept[number] if self._keeps else self._log_p(x)
            known = self._known_of(here)
            each = self._logit_gradient(log_p, known, log_share.float()).flatten(0, 1)
            total += weight_gradient(each, x) - each.sum(1, keepdim=True) * self._mean
        gradient = (total * self._gain).view(self._weight.shape).float()
        return Gradient(loss, gradient, sizes)

    def _logit_gradient(
        self, log_p: torch.Tensor, known: _Known, log_share: torch.Tensor
    ) -> torch.Tensor:
        """dL/dz of one tile, [head, cluster, image]; log_share: a of the equation, [head,
        cluster]."""
        p, n = log_p.exp(), len(self._rows)
        entropy = -(p * log_p).sum(1, keepdim=True)
        marginal = log_share[..., None] - torch.bmm(log_share[:, None], p)
        out = p * (marginal / n - self._lambda[:, None, None] * known.share * (log_p + entropy))
        if len(known.labelled):
            error = p[..., known.labelled]
            error[:, known.label, torch.arange(len(known.label), device=p.device)] -= 1
            out[..., known.labelled] += error / (n - self._unlabelled)
        return out

    def _known_of(self, here: slice) -> _Known:
        """Made on the CPU and kept: on a GPU each mask would be waited for, in every step."""
        if here.start not in self._known:
            label = self._label[here]
            places = np.flatnonzero(label >= 0)
            share = np.where(label < 0, np.float32(1 / self._unlabelled), np.float32(0))
            own = (places, label[places], np.flatnonzero(label < 0), share)
            self._known[here.start] = _Known(
                *(torch.from_numpy(each).to(self.device) for each in own)
            )
        return self._known[here.start]

    def _log_p(self, x: torch.Tensor) -> torch.Tensor:
        """[image, dim] → log p, float32 [head, cluster, image]."""
        w = self._weight.detach()
        flat = linear_outputs((w * self._gain).flatten(0, 1), x).view(*w.shape[:2], len(x))
        return flat.add_(self._bias(w)[..., None]).log_softmax(1)

    def _bias(self, weight: torch.Tensor) -> torch.Tensor:
        """The bias that subtracts the mean of the rows, [head, cluster]."""
        return -self._gain * (weight @ self._mean)

    def _tiles(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """The rows, in parts small enough that [head, image, cluster] has at most CELLS numbers."""
        most = max(1, CELLS // (self.n_heads * self.k))
        for here, x in tiles(self._rows, self.device) if self._kept is None else self._kept:
            for start in range(0, len(x), most):
                part = x[start : start + most]
                at = here.start + start
                yield slice(at, at + len(part)), part.to(self._dtype)
