"""Train one head for every setting and seed, all seeds of a setting at once in one learner.

For methods that know the classes of some images; these images keep their class, whatever the head
predicts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.heads.training import Batch, Learner, Schedule
from cluster.vectors.rows import Rows
from pipeline.fitting.checkpoint import checkpoint_inputs
from pipeline.fitting.heads.fit_heads import fit_heads
from pipeline.fitting.heads.training import Build, CheckpointOf, Plan
from pipeline.io.known import Known
from pipeline.io.space import Space
from pipeline.params import Runtime, Section

# From the vectors to fit, dims, k and the setting's checkpoints (for trainings of its own): the
# heads, one for each seed, and what draws the batch of a step
BuildBatched = Callable[
    [Rows, int, int, CheckpointOf], tuple[Learner[Batch], Callable[[int], Batch]]
]


def learn_batched(
    space: Space,
    known: Known,
    settings: Sequence[tuple[int, int]],
    build: BuildBatched[Batch],
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
    finish: Callable[[dict[str, np.ndarray], Rows], None] = lambda found, rows: None,
) -> None:
    """Train linear heads on `train` for every setting (k, dims); write CLUSTERS of all images, and
    EPOCHS (csv). `inputs`: what the result depends on besides the store, `known` and `params`;
    memory_gb: RAM that the vectors given to `build` may take, 0 where it keeps its own; `advice`:
    what to do when a head collapses; finish: see Plan."""

    def prepare(rows: Rows, dims: int) -> Build[Batch]:
        return lambda k, seeds, place: build(rows, dims, k, place)

    plan = Plan(
        space=space,
        settings=settings,
        seeds=seeds,
        prepare=prepare,
        schedule=schedule,
        n_epochs=n_epochs,
        inputs=checkpoint_inputs(space, params, {**inputs, "label": known.label}),
        batched=True,
        memory_gb=memory_gb,
        watched=np.zeros(0, np.int64),
        known=known,
        clusters=clusters,
        epochs=epochs,
        how="linear",
        advice=advice,
        finish=finish,
    )
    fit_heads(plan, runtime)
