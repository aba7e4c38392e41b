"""Sort images into known classes and new ones by PIM: the information that a linear head gives."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cluster.heads.class_holdout import PRETENCES, hidden_accuracy, pretend
from cluster.heads.model import predict, stacked
from cluster.heads.pim import Pim, Settings
from cluster.heads.training import Schedule
from cluster.kernels.mixed_precision import training_dtype
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import ArrayRows, Rows
from pipeline.fitting.heads import train_on
from pipeline.fitting.kmeans import Search
from pipeline.fitting.together import Place, learn_together
from pipeline.io.cell import Cell
from pipeline.io.estimate import estimate_of
from pipeline.io.known import read_known
from pipeline.io.space import Count, Dims, K, Seeds, open_space, settings
from pipeline.params import Runtime, torch_device
from stages import run

WEIGHTS = np.arange(1, 11) / 10  # that `auto` chooses from; of equally good ones the lowest
UNSURE_WEIGHT = 0.5  # that it takes where it cannot choose
TOLD = 50  # steps of an epoch: every step sees all images
SEARCH = 300  # steps after which the accuracies of the weights hardly change any more
SEARCHED = 5_000  # labelled images, from first to last, that `auto` looks at


class Params(Search):
    k: K  # known classes and new ones together
    dims: Dims
    unsure_weight: Annotated[float, Field(ge=0)] | Literal["auto"]  # lambda
    sharpness: Annotated[float, Field(gt=0)]  # of the probabilities
    steps: Count  # each sees all images
    rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> None:
    """Train a linear head on all images of the cell at once for every k, dims and seed.

    Fitted on the split `train`, applied to every split; cluster c is known class c. The file of
    known classes says who is labelled, and no other label is read (the index says how many classes
    are expected, `discover.auto` which estimate says how many were found). It begins with
    semi-supervised k-means. The table says what was told of each epoch. A killed run goes on.

    unsure_weight `auto`: holds two of five known classes to be new and hides their labels, ten
    times over, trains with each of ten weights, and takes the one that finds them best; labelled
    images alone take part, 5,000 at most. (The authors' rule, the accuracy of clusters without any
    label on the labelled images, hardly differs between weights, and does not see that a large one
    gives up clusters of new classes.)
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    label = (who := read_known(cell.known, space)).label
    schedule = Schedule(params.steps, params.rate, params.rate, 0)
    n_epochs = max(1, params.steps // TOLD)
    of_kmeans: dict[str, Any] = {
        **params.model_dump(include=set(Search.model_fields)),
        "device": device,
    }

    def begin(rows: Rows, dims: int, k: int, place: Place) -> tuple[Pim, Callable[[int], object]]:
        starts = sskmeans(rows, label, k, seeds=params.seeds, **of_kmeans).centroids
        weight = params.unsure_weight
        if weight == "auto" and len(who.old) == 1:
            weight = UNSURE_WEIGHT
            print(f"{cell.run}: one class is known, none can be hidden: unsure_weight is 0.5")
        elif weight == "auto":
            weight = search(rows, place)
            print(f"{cell.run} k={k}: unsure_weight {weight:g} finds hidden classes best")
        return heads(rows, label, starts, np.full(len(starts), weight)), _nothing

    def search(rows: Rows, place: Place) -> float:
        """The weight that finds known classes best while their labels are hidden."""
        some = np.flatnonzero(label >= 0)
        some = some[np.linspace(0, len(some) - 1, min(len(some), SEARCHED)).astype(np.int64)]
        few = ArrayRows(rows.take(some))
        # Of a long tail some classes may have no image among them
        here = np.unique(label[some], return_inverse=True)[1]
        old = int(here.max()) + 1
        short = schedule._replace(steps=min(SEARCH, params.steps))
        right = []
        for n, pretence in enumerate(pretend(here, PRETENCES, 0)):
            starts = sskmeans(few, pretence.label, old, seeds=[n], **of_kmeans).centroids
            learner = heads(few, pretence.label, starts.repeat(len(WEIGHTS), 0), WEIGHTS)
            train_on(learner, _nothing, short, 1, place(f"weight{n}"), f"unsure_weight {n + 1}")
            head = stacked([learner.head(w) for w in range(learner.n_heads)])
            own = predict(few, head, device=device).assignment
            right.append([hidden_accuracy(of, pretence, old) for of in own])
        return float(WEIGHTS[np.mean(right, axis=0).argmax()])

    def heads(rows: Rows, seen: np.ndarray, starts: np.ndarray, weight: np.ndarray) -> Pim:
        of_pim = Settings(params.sharpness, params.weight_decay)
        scale = rms_scale(rows, center=False)
        return Pim(
            rows, seen, starts, weight, of_pim,
            scale=scale, device=device, dtype=training_dtype(device),
        )  # fmt: skip

    learn_together(
        space,
        who,
        settings(params.k, params.dims, cell.images, estimate_of(cell), space),
        begin,
        schedule,
        n_epochs,
        params,
        {},
        runtime,
        memory_gb=runtime.memory_gb,
        seeds=params.seeds,
        clusters=cell.discovered,
        epochs=cell.table,
        advice="set a lower unsure_weight",
    )


def _nothing(step: int) -> None:
    """Every step sees all images: no batch is drawn."""


if __name__ == "__main__":
    run(main, "discovered", "table")
