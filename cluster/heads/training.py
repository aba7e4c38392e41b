"""The training loop of heads: steps, epochs, a history of each epoch, and resuming after a kill.

The heads of one learner are trained at once: several heads of one seed (cluster.heads.temi,
cluster.heads.scan, cluster.heads.selflabel), or one head for each seed (cluster.heads.simgcd,
cluster.heads.pim). The learner defines the loss, the optimiser and what a batch is.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear, Mlp

State = dict[str, np.ndarray]
Batch = TypeVar("Batch")
BatchIn = TypeVar("BatchIn", contravariant=True)


class Step(NamedTuple):
    """loss: float32 [head]; sizes: int64 [head, cluster], images of the batch in each cluster."""

    loss: torch.Tensor
    sizes: torch.Tensor


def cluster_sizes(own: torch.Tensor, k: int) -> torch.Tensor:
    """How many images have each cluster, int64 [head, cluster]; own: int64 [head, image], the
    cluster of each image. A GPU is not waited for, as it is by bincount."""
    sizes = torch.zeros(len(own), k, dtype=torch.int64, device=own.device)
    return sizes.scatter_add_(1, own, torch.ones_like(own))


class Learner(Protocol[BatchIn]):
    """Heads that can take a training step."""

    n_heads: int
    k: int
    device: str

    def step(self, batch: BatchIn, lr: float, /) -> Step:
        """Learn from a batch: float32 [2, batch, dim], images and their partners, or whatever the
        learner documents."""
        ...

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The criterion by which heads are selected, lowest first: float64 [head], computed from
        their mean training loss in an epoch (float64 [head]) or on held-out images."""
        ...

    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        ...

    def head(self, number: int) -> Linear | Mlp:
        """One head, as arrays whose first axis has length 1."""
        ...

    def state(self) -> Mapping[str, torch.Tensor]:
        """All that changes from step to step, by name; names contain a slash."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load what `state` returned; other names are ignored."""
        ...


class History(NamedTuple):
    """Of each epoch: loss and criterion (by which heads are selected), float64 [epoch, head];
    entropy of the cluster sizes in nats, float64, and live, the number of clusters with images,
    int32, both [epoch, head]; step: steps taken so far, int64 [epoch]; watched: int32 [epoch,
    image], the clusters of the watched images by the best head of that epoch."""

    loss: np.ndarray
    criterion: np.ndarray
    entropy: np.ndarray
    live: np.ndarray
    step: np.ndarray
    watched: np.ndarray


class Schedule(NamedTuple):
    """The learning rate rises to `lr` in `warmup` steps, then falls to `min_lr` along half a
    cosine."""

    steps: int
    lr: float
    min_lr: float
    warmup: int

    def at(self, step: int) -> float:
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        part = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.min_lr + (self.lr - self.min_lr) * (1 + np.cos(np.pi * part)) / 2


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
    """Take all steps of `schedule`; `draw` returns the batch of a step.

    The steps are divided into `epochs` parts of equal length, each of which is a row of the
    history. After every step `checkpoint` receives a function that returns the state (so that a
    state that is not saved costs nothing); its arrays may change in the next step. `resume` is such
    a state: a resumed run ends with the same result as an uninterrupted one. Raises ClusterError
    when a loss is not finite.
    """
    ends = np.linspace(0, schedule.steps, epochs + 1).round().astype(int)[1:].tolist()
    at, total, sizes, history = _start(learner, resume)
    for step in range(at, schedule.steps):
        found = learner.step(draw(step), schedule.at(step))
        total, sizes = total + found.loss.double(), sizes + found.sizes
        if step + 1 in ends:
            length = step + 1 - (int(history.step[-1]) if len(history.step) else 0)
            history = _append_epoch(learner, history, total, sizes, step + 1, length)
            total, sizes = torch.zeros_like(total), torch.zeros_like(sizes)
        progress(step + 1, history)
        checkpoint(partial(_state, learner, step + 1, total, sizes, history))
    return history


def _start(
    learner: Learner[Batch], resume: State | None
) -> tuple[int, torch.Tensor, torch.Tensor, History]:
    """Steps taken, the sums of the running epoch (loss [head], sizes [head, cluster]), history."""
    h, k, device = learner.n_heads, learner.k, learner.device
    if resume is not None:
        learner.restore({n: torch.from_numpy(a) for n, a in resume.items() if "/" in n})
        history = History(*(resume[name] for name in History._fields))
        total, sizes = (torch.from_numpy(resume[name]).to(device) for name in ("total", "sizes"))
        return int(resume["at"]), total, sizes, history
    empty = np.zeros((0, h))
    history = History(
        empty, empty, empty, empty.astype(np.int32),
        np.zeros(0, np.int64), np.zeros((0, len(learner.watch(0))), np.int32),
    )  # fmt: skip
    total = torch.zeros(h, dtype=torch.float64, device=device)
    return 0, total, torch.zeros((h, k), dtype=torch.int64, device=device), history


def _append_epoch(
    learner: Learner[Batch],
    history: History,
    total: torch.Tensor,
    sizes: torch.Tensor,
    step: int,
    length: int,
) -> History:
    """history with one more epoch, which ended after `step` steps and was `length` steps long."""
    loss = total.cpu().numpy() / length
    if not np.isfinite(loss).all():
        raise ClusterError(
            f"after {step} steps the loss is not finite (nan or infinity): lower lr, and check "
            "that the features are finite"
        )
    criterion = learner.judge(loss)
    share = sizes.cpu().numpy() / max(1, int(sizes[0].sum()))
    entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1)
    live = (share > 0).sum(axis=1).astype(np.int32)
    epoch = (loss, criterion, entropy, live, step, learner.watch(int(criterion.argmin())))
    return History(
        *(np.append(old, [new], axis=0) for old, new in zip(history, epoch, strict=True))
    )


def _state(
    learner: Learner[Batch], at: int, total: torch.Tensor, sizes: torch.Tensor, history: History
) -> State:
    own = {name: tensor.detach().cpu().numpy() for name, tensor in learner.state().items()}
    sums = {"total": total.cpu().numpy(), "sizes": sizes.cpu().numpy()}
    return {**own, **history._asdict(), **sums, "at": np.array(at)}
