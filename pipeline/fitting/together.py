"""Train all seeds of a setting at once, as the heads of one learner; a killed run goes on.

For methods that know the class of some images: those keep it, whatever their head says.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from cluster.heads.training import Batch, History, Learner, Schedule
from cluster.vectors.rows import Rows
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.fitting.heads import (
    Fitted,
    arrays,
    name_of,
    say_if_collapsed,
    train_on,
    what_it_follows_from,
    write_epochs,
)
from pipeline.io.clusters import save_clusters
from pipeline.io.known import Known
from pipeline.io.space import Space
from pipeline.params import Runtime, Section, torch_device

OF_HEADS = ("loss", "criterion", "entropy", "live")  # of a history, [epoch, head]

# Where a training of this setting lies, by its name: for what `begin` itself trains before
Place = Callable[[str], Checkpoint]
# From the fitted rows, k and that: the heads, one a seed, and what a step learns from
Begin = Callable[[Rows, int, int, Place], tuple[Learner[Batch], Callable[[int], Batch]]]


def learn_together(
    space: Space,
    known: Known,
    settings: Sequence[tuple[int, int]],
    begin: Begin[Batch],
    schedule: Schedule,
    n_epochs: int,
    params: Section,
    inputs: dict[str, Any],
    runtime: Runtime,
    *,
    memory_gb: float,
    seeds: Sequence[int],
    clusters: Path,
    epochs: Path,
    advice: str,
) -> None:
    """Train linear heads on `train` for every setting (k, dims); write CLUSTERS of all images, and
    EPOCHS (csv). `inputs`: what the result follows from besides the store, `known` and `params`;
    memory_gb: what the vectors that `begin` is given may take in RAM, 0 where it keeps its own;
    `advice`: what to do when a head collapses."""
    device = torch_device(runtime.device)
    inputs = what_it_follows_from(space, params, {**inputs, "label": known.label})
    fits, told, places = [], [], list[Checkpoint]()
    for dims, group in groupby(settings, itemgetter(1)):
        fitted, rows = space.fitted(dims, memory_gb), space.rows(dims)
        for k, _ in group:
            follows = {**inputs, "k": k, "dims": dims, "seeds": list(seeds)}
            place = partial(_place, clusters, f"k{k}-d{dims}", follows, places)
            learner, draw = begin(fitted, dims, k, place)
            what = name_of(clusters, k, dims)
            history = train_on(learner, draw, schedule, n_epochs, place("all"), what)
            of = []
            for head, seed in enumerate(seeds):
                say_if_collapsed(f"{what} seed={seed}", history.live[:, head], k, advice)
                loss = float(history.criterion[-1, head])
                of.append(Fitted(seed, learner.head(head), loss, _of_head(history, head)))
            told.append(of)
            fits.append(_pinned(arrays(of, rows, device), space.train, known.label))
        del fitted, learner, draw  # two copies in RAM would be one too many
    write_epochs(epochs, settings, told)
    save_clusters(
        clusters, space.found, space.basis, settings, fits,
        how="linear", seeds=seeds, old=known.old,
    )  # fmt: skip
    for place_of_one in places:
        place_of_one.remove()


def _place(
    clusters: Path, setting: str, follows: dict[str, Any], places: list[Checkpoint], what: str
) -> Checkpoint:
    places.append(Checkpoint(clusters, f"{setting}-{what}", follows))
    return places[-1]


def _of_head(history: History, head: int) -> History:
    """What was told of one head."""
    one = {name: getattr(history, name)[:, head : head + 1] for name in OF_HEADS}
    return history._replace(**one)


def _pinned(
    found: dict[str, np.ndarray], train: np.ndarray, label: np.ndarray
) -> dict[str, np.ndarray]:
    """The labelled images in the cluster of their class, for sure."""
    labelled = label >= 0
    found["assignment"][:, train[labelled]] = label[labelled]
    found["probability"][:, train[labelled]] = 1
    return found
