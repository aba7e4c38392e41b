"""Sort images into known classes and new ones by PIM: the information that a linear head gives."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cluster.heads.class_holdout import HOLDOUTS, hidden_accuracy, hold_out_classes
from cluster.heads.model import predict, stacked
from cluster.heads.pim import Pim, Settings
from cluster.heads.training import Schedule
from cluster.kernels.mixed_precision import training_dtype
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import ArrayRows, Rows
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.heads.batched_seeds import learn_batched
from pipeline.fitting.heads.training import CheckpointOf, train_with_checkpoint
from pipeline.fitting.kmeans import Search
from pipeline.io.cell import Cell
from pipeline.io.estimate import estimate_of
from pipeline.io.known import read_known
from pipeline.io.space import Count, Dims, K, Seeds, open_space, print_space
from pipeline.params import Runtime, torch_device
from stages import run

WEIGHTS = np.arange(1, 11) / 10  # that `auto` chooses from; of equally good ones the lowest
CONDITIONAL_ENTROPY_WEIGHT = 0.5  # that it takes where it cannot choose
EPOCH_STEPS = 50  # steps of an epoch: every step sees all images
SEARCH = 300  # steps after which the accuracies of the weights hardly change any more
SEARCHED = 5_000  # labelled images, from first to last, that `auto` looks at


class Params(Search):
    k: K  # known classes and new ones together
    dims: Dims
    conditional_entropy_weight: Annotated[float, Field(ge=0)] | Literal["auto"]  # lambda
    logit_scale: Annotated[float, Field(gt=0)]  # factor of the logits
    steps: Count  # each sees all images
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train a linear head on all images of the cell at once for every k, dims and seed.

    Fitted on the split `train`, applied to every split; cluster c is known class c. The file of
    known classes says who is labelled, and no other label is read (the index says how many classes
    are expected, `discover.auto` which estimate says how many were found). It begins with
    semi-supervised k-means. The table is the log of the
    epochs. A killed run resumes.

    conditional_entropy_weight `auto`: holds two of five known classes out as new and hides their
    labels, ten times over, trains with each of ten weights, and takes the one that finds them best;
    only labelled images take part, 5,000 at most. (The authors' rule, the accuracy on the labelled
    images of clusters made without any label, hardly differs between weights, and does not see that
    a large weight gives up clusters of new classes.)
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    label = (who := read_known(cell.known, space)).label
    schedule = Schedule(params.steps, params.lr, params.lr, 0)
    n_epochs = max(1, params.steps // EPOCH_STEPS)
    of_kmeans: dict[str, Any] = {
        **params.model_dump(include=set(Search.model_fields)),
        "device": device,
    }

    def begin(
        rows: Rows, dims: int, k: int, place: CheckpointOf
    ) -> tuple[Pim, Callable[[int], object]]:
        starts = sskmeans(rows, label, k, seeds=params.seeds, **of_kmeans).centroids
        weight = params.conditional_entropy_weight
        if weight == "auto" and len(who.old) == 1:
            weight = CONDITIONAL_ENTROPY_WEIGHT
            print(
                f"{cell.run}: one class is known, none can be hidden: "
                "conditional_entropy_weight is 0.5"
            )
        elif weight == "auto":
            weight = search(rows, place)
            print(
                f"{cell.run} k={k}: conditional_entropy_weight {weight:g} finds hidden classes best"
            )
        return heads(rows, label, starts, np.full(len(starts), weight)), _nothing

    def search(rows: Rows, place: CheckpointOf) -> float:
        """The weight that finds known classes best while their labels are hidden."""
        some = np.flatnonzero(label >= 0)
        some = some[np.linspace(0, len(some) - 1, min(len(some), SEARCHED)).astype(np.int64)]
        few = ArrayRows(rows.take(some))
        # Of a long tail some classes may have no image among them
        here = np.unique(label[some], return_inverse=True)[1]
        old = int(here.max()) + 1
        short = schedule._replace(steps=min(SEARCH, params.steps))
        right = []
        for n, holdout in enumerate(hold_out_classes(here, HOLDOUTS, 0)):
            starts = sskmeans(few, holdout.label, old, seeds=[n], **of_kmeans).centroids
            learner = heads(few, holdout.label, starts.repeat(len(WEIGHTS), 0), WEIGHTS)
            train_with_checkpoint(
                learner,
                _nothing,
                short,
                1,
                place(f"weight{n}"),
                f"conditional_entropy_weight {n + 1}",
            )
            head = stacked([learner.head(w) for w in range(learner.n_heads)])
            own = predict(few, head, device=device).assignment
            right.append([hidden_accuracy(of, holdout, old) for of in own])
        return float(WEIGHTS[np.mean(right, axis=0).argmax()])

    def heads(rows: Rows, seen: np.ndarray, starts: np.ndarray, weight: np.ndarray) -> Pim:
        of_pim = Settings(params.logit_scale, params.weight_decay)
        scale = rms_scale(rows, center=False)
        return Pim(
            rows, seen, starts, weight, of_pim,
            scale=scale, device=device, dtype=training_dtype(device),
        )  # fmt: skip

    wanted = feasible_settings(cell, params.k, params.dims, space, estimate_of(cell), who)
    space_fact = print_space(cell.run, space.basis, wanted)
    learn_batched(
        space,
        who,
        wanted,
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
        advice="set a lower conditional_entropy_weight",
    )
    return space_fact


def _nothing(step: int) -> None:
    """Every step sees all images: no batch is drawn."""


if __name__ == "__main__":
    run(main, "discovered", "table")
