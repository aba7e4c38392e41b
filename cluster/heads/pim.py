"""PIM: a linear head that is sure of each image and uses the clusters as evenly as that allows.

After Chiaroni et al. (ICCV 2023, arXiv:2212.00334) and what their code does: logits of a linear
layer without bias that begins at the centroids of k-means, and the loss, over all images at once,

    L = lambda mean_U H(p_i) - H(mean_N p_i) + mean_L -log p_i[y_i]

with U the unlabelled, L the labelled and N all images; Adam with weight decay, full batches. But:
all heads (seeds and weights lambda) at once; vectors that have no length of 1 are scaled to it on
average (cluster.vectors.rms_scale); the images are read tile by tile, in two passes:

1. z_i = s w x_i and p_i = softmax(z_i) of each tile, summed to m = mean_N p_i and the entropies.
2. -H(m) = sum_c m_c log m_c couples the images through m alone. With a_c = log m_c held fixed (the
   1 of its derivative falls out of a softmax's gradient) the gradient is a sum over images:

    dL/dz_ij =   lambda / |U| x -p_ij (log p_ij + H(p_i))               i in U
               + 1 / |N| x p_ij (a_j - sum_c p_ic a_c)                  all i
               + 1 / |L| x (p_ij - [j = y_i])                           i in L

   and dL/dw = s sum_i dL/dz_i x_i: exact, whatever the tiles. The logarithms of the first pass are
   kept where they fit.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import Step
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.kmeans.data import MAX_BF16_BYTES
from cluster.kmeans.semi_supervised import require_label
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from cluster.vectors.tiles import tiles

CELLS = 16_000_000  # probabilities at once (64 MB, of which there are several)
KEPT = 100_000_000  # log-probabilities that are not worked out twice (400 MB)


class Settings(NamedTuple):
    """sharpness: s, by which the products are multiplied."""

    sharpness: float
    weight_decay: float


class Gradient(NamedTuple):
    """loss: float64 [head]; gradient: float32 [head, cluster, dim]; sizes: int64 [head, cluster],
    images of each cluster."""

    loss: torch.Tensor
    gradient: torch.Tensor
    sizes: torch.Tensor


class Pim:
    """Heads that see all images in every step (a cluster.heads.training.Learner), each with its
    lambda. The weights are those of the scaled vectors."""

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
        """label: int64 [image], -1 where unlabelled (where all are, nothing is taught); starts:
        float32 [head, cluster, dim], centroids of the rows; weight: lambda, float [head]; scale: of
        the rows, one deviation for all dims; dtype: of the products. Raises ClusterError when
        labels and clusters do not go together."""
        self.n_heads, self.k = starts.shape[:2]
        require_label(label, len(rows), self.k)
        self.device, self._rows, self._dtype = device, rows, dtype
        small = dtype == torch.bfloat16 and 2 * len(rows) * rows.dim <= MAX_BF16_BYTES
        fits = fits_on_gpu(len(rows) * rows.dim, device) if device.startswith("cuda") else small
        self._kept = [(here, x.to(dtype)) for here, x in tiles(rows, device)] if fits else None
        self._label = torch.from_numpy(label).to(device)
        self._unlabelled = int((label < 0).sum())
        self._lambda = torch.as_tensor(weight, dtype=torch.float32, device=device)
        self._mean, length = torch.from_numpy(scale.mean).to(device), float(scale.deviation[0])
        begin = (torch.from_numpy(starts).to(device) - self._mean) / length
        self._weight, self._gain = begin.requires_grad_(), settings.sharpness / length
        self._adam = torch.optim.Adam([self._weight], lr=1.0, weight_decay=settings.weight_decay)

    def step(self, batch: object, rate: float) -> Step:
        """Learn from all images, whatever the batch; see cluster.heads.training."""
        found = self.gradient()
        self._weight.grad = found.gradient
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        return Step(found.loss, found.sizes)

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The training loss: every head is kept, so nothing is chosen by it."""
        return mean_loss

    def watch(self, head: int) -> np.ndarray:
        """No image is watched: int32 [0]."""
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
        """The loss and its gradient at the present weights, in two passes over the rows."""
        h, k, n, device = self.n_heads, self.k, len(self._rows), self.device
        keep, kept = h * n * k <= KEPT, []
        share = torch.zeros(h, k, dtype=torch.float64, device=device)
        sizes = torch.zeros(h, k, dtype=torch.int64, device=device)
        unsure, wrong = torch.zeros(2, h, dtype=torch.float64, device=device)
        for here, x in self._tiles():
            log_p, label = self._log_p(x), self._label[here]
            p = log_p.exp()
            share += p.sum(2)
            unsure -= (p * log_p).sum(1)[:, label < 0].sum(1)
            known = torch.nonzero(label >= 0).ravel()
            wrong -= log_p[:, label[known], known].sum(1)
            best = log_p.max(1).indices  # argmax takes ten times as long
            sizes.scatter_add_(1, best, torch.ones_like(best))
            if keep:
                kept.append(log_p)
        share /= n
        even = share.clamp(min=1e-38).log()
        loss = self._lambda * unsure / self._unlabelled + (share * even).sum(1)
        loss += wrong / max(1, n - self._unlabelled)
        total = torch.zeros(h * k, self._rows.dim, dtype=torch.float64, device=device)
        for number, (here, x) in enumerate(self._tiles()):
            log_p = kept[number] if keep else self._log_p(x)
            each = self._of_logits(log_p, self._label[here], even.float()).flatten(0, 1)
            total += weight_gradient(each, x) - each.sum(1, keepdim=True) * self._mean
        gradient = (total * self._gain).view(self._weight.shape).float()
        return Gradient(loss, gradient, sizes)

    def _of_logits(
        self, log_p: torch.Tensor, label: torch.Tensor, even: torch.Tensor
    ) -> torch.Tensor:
        """dL/dz of one tile, [head, cluster, image]; even: a of the equation, [head, cluster]."""
        p, n = log_p.exp(), len(self._rows)
        entropy = -(p * log_p).sum(1, keepdim=True)
        share = even[..., None] - torch.bmm(even[:, None], p)
        free = torch.where(label < 0, 1 / self._unlabelled, 0.0)
        out = p * (share / n - self._lambda[:, None, None] * free * (log_p + entropy))
        known = torch.nonzero(label >= 0).ravel()
        if len(known):
            taught = p[..., known]
            taught[:, label[known], torch.arange(len(known), device=p.device)] -= 1
            out[..., known] += taught / (n - self._unlabelled)
        return out

    def _log_p(self, x: torch.Tensor) -> torch.Tensor:
        """[image, dim] → log p, float32 [head, cluster, image]."""
        w = self._weight.detach()
        flat = linear_outputs((w * self._gain).flatten(0, 1), x).view(*w.shape[:2], len(x))
        return flat.add_(self._bias(w)[..., None]).log_softmax(1)

    def _bias(self, weight: torch.Tensor) -> torch.Tensor:
        """What the mean comes to, [head, cluster]."""
        return -self._gain * (weight @ self._mean)

    def _tiles(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """The rows, no more at once than [head, image, cluster] has room for."""
        most = max(1, CELLS // (self.n_heads * self.k))
        for here, x in tiles(self._rows, self.device) if self._kept is None else self._kept:
            for start in range(0, len(x), most):
                part = x[start : start + most]
                at = here.start + start
                yield slice(at, at + len(part)), part.to(self._dtype)
