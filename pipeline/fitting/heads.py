"""Train several heads for every setting and seed, one seed after the other, and keep the best."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from cluster.heads.training import Batch, Learner, Schedule
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale
from pipeline.fitting.choose_head import Chooser, by_loss
from pipeline.fitting.loop import Build, CheckpointOf, checkpoint_inputs, fit_heads
from pipeline.io.cell import Cell
from pipeline.io.clusters import How
from pipeline.io.space import Count, Space, print_space
from pipeline.params import Runtime, Section

WATCHED = 2000  # images whose clusters are saved for every epoch
ADVICE = "train for fewer steps, or with a lower lr"  # when heads collapse

Draw = Callable[[int], torch.Tensor]
# From the images to watch, k and a seed: the heads, and what draws the batch of a step
HeadsOn = Callable[[np.ndarray, int, int], tuple[Learner[Batch], Callable[[int], Batch]]]
Heads = HeadsOn[torch.Tensor]
# From the vectors to fit, their dims and scale: that; what all k and seeds share is computed once
PrepareHeads = Callable[[Rows, int, Scale], HeadsOn[Batch]]


class Training(Section):
    """The settings that every training has."""

    steps: Count
    batch: Count
    lr: Annotated[float, Field(gt=0)]
    min_lr: Annotated[float, Field(ge=0)]
    warmup: Annotated[int, Field(ge=0)]  # steps
    weight_decay: Annotated[float, Field(ge=0)]


class HeadTraining(Training):
    """Those of the methods that `learn` trains."""

    standardize: bool  # each dim to mean 0 and deviation 1


def learn(
    cell: Cell,
    space: Space,
    settings: Sequence[tuple[int, int]],
    prepare: PrepareHeads[Batch],
    params: HeadTraining,
    inputs: dict[str, Any],
    runtime: Runtime,
    *,
    seeds: Sequence[int],
    how: How,
    choose: Chooser = by_loss,
    items: int | None = None,
) -> dict[str, str]:
    """Train on `train` for every setting (k, dims) and seed; write the clusters of all images and
    the table of epochs of `cell`, and return the fact of the space in which they were learned.
    `inputs`: what the result depends on besides the store and `params`; `choose`: by what the head
    of a seed is chosen; items: what a batch is of, and an epoch sees as many of, by default the
    images of train."""
    standardized = "each dim standardized" if params.standardize else ""
    fact = print_space(cell.run, space.basis, settings, standardized)
    images = len(space.train)
    watched = np.linspace(0, images - 1, min(images, WATCHED)).astype(np.int64)
    items = items or images

    def prepare_seeds(rows: Rows, dims: int) -> Build[Batch]:
        dtype = space.found.dtype
        scale = fit_scale(rows, dtype) if params.standardize else identity_scale(rows.dim)
        heads = prepare(rows, dims, scale)

        def build(
            k: int, seeds: Sequence[int], place: CheckpointOf
        ) -> tuple[Learner[Batch], Callable[[int], Batch]]:
            return heads(watched, k, seeds[0])

        return build

    fit_heads(
        space,
        settings,
        prepare_seeds,
        Schedule(params.steps, params.lr, params.min_lr, params.warmup),
        max(1, round(params.steps * min(params.batch, items) / items)),
        checkpoint_inputs(space, params, inputs),
        runtime,
        batched=False,
        memory_gb=0,  # learners keep the vectors, standardised
        watched=watched,
        known=None,
        seeds=seeds,
        clusters=cell.clusters,
        epochs=cell.table,
        how=how,
        advice=ADVICE,
        choose=choose,
    )
    return fact
