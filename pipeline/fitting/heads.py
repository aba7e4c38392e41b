"""Train the heads of every setting and seed, one after the other; a killed run goes on.

Methods whose heads are the seeds: pipeline.fitting.together.
"""

import csv
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from tqdm import tqdm

from cluster.heads.model import Linear, Mlp, predict, stacked
from cluster.heads.training import Batch, History, Learner, Schedule, State, train
from cluster.vectors.rows import Rows
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.clusters import How, save_clusters
from pipeline.io.space import Count, Space
from pipeline.io.whole import whole_text
from pipeline.params import Runtime, Section, torch_device

WATCHED = 2000  # images whose clusters are kept of every epoch
ADVICE = "train for fewer steps, or with a lower rate"  # to whom heads collapse
STAY = 0.98  # share of the clusters once in use that has to be in use at the end

Draw = Callable[[int], torch.Tensor]
# From images to watch, k and a seed: the heads, and what a step learns from
Heads = Callable[[np.ndarray, int, int], tuple[Learner[torch.Tensor], Draw]]
# That, from the vectors to fit and their dims: what all k and seeds share is made once
Begin = Callable[[Rows, int], Heads]


class Training(Section):
    """The settings that every training has."""

    steps: Count
    batch: Count
    rate: Annotated[float, Field(gt=0)]
    least_rate: Annotated[float, Field(ge=0)]
    warmup: Annotated[int, Field(ge=0)]  # steps
    weight_decay: Annotated[float, Field(ge=0)]


class Fitted(NamedTuple):
    """Of one seed: the chosen head, its last criterion, and what was told of each epoch."""

    seed: int
    head: Linear | Mlp
    loss: float
    history: History


def learn(
    space: Space,
    settings: Sequence[tuple[int, int]],
    begin: Begin,
    params: Training,
    inputs: dict[str, Any],
    runtime: Runtime,
    *,
    seeds: Sequence[int],
    clusters: Path,
    epochs: Path,
    how: How,
) -> None:
    """Train on `train` for every setting (k, dims) and seed; write CLUSTERS of all images, and
    EPOCHS (csv). `inputs`: what the result follows from besides the store and `params`."""
    images, device = len(space.train), torch_device(runtime.device)
    schedule = Schedule(params.steps, params.rate, params.least_rate, params.warmup)
    n_epochs = max(1, round(params.steps * min(params.batch, images) / images))
    shown = np.linspace(0, images - 1, min(images, WATCHED)).astype(np.int64)
    inputs = what_it_follows_from(space, params, inputs)
    fits, told, places = [], [], []
    for dims, group in groupby(settings, itemgetter(1)):
        rows, heads = space.rows(dims), begin(space.fitted(dims, 0), dims)
        for k, _ in group:
            of: list[Fitted] = []
            for seed in seeds:
                all_of_it = {**inputs, "k": k, "dims": dims, "seed": seed}
                places.append(Checkpoint(clusters, f"k{k}-d{dims}-s{seed}", all_of_it))
                learner, draw = heads(shown, k, seed)
                what = f"{name_of(clusters, k, dims)} seed={seed}"
                history = train_on(learner, draw, schedule, n_epochs, places[-1], what)
                best = int(history.criterion[-1].argmin())
                say_if_collapsed(what, history.live[:, best], k, ADVICE)
                loss = float(history.criterion[-1, best])
                of.append(Fitted(seed, learner.head(best), loss, history))
            told.append(of)
            watched = {
                "watched": space.found.row[space.train[shown]],
                "watched_assignment": np.stack([f.history.watched for f in of]),
            }
            fits.append({**arrays(of, rows, device), **watched})
        del heads, learner, draw  # two copies in RAM would be one too many
    write_epochs(epochs, settings, told)
    save_clusters(clusters, space.found, space.basis, settings, fits, how=how, seeds=seeds)
    for place in places:
        place.remove()


def what_it_follows_from(space: Space, params: Section, inputs: dict[str, Any]) -> dict[str, Any]:
    """All that a training follows from besides its k, dims and seed, for its checkpoint."""
    of_store = {"encoder": space.found.encoder, "id": space.found.id, "split": space.found.split}
    follows = params.model_dump(mode="json", exclude={"k", "dims", "seeds"})
    return {**follows, **inputs, **of_store, **space.basis._asdict()}


def name_of(clusters: Path, k: int, dims: int) -> str:
    """Which setting it is, for a person."""
    return f"{clusters.stem} k={k}" + f" dims={dims}" * bool(dims)


def train_on(
    learner: Learner[Batch],
    draw: Callable[[int], Batch],
    schedule: Schedule,
    n_epochs: int,
    checkpoint: Checkpoint,
    what: str,
) -> History:
    """From the start, or from where a killed run left it; `what`: its name, for the bar."""
    begun = int(checkpoint.resume["at"]) if checkpoint.resume else 0
    newest: list[Callable[[], State]] = []
    with tqdm(total=schedule.steps, initial=begun, desc=what, disable=None, unit="step") as bar:

        def progress(steps: int, told: History) -> None:
            if len(told.loss) and steps == told.step[-1]:
                best = told.criterion[-1].argmin()
                loss, live = told.loss[-1, best], told.live[-1, best]
                bar.set_postfix(loss=f"{loss:.3f}", live=live, refresh=False)
            bar.update(steps - bar.n)

        def offer(state: Callable[[], State]) -> None:
            newest[:] = [state]
            checkpoint.offer(state)

        told = train(
            learner, draw, schedule, n_epochs,
            resume=checkpoint.resume, checkpoint=offer, progress=progress,
        )  # fmt: skip
    if newest:
        checkpoint.save(newest[0]())
    return told


def say_if_collapsed(what: str, live: np.ndarray, k: int, advice: str) -> None:
    """A line when a head that is kept has given up clusters, more than come and go by chance."""
    if live[-1] < STAY * live.max():
        print(
            f"{what}: {live[-1]} of {k} clusters are in use, {live.max()} were: the head is "
            f"collapsing; {advice}"
        )
    elif live.max() < k / 2:
        print(f"{what}: only {live.max()} of {k} clusters were ever in use")


def arrays(fitted: Sequence[Fitted], rows: Rows, device: str) -> dict[str, np.ndarray]:
    """The arrays of one setting for the kind clusters."""
    head = stacked([f.head for f in fitted])
    return {
        **head._asdict(),
        **predict(rows, head, device=device)._asdict(),
        "loss": np.array([f.loss for f in fitted]),
    }


COLUMNS = ("k", "dims", "seed", "epoch", "step", "head", "loss", "criterion", "entropy", "live")


def write_epochs(
    path: Path, settings: Sequence[tuple[int, int]], fits: Sequence[Sequence[Fitted]]
) -> None:
    """A table of all epochs for `dvc plots`: loss, criterion, entropy of the cluster sizes (nats)
    and live clusters of the head that was best then, and the loss of each head."""
    heads = fits[0][0].history.loss.shape[1]
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"loss_head_{head}" for head in range(heads))])
        for (k, dims), of in zip(settings, fits, strict=True):
            for f in of:
                for epoch, told in enumerate(zip(*f.history[:5], strict=True), 1):
                    loss, criterion, entropy, live, step = told
                    h = int(criterion.argmin())
                    best = [f"{each[h]:.6g}" for each in (loss, criterion, entropy)]
                    every = [f"{each:.6g}" for each in loss]
                    writer.writerow([k, dims, f.seed, epoch, step, h, *best, live[h], *every])
