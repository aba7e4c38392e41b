"""TEMI: heads trained by self-distillation to give an image and its neighbours the same cluster.

After Adaloglou et al. (BMVC 2023, arXiv:2303.17896) and their code: DINO's heads (Linear, GELU,
Linear, L2-normalise, weight-normed Linear); the teacher is a moving average of its student, and the
class prior a moving average of the teacher's predictions; the head of the lowest training loss is
selected, and its teacher predicts. But: all heads are trained at once in stacked matrices, in
groups of heads where all of them would not fit in memory.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.model import Mlp, mlp
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.temi_loss import Loss, head_losses, pair_weights
from cluster.heads.training import Step, cluster_sizes
from cluster.vectors.standardize import Scale, fold_scale

# Numbers in one array of outputs of a group of heads. On a CPU, the allocator reuses arrays of 32
# MB; larger ones are new pages each time, which cost 40 % more.
CELLS = {"cpu": 8_000_000, "cuda": 50_000_000}
KEPT = 50_000_000  # outputs of the teachers that are kept, not computed twice (200 MB)
TINY = 1e-38  # lower bound of a cluster's prior, so that its logarithm is finite


class Settings(NamedTuple):
    """temperature: of student and teacher; momentum: of the teacher; prior_momentum: of the class
    prior; frozen: number of first steps in which the student's last layer is not trained."""

    heads: int
    hidden: int
    bottleneck: int
    loss: Loss
    beta: float
    temperature: float
    momentum: float
    prior_momentum: float
    weight_decay: float
    frozen: int


class Weights(NamedTuple):
    """Of all heads: [head, hidden, dim], [head, hidden], [head, bottleneck, hidden], [head,
    bottleneck]; direction [head, cluster, bottleneck] and length [head, cluster] of the last."""

    hidden_weight: torch.Tensor
    hidden_bias: torch.Tensor
    bottleneck_weight: torch.Tensor
    bottleneck_bias: torch.Tensor
    direction: torch.Tensor
    length: torch.Tensor

    def at(self, heads: slice) -> "Weights":
        return Weights(*(each[heads] for each in self))


