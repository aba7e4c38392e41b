"""Train several heads for every setting and seed, one seed after the other, and keep the best."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
import torch
from pydantic import Field

from cluster.heads.training import Batch, Learner, Schedule
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale, fit_scale, identity_scale
from pipeline.fitting.checkpoint import checkpoint_inputs
from pipeline.fitting.heads.choose_head import Chooser, by_loss
from pipeline.fitting.heads.fit_heads import fit_heads
from pipeline.fitting.heads.training import Build, CheckpointOf, Plan
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

    standardize: bool  # each dim to mean 0 and deviation 1; a fused backbone's by one deviation


Params = TypeVar("Params", bound=HeadTraining)


class Trainings(NamedTuple):
    """What `learn` trains on one cell, for every setting (k, dims) and seed.

    inputs: what the result depends on besides the store and `params`; choose: by what the head of a
    seed is chosen; items: what a batch is of, and an epoch sees as many of, by default the images
    of train; tell: called with each trained learner and its name.
    """

    cell: Cell
    space: Space
    settings: Sequence[tuple[int, int]]
    prepare: PrepareHeads[Any]
    params: HeadTraining
    inputs: dict[str, Any]
    seeds: Sequence[int]
    how: How
    choose: Chooser = by_loss
    items: int | None = None
    tell: Callable[[str, Any], object] = lambda name, learner: None


def learn(
    trainings: Callable[[Cell, Params, Runtime], Trainings],
    cell: Cell,
    params: Params,
    runtime: Runtime,
) -> dict[str, str]:
    """Train on `train` for every setting (k, dims) and seed; write the clusters of all images and
    the table of epochs of `cell`, and return the fact of the space in which they were learned.

    trainings: says what is trained, from cell, params and runtime; over Ray every machine that
    trains some of it calls it, too.
    """
    made = trainings(cell, params, runtime.of_driver())
    standardized = "each dim standardized"
    if _is_fused(made.space):
        standardized = "standardized by one deviation"
    more = [standardized] * made.params.standardize
    fact = print_space(cell.run, made.space.basis, made.settings, *more)
    fit_heads(_plan(made), runtime, partial(_remake, trainings, cell, params))
    return fact


def _remake(
    trainings: Callable[[Cell, Params, Runtime], Trainings],
    cell: Cell,
    params: Params,
    runtime: Runtime,
) -> Plan:
    return _plan(trainings(cell, params, runtime))


def _is_fused(space: Space) -> bool:
    """Whether the vectors are principal components of several networks, side by side."""
    return len(space.found.widths) > 1


def _plan(made: Trainings) -> Plan:
    space, params, images = made.space, made.params, len(made.space.train)
    watched = np.linspace(0, images - 1, min(images, WATCHED)).astype(np.int64)
    items = made.items or images

    def prepare(rows: Rows, dims: int) -> Build[Any]:
        scale = identity_scale(rows.dim)
        if params.standardize:
            scale = fit_scale(rows, space.found.dtype, each_dim=not _is_fused(space))
        heads = made.prepare(rows, dims, scale)

        def build(
            k: int, seeds: Sequence[int], place: CheckpointOf
        ) -> tuple[Learner[Any], Callable[[int], Any]]:
            return heads(watched, k, seeds[0])

        return build

    return Plan(
        space=space,
        settings=made.settings,
        seeds=made.seeds,
        prepare=prepare,
        schedule=Schedule(params.steps, params.lr, params.min_lr, params.warmup),
        n_epochs=max(1, round(params.steps * min(params.batch, items) / items)),
        inputs=checkpoint_inputs(space, params, made.inputs),
        batched=False,
        memory_gb=0,  # learners keep the vectors, standardised
        watched=watched,
        known=None,
        clusters=made.cell.clusters,
        epochs=made.cell.table,
        how=made.how,
        advice=ADVICE,
        choose=made.choose,
        tell=made.tell,
    )
