"""Sort images into known classes and new ones by PIM: the information that a linear head gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cluster.heads import Linear, predict
from cluster.kmeans import kmeans
from cluster.length import unit_scale
from cluster.pim import Pim, Settings, agreement
from cluster.rows import ArrayRows, Rows
from cluster.sskmeans import sskmeans
from cluster.training import Schedule
from stages import Runtime, Section, run, torch_device
from stages.files.checkpoint import Checkpoint
from stages.files.heads import train_on
from stages.files.known import read_known
from stages.files.space import Count, Dims, K, Seeds, open_space, settings
from stages.files.together import Place, learn_together

WEIGHTS = np.arange(1, 21) / 20  # that `auto` chooses from; of equally good ones the lowest
TOLD = 50  # steps of an epoch: every step sees all images
SEARCH = 300  # steps after which the accuracies of the weights hardly change any more
SEARCHED = 10_000  # images of train, from first to last, that `auto` looks at


class Params(Section):
    k: K  # known classes and new ones together
    dims: Dims
    unsure_weight: Annotated[float, Field(ge=0)] | Literal["auto"]  # lambda
    sharpness: Annotated[float, Field(gt=0)]  # of the probabilities
    steps: Count  # each sees all images
    rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    n_init: Count  # starts of the k-means that the head begins with
    max_iter: Count
    tol: Annotated[float, Field(ge=0)]
    init_images: Count
    seeds: Seeds


def main(
    features: Path,
    index: Path,
    known: Path,
    estimate: Path,
    pca: Path,
    clusters: Path,
    epochs: Path,
    params: Params,
    runtime: Runtime,
) -> None:
    """Train a linear head on all images of the store FEATURES at once for every k, dims and seed.

    Fitted on the split `train`, applied to every split; cluster c is known class c. KNOWN says who
    is labelled, and no other label is read (INDEX says how many classes are expected, ESTIMATE how
    many were found). It begins with semi-supervised k-means. Writes CLUSTERS, and EPOCHS (csv) with
    what was told of each epoch. A killed run goes on.

    unsure_weight `auto`: trained from plain k-means without any label, with each of 20 weights, for
    the first seed and on 10,000 images at most; the one whose clusters fit the labelled images best
    is taken.
    """
    space, device = open_space(features, pca), torch_device(runtime.device)
    label = (who := read_known(known, space)).label
    schedule = Schedule(params.steps, params.rate, params.rate, 0)
    n_epochs = max(1, params.steps // TOLD)
    of_kmeans: dict[str, Any] = {
        **params.model_dump(include={"n_init", "max_iter", "tol", "init_images"}),
        "device": device,
    }

    def begin(rows: Rows, dims: int, k: int, place: Place) -> tuple[Pim, Callable[[int], object]]:
        starts = sskmeans(rows, label, k, seeds=params.seeds, **of_kmeans).centroids
        weight = params.unsure_weight
        if weight == "auto":
            weight = search(rows, k, place("weight"))
            print(f"{clusters.stem} k={k}: unsure_weight {weight:g} fits the labelled images best")
        return heads(rows, label, starts, np.full(len(starts), weight)), _nothing

    def search(rows: Rows, k: int, checkpoint: Checkpoint) -> float:
        """The weight, without labels in training, whose clusters fit the labelled images best."""
        some = np.linspace(0, len(rows) - 1, min(len(rows), SEARCHED)).astype(np.int64)
        few, none = ArrayRows(rows.take(some)), np.full(len(some), -1)
        starts = kmeans(few, k, seeds=params.seeds[:1], **of_kmeans).centroids
        learner = heads(few, none, starts.repeat(len(WEIGHTS), 0), WEIGHTS)
        short = schedule._replace(steps=min(SEARCH, params.steps))
        train_on(learner, _nothing, short, 1, checkpoint, "unsure_weight")
        layers = zip(*(learner.head(n) for n in range(len(WEIGHTS))), strict=True)
        head = Linear(*(np.concatenate(layer) for layer in layers))
        right = agreement(predict(few, head, device=device).assignment, label[some], k)
        return float(WEIGHTS[right.argmax()])

    def heads(rows: Rows, seen: np.ndarray, starts: np.ndarray, weight: np.ndarray) -> Pim:
        of_pim = Settings(params.sharpness, params.weight_decay)
        scale = unit_scale(rows, center=False)
        return Pim(rows, seen, starts, weight, of_pim, scale=scale, device=device)

    learn_together(
        space,
        who,
        settings(params.k, params.dims, index, estimate, space),
        begin,
        schedule,
        n_epochs,
        params,
        {},
        runtime,
        seeds=params.seeds,
        clusters=clusters,
        epochs=epochs,
        advice="set a lower unsure_weight",
    )


def _nothing(step: int) -> None:
    """Every step sees all images: no batch is drawn."""


if __name__ == "__main__":
    run(main)
