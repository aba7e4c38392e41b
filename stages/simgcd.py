"""Sort images into known classes and new ones by SimGCD's classifier, on fixed features."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from cluster.heads.class_holdout import HOLDOUTS, hidden_accuracy, hold_out_classes
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.hyperbolic import Ball
from cluster.heads.model import predict, stacked
from cluster.heads.simgcd import Batch, Settings, SimGcd
from cluster.heads.training import Schedule
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import standardized_gather, two_view_gather
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import Rows, Subset
from pipeline.embedding.views import open_views
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.heads.batched_seeds import learn_batched
from pipeline.fitting.heads.learn import Training
from pipeline.fitting.heads.rejected import mark_rejected
from pipeline.fitting.heads.training import CheckpointOf, train_with_checkpoint
from pipeline.io.cell import Cell
from pipeline.io.estimate import estimate_of
from pipeline.io.known import read_known
from pipeline.io.space import Dims, K, Seeds, open_space, print_space
from pipeline.params import Runtime, torch_device
from stages import run

Positive = Annotated[float, Field(gt=0)]
Draw = Callable[[int], Batch]
ENTROPY_WEIGHTS = (0.5, 1.0, 2.0, 4.0)  # that `auto` chooses from
ENTROPY_WEIGHT = 1.0  # that it takes where it cannot choose


class Params(Training):
    k: K  # known classes and new ones together
    dims: Dims
    center: bool  # about the mean of train
    supervised: Annotated[float, Field(gt=0, lt=1)]  # share of the labels in the loss
    entropy_weight: Annotated[float, Field(ge=0)] | Literal["auto"]
    temperature: Positive
    teacher_first: Positive  # temperature of the teacher
    teacher_last: Positive
    teacher_warmup: Annotated[int, Field(ge=0)]  # steps from teacher_first to teacher_last
    geometry: Literal["euclidean", "hyperbolic"]
    curvature: Positive  # of the Poincaré ball
    clip: Positive  # length of vectors before they are mapped into it
    prior: Literal["uniform", "estimated"]
    prior_momentum: Annotated[float, Field(ge=0, lt=1)]
    reject: Annotated[float, Field(ge=0, lt=1)]  # share of the labelled images beyond the border
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train a classifier of known and new classes on the cell for every k, dims and seed.

    Fitted on the split `train`, applied to every split; cluster c is known class c. The file of
    known classes says who is labelled, and no other label is read (the index says how many classes
    are expected, `discover.auto` which estimate says how many were found). A step learns from two
    of the augmented views of its images, where there are any. The table is the log of the epochs.
    A killed run resumes.

    The weight of the entropy term matters most. `auto` holds two of five known classes out as
    new and hides their labels, ten times over, trains with each weight, and takes the one that
    finds them best; only labelled images take part.

    With `reject`, images that lie too far from the mean of their cluster are marked as belonging to
    none; they keep the cluster that is closest (cluster.heads.reject).
    """
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    who, others = read_known(cell.known, space), open_views(cell.views, space.found)
    schedule = Schedule(params.steps, params.lr, params.min_lr, params.warmup)
    ball = Ball(params.curvature, params.clip) if params.geometry == "hyperbolic" else None
    momentum = params.prior_momentum if params.prior == "estimated" else None

    def begin(rows: Rows, dims: int, k: int, place: CheckpointOf) -> tuple[SimGcd, Draw]:
        seen = [space.fitted_view(view, dims) for view in others] or [rows]
        weight = params.entropy_weight
        if weight == "auto" and len(who.old) == 1:
            weight = ENTROPY_WEIGHT
            print(f"{cell.run}: one class is known, none can be hidden: entropy_weight is 1")
        elif weight == "auto":
            weight = choose(rows, seen, place("entropy"))
            print(f"{cell.run} k={k}: entropy_weight {weight:g} finds hidden classes best")
        return heads(rows, seen, [who.label] * len(params.seeds), k, [weight], params.seeds)

    def choose(rows: Rows, seen: Sequence[Rows], checkpoint: Checkpoint) -> float:
        """The weight that finds known classes best while their labels are hidden; by labelled
        images alone, with all weights and all choices of hidden classes at once."""
        images, of_seed = np.flatnonzero(who.label >= 0), range(HOLDOUTS)
        holdouts, k = hold_out_classes(who.label[images], HOLDOUTS, 0), int(who.label.max()) + 1
        labelled, labels = Subset(rows, images), [p.label for p in holdouts]
        views = [Subset(view, images) for view in seen]
        learner, draw = heads(labelled, views, labels, k, ENTROPY_WEIGHTS, of_seed)
        train_with_checkpoint(learner, draw, schedule, 1, checkpoint, "entropy_weight")
        head = stacked([learner.head(n) for n in range(learner.n_heads)])
        own = predict(labelled, head, device=device).assignment
        each = own.reshape(HOLDOUTS, len(ENTROPY_WEIGHTS), -1)
        right = [
            [hidden_accuracy(of, p, k) for of in ofs] for ofs, p in zip(each, holdouts, strict=True)
        ]
        return ENTROPY_WEIGHTS[int(np.mean(right, axis=0).argmax())]

    def heads(
        rows: Rows,
        seen: Sequence[Rows],
        labels: Sequence[np.ndarray],
        k: int,
        weights: Sequence[float],
        seeds: Sequence[int],
    ) -> tuple[SimGcd, Draw]:
        """Heads for the rows, and what they learn from: views of the rows (or these alone) and, for
        each seed, labels (int64 [image])."""
        scale = rms_scale(rows, center=params.center)
        learner = SimGcd(
            rows.dim, k, Settings(**params.model_dump(include=set(Settings._fields))),
            known=max(int(label.max()) for label in labels) + 1, scale=scale,
            entropy_weights=weights, seeds=seeds, ball=ball, prior_momentum=momentum,
            device=device,
        )  # fmt: skip
        room, dtype = runtime.memory_gb / len(seen), training_dtype(device)
        gathers = [standardized_gather(view, device, room, scale, dtype) for view in seen]
        stream = HalfLabelled(labels, params.batch, seeds)
        of_seed = [two_view_gather(gathers, seed) for seed in seeds]

        def draw(step: int) -> Batch:
            found = stream.at(step)
            label = torch.from_numpy(found.label).to(device)
            if len(gathers) == 1:  # the same view twice is one
                return Batch(gathers[0](found.images)[None], label)
            each = [gather(step, of) for gather, of in zip(of_seed, found.images, strict=True)]
            return Batch(torch.stack(each, 1), label)

        return learner, draw

    wanted = feasible_settings(cell, params.k, params.dims, space, estimate_of(cell), who)
    space_fact = print_space(
        cell.run, space.basis, wanted, "about the mean" if params.center else ""
    )
    learn_batched(
        space,
        who,
        wanted,
        begin,
        schedule,
        max(1, round(params.steps * params.batch / len(space.train))),
        params,
        {"views": [view.encoder for view in others]},
        runtime,
        memory_gb=0,  # the gathers keep the vectors, standardised
        seeds=params.seeds,
        clusters=cell.discovered,
        epochs=cell.table,
        advice="set a higher entropy_weight",
        finish=partial(mark_rejected, cell.run, space, who, params.reject, device),
    )
    return space_fact


if __name__ == "__main__":
    run(main, "discovered", "table")
