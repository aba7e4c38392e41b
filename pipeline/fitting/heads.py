"""Train several heads for every setting and seed, one seed after the other, and keep the best."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from cluster.heads.training import Learner, Schedule
from cluster.vectors.rows import Rows
from pipeline.fitting.loop import Build, CheckpointOf, checkpoint_inputs, fit_heads
from pipeline.io.clusters import How
from pipeline.io.space import Count, Space
from pipeline.params import Runtime, Section

WATCHED = 2000  # images whose clusters are saved for every epoch
ADVICE = "train for fewer steps, or with a lower lr"  # when heads collapse

Draw = Callable[[int], torch.Tensor]
# From the images to watch, k and a seed: the heads, and what draws the batch of a step
Heads = Callable[[np.ndarray, int, int], tuple[Learner[torch.Tensor], Draw]]
# From the vectors to fit and their dims: that; what all k and seeds share is computed once
PrepareHeads = Callable[[Rows, int], Heads]


class Training(Section):
    """The settings that every training has."""

    steps: Count
    batch: Count
    lr: Annotated[float, Field(gt=0)]
    min_lr: Annotated[float, Field(ge=0)]
    warmup: Annotated[int, Field(ge=0)]  # steps
    weight_decay: Annotated[float, Field(ge=0)]


def learn(
    space: Space,
    settings: Sequence[tuple[int, int]],
    prepare: PrepareHeads,
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
    EPOCHS (csv). `inputs`: what the result depends on besides the store and `params`."""
    images = len(space.train)
    watched = np.linspace(0, images - 1, min(images, WATCHED)).astype(np.int64)

    def prepare_seeds(rows: Rows, dims: int) -> Build[torch.Tensor]:
        heads = prepare(rows, dims)

        def build(
            k: int, seeds: Sequence[int], place: CheckpointOf
        ) -> tuple[Learner[torch.Tensor], Draw]:
            return heads(watched, k, seeds[0])

        return build

    fit_heads(
        space,
        settings,
        prepare_seeds,
        Schedule(params.steps, params.lr, params.min_lr, params.warmup),
        max(1, round(params.steps * min(params.batch, images) / images)),
        checkpoint_inputs(space, params, inputs),
        runtime,
        batched=False,
        memory_gb=0,  # learners keep the vectors, standardised
        watched=watched,
        known=None,
        seeds=seeds,
        clusters=clusters,
        epochs=epochs,
        how=how,
        advice=ADVICE,
    )
