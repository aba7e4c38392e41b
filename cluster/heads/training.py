"""The training of heads: steps, epochs, what is told of each, and going on after a kill.

All heads of a seed are trained at once, or all seeds, as heads; what they learn and how is the
learner's (cluster.heads.temi, cluster.heads.scan, cluster.heads.selflabel; cluster.heads.simgcd,
cluster.heads.pim)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear, Mlp

State = dict[str, np.ndarray]
Batch = TypeVar("Batch")  # what a step learns from
Learned = TypeVar("Learned", contravariant=True)


class Step(NamedTuple):
    """loss: float32 [head]; sizes: int64 [head, cluster], images of the batch in each cluster."""

    loss: torch.Tensor
    sizes: torch.Tensor


class Learner(Protocol[Learned]):
    """Heads that can take a step."""

    n_heads: int
    k: int
    device: str

    def step(self, batch: Learned, rate: float, /) -> Step:
        """Learn from a batch: float32 [2, batch, dim], images and their partners, or what the
        learner says."""
        ...

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """By what the heads are chosen, lowest first: float64 [head] from their mean loss in an
        epoch (float64 [head]), or from a look at images that are held out."""
        ...

    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        ...

    def head(self, number: int) -> Linear | Mlp:
        """One head, the arrays with a first axis of length 1."""
        ...

    def state(self) -> Mapping[str, torch.Tensor]:
        """All that changes from step to step, by name."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None: ...


class History(NamedTuple):
    """Of each epoch: loss and criterion (what heads are chosen by), float64 [epoch, head]; entropy
    of the cluster sizes in nats, float64, and clusters that got images, int32, [epoch, head];
    step: the steps made so far, int64 [epoch]; watched: int32 [epoch, image], the clusters of the
    watched images by the head that was best then."""

    loss: np.ndarray
    criterion: np.ndarray
    entropy: np.ndarray
    live: np.ndarray
    step: np.ndarray
    watched: np.ndarray


class Schedule(NamedTuple):
    """The rate rises to `rate` in `warmup` steps and falls to `least` along a half cosine."""

    steps: int
    rate: float
    least: float
    warmup: int

    def at(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        part = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.least + (self.rate - self.least) * (1 + np.cos(np.pi * part)) / 2


def train(
    learner: Learner[Batch],
    draw: Callable[[int], Batch],
    schedule: Schedule,
    epochs: int,
    *,
    resume: State | None = None,
    checkpoint: Callable[[Callable[[], State]], None] = lambda state: None,
    progress: Callable[[int, History], object] = lambda steps, history: None,
) -> History:
    """Take all steps; `draw` gives the batch of a step.

    The steps are divided into `epochs` parts of equal length, and each is told of. `checkpoint` is
    offered the state after every step (as a function, so that it costs nothing if it is declined);
    `resume` is such a state: a resumed run ends as one that was never stopped. Arrays of a state
    may change in the next step. Raises ClusterError when a loss is no number any more.
    """
    ends = np.linspace(0, schedule.steps, epochs + 1).round().astype(int)[1:].tolist()
    at, total, sizes, told = _begin(learner, resume)
    for step in range(at, schedule.steps):
        found = learner.step(draw(step), schedule.at(step))
        total, sizes = total + found.loss.double(), sizes + found.sizes
        if step + 1 in ends:
            told = _tell(learner, told, total, sizes, step + 1, step + 1 - _last(told))
            total, sizes = torch.zeros_like(total), torch.zeros_like(sizes)
        progress(step + 1, told)
        checkpoint(partial(_state, learner, step + 1, total, sizes, told))
    return told


def _begin(
    learner: Learner[Batch], resume: State | None
) -> tuple[int, torch.Tensor, torch.Tensor, History]:
    h, k, device = learner.n_heads, learner.k, learner.device
    if resume is not None:
        learner.restore({n: torch.from_numpy(a) for n, a in resume.items() if "/" in n})
        told = History(*(resume[name] for name in History._fields))
        total, sizes = (torch.from_numpy(resume[name]).to(device) for name in ("total", "sizes"))
        return int(resume["at"]), total, sizes, told
    nothing = np.zeros((0, h))
    none = History(
        nothing, nothing, nothing, nothing.astype(np.int32),
        np.zeros(0, np.int64), np.zeros((0, len(learner.watch(0))), np.int32),
    )  # fmt: skip
    total = torch.zeros(h, dtype=torch.float64, device=device)
    return 0, total, torch.zeros((h, k), dtype=torch.int64, device=device), none


def _tell(
    learner: Learner[Batch],
    told: History,
    total: torch.Tensor,
    sizes: torch.Tensor,
    step: int,
    made: int,
) -> History:
    loss = total.cpu().numpy() / made
    if not np.isfinite(loss).all():
        raise ClusterError(
            f"after {step} steps the loss is not finite (nan or infinity): lower the rate, and see "
            "that the features are finite"
        )
    criterion = learner.judge(loss)
    share = sizes.cpu().numpy() / max(1, int(sizes[0].sum()))
    entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1)
    watched = learner.watch(int(criterion.argmin()))
    now = (loss, criterion, entropy, (share > 0).sum(axis=1).astype(np.int32), step, watched)
    return History(*(np.append(old, [new], axis=0) for old, new in zip(told, now, strict=True)))


def _last(told: History) -> int:
    return int(told.step[-1]) if len(told.step) else 0


def _state(
    learner: Learner[Batch], at: int, total: torch.Tensor, sizes: torch.Tensor, told: History
) -> State:
    own = {name: tensor.detach().cpu().numpy() for name, tensor in learner.state().items()}
    sums = {"total": total.cpu().numpy(), "sizes": sizes.cpu().numpy()}
    return {**own, **told._asdict(), **sums, "at": np.array(at)}