class Temi:
    """The heads of one seed (a cluster.heads.training.Learner)."""

    def __init__(
        self,
        dim: int,
        k: int,
        settings: Settings,
        *,
        scale: Scale,
        watched: torch.Tensor,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Heads for vectors of `dim` that were standardised by `scale`; `watched`: [image, dim], of
        the dtype of the batches, images whose clusters are recorded after each epoch."""
        self.k, self.n_heads, self.device, self._settings = k, settings.heads, device, settings
        self._scale = scale
        self._watched = watched
        initial = (w.to(device) for w in _initial(dim, k, settings, seed))
        self._student = Weights(*(w.requires_grad_() for w in initial))
        self._teacher = Weights(*(w.detach().clone() for w in self._student))
        self._prior = torch.full((settings.heads, k), 1 / k, device=device)
        decayed = [w for w in self._student if w.ndim == 3]
        plain = [w for w in self._student if w.ndim < 3]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}]
        self._steps_made = 0  # counted here: the optimiser's own count lies on the device
        self._adam = torch.optim.AdamW(
            [*groups, {"params": plain, "weight_decay": 0.0}], lr=1.0, fused=True
        )

    def step(self, x: torch.Tensor, lr: float) -> Step:
        """Learn from x, float32 or bfloat16 [2, batch, dim]; see cluster.heads.training."""
        settings, x = self._settings, x.flatten(0, 1)  # all x, then all partners
        groups = self._groups(len(x))
        shared, sizes, kept = self._teach(x, groups)
        losses = []
        for number, heads in enumerate(groups):
            log_t = kept[number] if kept else self._log_teacher(x, heads)
            student = Weights(*(w.detach()[heads].requires_grad_() for w in self._student))
            log_s = _log_probabilities(x, student, settings.temperature)
            weight = shared if settings.loss == "temi" else pair_weights(log_t)
            prior = self._prior[heads].clamp(min=TINY).log()
            loss = head_losses(log_s, log_t, prior, weight, beta=settings.beta, loss=settings.loss)
            gradients = torch.autograd.grad(loss.sum() / self.n_heads, student)
            for weight, gradient in zip(self._student, gradients, strict=True):
                if weight.grad is None:
                    weight.grad = torch.empty_like(weight)
                weight.grad[heads] = gradient
            losses.append(loss.detach())
        self._learn(lr)
        return Step(torch.cat(losses), sizes)

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The training loss: neither labels nor held-out images are needed."""
        return mean_loss

    def watch(self, head: int) -> np.ndarray:
        """The teacher's clusters of the watched images, int32 [image]."""
        one = slice(head, head + 1)
        return self._log_teacher(self._watched, one)[0].argmax(1).int().cpu().numpy()

    def head(self, number: int) -> Mlp:
        """One teacher, for cluster.heads.model.predict."""
        w = self._teacher.at(slice(number, number + 1))
        hidden = fold_scale(w.hidden_weight, w.hidden_bias, self._scale)
        last = _prototypes(w, self._settings.temperature)
        layers = (*hidden, w.bottleneck_weight, w.bottleneck_bias, last)
        return Mlp(*(layer.cpu().numpy() for layer in layers))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        return {
            **{f"student/{name}": w for name, w in self._student._asdict().items()},
            **{f"teacher/{name}": w for name, w in self._teacher._asdict().items()},
            "prior/prior": self._prior,
            **named_state(self._adam),
        }

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        with torch.no_grad():
            for name in Weights._fields:
                getattr(self._student, name).copy_(state[f"student/{name}"])
                getattr(self._teacher, name).copy_(state[f"teacher/{name}"])
            self._prior.copy_(state["prior/prior"])
        restore(self._adam, state)
        made = self._adam.state.get(self._student.hidden_weight, {}).get("step", 0)
        self._steps_made = int(made)

    def _groups(self, images: int) -> list[slice]:
        """Groups of heads, each as large as CELLS allows."""
        widest = max(self.k, self._settings.hidden, self._settings.bottleneck)
        size = max(1, CELLS[self.device.partition(":")[0]] // (images * widest))
        return [slice(low, low + size) for low in range(0, self.n_heads, size)]

    @torch.no_grad()
    def _log_teacher(self, x: torch.Tensor, heads: slice) -> torch.Tensor:
        return _log_probabilities(x, self._teacher.at(heads), self._settings.temperature)

    @torch.no_grad()
    def _teach(
        self, x: torch.Tensor, groups: list[slice]
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """The teachers' outputs on the batch: the probability that both of a pair are in the same
        cluster (equation 9), the cluster sizes, and log q_t of each group of heads, or nothing if
        that is more than KEPT. Updates the prior, which thereby includes the batch in its loss."""
        pairs, momentum = len(x) // 2, self._settings.prior_momentum
        keep = len(x) * self.n_heads * self.k <= KEPT
        shared, sizes, kept = torch.zeros(pairs, device=x.device), [], []
        for heads in groups:
            log_t = self._log_teacher(x, heads)
            if keep:
                kept.append(log_t)
            shared += pair_weights(log_t).sum(0)
            self._prior[heads].lerp_(log_t.exp().mean(1), 1 - momentum)
            best = log_t[:, :pairs].max(2).indices  # argmax is ten times slower
            sizes.append(cluster_sizes(best, self.k))
        return shared / self.n_heads, torch.cat(sizes), kept

    def _learn(self, lr: float) -> None:
        """An optimiser step of the students and an update of the teachers."""
        if self._steps_made < self._settings.frozen:
            self._student.direction.grad = self._student.length.grad = None
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        self._steps_made += 1
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self._teacher), list(self._student), 1 - self._settings.momentum
            )


def _initial(dim: int, k: int, settings: Settings, seed: int) -> Weights:
    """Truncated normal with a deviation of .02, cut at two deviations, as in DINO's heads; for the
    last layer torch's default."""
    generator = torch.Generator().manual_seed(seed)
    h, hidden, bottleneck = settings.heads, settings.hidden, settings.bottleneck

    def normal(*shape: int) -> torch.Tensor:
        empty = torch.empty(shape)
        return torch.nn.init.trunc_normal_(empty, std=0.02, a=-0.04, b=0.04, generator=generator)

    first, second = normal(h, hidden, dim), normal(h, bottleneck, hidden)
    reach = bottleneck**-0.5
    last = torch.empty(h, k, bottleneck).uniform_(-reach, reach, generator=generator)
    zeros = torch.zeros(h, hidden), torch.zeros(h, bottleneck)
    return Weights(first, zeros[0], second, zeros[1], last, torch.ones(h, k))


def _prototypes(w: Weights, temperature: float) -> torch.Tensor:
    """The weight-normed last layer (Salimans and Kingma 2016) divided by the temperature, [head,
    cluster, bottleneck]."""
    norm = w.direction.norm(dim=2).clamp(min=1e-12)
    return w.direction * (w.length / (norm * temperature))[..., None]


def _log_probabilities(x: torch.Tensor, w: Weights, temperature: float) -> torch.Tensor:
    """x [image, dim] → log q, float32 [head, image, cluster], images contiguous in memory. Matrix
    products are in the dtype of x."""
    plain = (w.hidden_weight, w.hidden_bias, w.bottleneck_weight, w.bottleneck_bias)
    layers = [layer.to(x.dtype) for layer in (*plain, _prototypes(w, temperature))]
    return mlp(x, *layers).log_softmax(1).mT
