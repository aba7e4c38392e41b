"""A training of heads: of all seeds of a setting or of one; a killed one resumes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from cluster.heads.training import Batch, History, Learner, Schedule, State, train
from cluster.vectors.rows import Rows
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.fitting.heads.choose_head import Chooser, by_loss
from pipeline.fitting.heads.epochs import Fitted
from pipeline.io.clusters import How
from pipeline.io.known import Known
from pipeline.io.space import Space

PER_HEAD = ("loss", "criterion", "entropy", "live")  # arrays of a history, [epoch, head]

# The checkpoint of a training of the current setting, by the training's name
CheckpointOf = Callable[[str], Checkpoint]
# From k, the seeds of a training and its checkpoints: the heads, and what draws their batches
Build = Callable[[int, Sequence[int], CheckpointOf], tuple[Learner[Batch], Callable[[int], Batch]]]


class Plan(NamedTuple):
    """What is trained on `train` of a cell, for every setting (k, dims) and seed.

    prepare: called with the vectors to fit and their dims, once for all k and seeds; its result
    builds a learner. inputs: all that the result depends on (see checkpoint_inputs) but for k, dims
    and seeds. batched: whether all seeds are trained at once, each a head of the learner; else each
    seed is trained by itself, and its head of the lowest criterion is kept. memory_gb: RAM that the
    vectors given to `prepare` may take. watched: int64 [image], images of train whose clusters are
    saved for every epoch, if the learner watches any. known: labelled images, which are assigned to
    the clusters of their classes. clusters, epochs: the files that are written, the second as csv.
    advice: what to do when a head collapses. choose: by what the kept head is chosen, once trained.
    tell: called with a trained learner and its name. finish: called with the arrays of a setting
    and the vectors of all images; it may change and add arrays.
    """

    space: Space
    settings: Sequence[tuple[int, int]]
    seeds: Sequence[int]
    prepare: Callable[[Rows, int], Build[Any]]
    schedule: Schedule
    n_epochs: int
    inputs: dict[str, Any]
    batched: bool
    memory_gb: float
    watched: np.ndarray
    known: Known | None
    clusters: Path
    epochs: Path
    how: How
    advice: str
    choose: Chooser = by_loss
    tell: Callable[[str, Any], object] = lambda name, learner: None
    finish: Callable[[dict[str, np.ndarray], Rows], object] = lambda found, rows: None


class Trained(NamedTuple):
    """The seeds of one training, and the checkpoints that it leaves until all is written."""

    fitted: list[Fitted]
    checkpoints: list[Path]


def train_seeds(
    plan: Plan, rows: Rows, build: Build[Any], k: int, dims: int, seeds: Sequence[int]
) -> Trained:
    """One learner, of all seeds or of a single one. rows: the vectors to fit."""
    checkpoints = list[Path]()
    follows = {**plan.inputs, "k": k, "dims": dims, "seeds": list(seeds)}

    def place(name: str) -> Checkpoint:
        checkpoint = Checkpoint(plan.clusters, f"k{k}-d{dims}-{name}", follows)
        checkpoints.append(checkpoint.path)
        return checkpoint

    learner, draw = build(k, seeds, place)
    label, suffix = ("all", "") if plan.batched else (f"s{seeds[0]}", f" seed={seeds[0]}")
    name = setting_name(plan.clusters, k, dims) + suffix
    history = train_with_checkpoint(learner, draw, plan.schedule, plan.n_epochs, place(label), name)
    history = plan.choose(learner, rows, history)
    plan.tell(name, learner)
    return Trained(_of_seeds(learner, history, seeds, plan.batched), checkpoints)


def train_with_checkpoint(
    learner: Learner[Batch],
    draw: Callable[[int], Batch],
    schedule: Schedule,
    n_epochs: int,
    checkpoint: Checkpoint,
    name: str,
) -> History:
    """Train from the start, or from where a killed run stopped; `name`: of the progress bar."""
    resumed_at = int(checkpoint.resume["at"]) if checkpoint.resume else 0
    newest: list[Callable[[], State]] = []
    with tqdm(
        total=schedule.steps, initial=resumed_at, desc=name, disable=None, unit="step"
    ) as bar:

        def progress(steps: int, history: History) -> None:
            if len(history.loss) and steps == history.step[-1]:
                best = history.criterion[-1].argmin()
                loss, live = history.loss[-1, best], history.live[-1, best]
                bar.set_postfix(loss=f"{loss:.3f}", live=live, refresh=False)
            bar.update(steps - bar.n)

        def offer(state: Callable[[], State]) -> None:
            newest[:] = [state]
            checkpoint.offer(state)

        history = train(
            learner, draw, schedule, n_epochs,
            resume=checkpoint.resume, checkpoint=offer, progress=progress,
        )  # fmt: skip
    if newest:
        checkpoint.save(newest[0]())
    return history


def setting_name(clusters: Path, k: int, dims: int) -> str:
    """A setting, as messages and progress bars name it."""
    return f"{clusters.stem} k={k}" + f" dims={dims}" * bool(dims)


def _of_seeds(
    learner: Learner[Batch], history: History, seeds: Sequence[int], batched: bool
) -> list[Fitted]:
    """Each seed's own head, or the best head of a single seed."""
    last = history.criterion[-1]
    if not batched:
        best = int(last.argmin())
        return [Fitted(seeds[0], learner.head(best), float(last[best]), history)]
    return [
        Fitted(seed, learner.head(head), float(last[head]), _of_head(history, head))
        for head, seed in enumerate(seeds)
    ]


def _of_head(history: History, head: int) -> History:
    one = {name: getattr(history, name)[:, head : head + 1] for name in PER_HEAD}
    return history._replace(**one)
