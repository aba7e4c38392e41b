"""SimGCD's classifier on fixed features: cosine prototypes, one for each known or new class.

After Wen, Zhao and Qi (ICCV 2023, arXiv:2211.11727) and their code: weight-normed prototypes of
length 1 without bias, on the backbone's feature; the loss of cluster.heads.simgcd_loss; SGD with
momentum; the prototypes of the last step predict. But: the backbone is fixed, and

- the vectors may be centred. Features of a network that ends in a ReLU lie in a narrow cone, in
  which no prototype is far from any image: on handwritten digits (mean cosine .85) centring raises
  the accuracy on held-out known classes from 69 to 93 %.
- Vectors are scaled to a root mean square length of 1, not each to length 1, so that the head stays
  linear: temperature, mean and scale are folded into its weights. For vectors that have length 1
  and are not centred, this is the original's cosine.
- 400 steps are enough where only prototypes are trained. The original's learning rate, .1, is kept:
  since lengths are 1 it does not depend on the features, and .03 and .3 end within a few points.
- All seeds are trained at once in stacked matrices, each with several weights of the entropy term.

Two options go beyond it. In a ball (cluster.heads.hyperbolic) logits are those of HypCD's
hyperbolic linear layer. But: its weights are normalised, as SimGCD's are (free ones lose up to 15
points here), and HypCD's contrastive losses are left out, since they train the backbone. And the
entropy term may take the share of each cluster as it is estimated, for long tails, as Li et al. do
(arXiv:2401.05352, and ImbaGCD, arXiv:2401.05353): a moving average of the shares that are
predicted, from even ones on. But: of whole batches, half of which is labelled, as the entropy is.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.hyperbolic import Ball, exp_map
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.simgcd_loss import Weights, simgcd_loss, teacher_temperature
from cluster.heads.training import Step, cluster_sizes
from cluster.vectors.standardize import Scale, fold_scale

MOMENTUM = 0.9  # as in the original


class Settings(NamedTuple):
    """supervised: lambda, the weight of the supervised loss; temperature: of the students; that of
    the teacher goes from teacher_first to teacher_last in `teacher_warmup` steps."""

    supervised: float
    temperature: float
    teacher_first: float
    teacher_last: float
    teacher_warmup: int
    weight_decay: float


class Batch(NamedTuple):
    """x: float32 or bfloat16 [view, seed, image, dim], of one or two views, the labelled images
    first; label: int64 [seed, labelled], their classes."""

    x: torch.Tensor
    label: torch.Tensor


class SimGcd:
    """Heads of all seeds and entropy weights (a cluster.heads.training.Learner): head number
    `seed index x number of weights + weight index`."""

    def __init__(
        self,
        dim: int,
        k: int,
        settings: Settings,
        *,
        known: int,
        scale: Scale,
        entropy_weights: Sequence[float],
        seeds: Sequence[int],
        ball: Ball | None = None,
        prior_momentum: float | None = None,
        device: str = "cpu",
    ) -> None:
        """Heads for vectors of `dim` to which `scale` (of cluster.vectors.rms_scale) was applied.
        The initial weights of a head depend on its seed only. ball: that logits are taken in, None:
        they are cosines; prior_momentum: of the estimated share of each cluster, None: clusters are
        expected to be even. Raises ClusterError when k is below the number of `known` classes."""
        if k < known:
            raise ClusterError(f"k is {k}, but {known} classes are known: choose k from {known} on")
        self.k, self.n_heads, self.device = k, len(seeds) * len(entropy_weights), device
        self._settings, self._scale, self._seeds = settings, scale, len(seeds)
        self._entropy_weight = torch.tensor(list(entropy_weights) * len(seeds), device=device)
        initial = [w for seed in seeds for w in [_initial(dim, k, seed)] * len(entropy_weights)]
        self._direction = torch.stack(initial).to(device).requires_grad_()
        self._ball, self._momentum = ball, prior_momentum
        self._prior = torch.full((self.n_heads, k), 1 / k, device=device)
        self._steps = torch.zeros((), dtype=torch.int64)  # on the CPU: it sets the temperature
        self._sgd = torch.optim.SGD(
            [self._direction], lr=1.0, momentum=MOMENTUM, weight_decay=settings.weight_decay
        )

    def step(self, batch: Batch, lr: float) -> Step:
        """Learn from a batch of each seed; see cluster.heads.training."""
        s = self._settings
        logits, each = self._logits(batch.x), self.n_heads // self._seeds
        loss = simgcd_loss(
            logits,
            batch.label.repeat_interleave(each, 0),
            teacher_temperature(
                int(self._steps), s.teacher_first, s.teacher_last, s.teacher_warmup
            ),
            self._entropy_weight,
            Weights(s.supervised, s.temperature),
            None if self._momentum is None else self._prior,
        )
        loss.sum().backward()
        for group in self._sgd.param_groups:
            group["lr"] = lr
        self._sgd.step()
        self._sgd.zero_grad()
        self._steps += 1
        own = logits.detach()[0].max(2).indices  # argmax is ten times slower
        sizes = cluster_sizes(own, self.k)
        if self._momentum is not None:
            self._prior = self._momentum * self._prior + (1 - self._momentum) * sizes / own.shape[1]
        return Step(loss.detach(), sizes)

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The training loss: every head is kept, so that it selects nothing."""
        return mean_loss

    def watch(self, head: int) -> np.ndarray:
        """No images are watched: int32 [0]."""
        return np.zeros(0, np.int32)

    def head(self, number: int) -> Linear:
        """One head, for cluster.heads.model.predict."""
        one = self._prototypes()[number : number + 1].detach() / self._settings.temperature
        one = one * (1.0 if self._ball is None else self._ball.clip)
        layer = fold_scale(one, torch.zeros(1, self.k, device=one.device), self._scale)
        return Linear(*(each.cpu().numpy() for each in layer))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        own = {"head/direction": self._direction, "count/steps": self._steps}
        prior = {} if self._momentum is None else {"prior/share": self._prior}
        return {**own, **prior, **named_state(self._sgd)}

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        self._direction.copy_(state["head/direction"])
        self._steps.copy_(state["count/steps"])
        if self._momentum is not None:
            self._prior.copy_(state["prior/share"])
        restore(self._sgd, state)

    def _prototypes(self) -> torch.Tensor:
        """The weight-normed layer (Salimans and Kingma 2016), g = 1: [head, cluster, dim]."""
        return torch.nn.functional.normalize(self._direction, dim=2)

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        """[view, seed, image, dim] → float32 [view, head, image, cluster], whose images are
        contiguous in memory: cosines, or coordinates in the ball."""
        views, seeds, images, dim = x.shape
        # The heads of a seed see the same images: one matrix product serves all of them
        stacked = self._prototypes().to(x.dtype).view(seeds, -1, dim).repeat(views, 1, 1)
        out = torch.bmm(stacked, x.reshape(views * seeds, images, dim).mT).float()
        logits = out.view(views, self.n_heads, self.k, images).mT
        if self._ball is None:
            return logits
        # Vectors are clipped, after dims were scaled to a mean square of 1: far beyond the clip
        length = torch.linalg.vector_norm(x, dim=3, dtype=torch.float32)
        clip = (self._ball.clip / length.clamp(min=1e-30)).clamp(max=dim**0.5)
        of_head = clip.repeat_interleave(self.n_heads // seeds, 1)[..., None]
        return exp_map(logits * of_head, self._ball.curvature)


def _initial(dim: int, k: int, seed: int) -> torch.Tensor:
    """The default initial weights of a linear layer in torch."""
    generator, reach = torch.Generator().manual_seed(seed), dim**-0.5
    return torch.empty(k, dim).uniform_(-reach, reach, generator=generator)
