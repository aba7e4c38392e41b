"""Learn clusters by SCAN: linear heads that agree on neighbours and use all clusters alike."""

from typing import Annotated

import numpy as np
from pydantic import Field

from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import Scan, Settings
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import random_view_gather, standardized_gather
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from pipeline.embedding.views import open_views
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.few_images import near_enough
from pipeline.fitting.heads.choose_head import Choose, head_chooser
from pipeline.fitting.heads.learn import Draw, Heads, HeadTraining, Trainings, learn
from pipeline.io.cell import Cell
from pipeline.io.neighbors import neighbors_in_train
from pipeline.io.space import Count, Dims, K, Seeds, open_space
from pipeline.params import Runtime, torch_device
from stages import run

JUDGED = 2000  # images held out that the heads are judged by, with JUDGED_NEIGHBORS each
JUDGED_NEIGHBORS = 5  # as SCAN


class Params(HeadTraining):
    k: K
    dims: Dims
    neighbors: Count  # of an image, that may be its partner
    views: bool  # learn from augmented views too (embed.views)
    heads: Count
    choose: Choose  # by what the head of a seed is chosen
    entropy_weight: Annotated[float, Field(ge=0)]
    held_out: Annotated[float, Field(ge=0, lt=1)]  # share of train that only judges heads
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train heads on the cell and its neighbours for every k, dims and seed.

    Fitted on the split `train`, applied to every split; the head is chosen by its loss on a part of
    train that is held out, or by its edge information, and no label is read (the index says how
    many classes are expected). The table is the log of the epochs. A killed run resumes.
    """
    return learn(trainings, cell, params, runtime)


def trainings(cell: Cell, params: Params, runtime: Runtime) -> Trainings:
    """What `main` trains; every machine that takes part calls it."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    table = neighbors_in_train(cell.neighbors, space, params.neighbors)
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    near = near_enough(cell.run, table, wanted)
    others = open_views(cell.views, space.found) if params.views else []

    def begin(rows: Rows, dims: int, scale: Scale) -> Heads:
        views = [space.fitted_view(view, dims) for view in others]
        room, dtype = runtime.memory_gb / (1 + len(views)), training_dtype(device)
        gather, *more = (
            standardized_gather(each, device, room, scale, dtype) for each in (rows, *views)
        )

        def heads(watched: np.ndarray, k: int, seed: int) -> tuple[Scan, Draw]:
            held = np.random.default_rng([seed, 0, 2]).random(len(table)) < params.held_out
            pairs = Pairs(near[k], params.batch, seed, held)
            mixed = random_view_gather([gather, *more], seed)
            learner = Scan(
                rows.dim, k, Settings(**params.model_dump(include=set(Settings._fields))),
                scale=scale, watched=gather(watched), held_out=gather(_judged(near[k], held)),
                seed=seed, device=device,
            )  # fmt: skip
            return learner, lambda step: mixed(step, pairs.at(step))

        return heads

    return Trainings(
        cell,
        space,
        wanted,
        begin,
        params,
        {"table": table, "views": [view.encoder for view in others]},
        params.seeds,
        "linear",
        head_chooser(params.choose, table, device),
    )


def _judged(table: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Held-out images and their first neighbours, int64 [2, pair]."""
    all_held = np.flatnonzero(held)  # far apart: images of a class may lie side by side
    few = all_held[np.linspace(0, len(all_held) - 1, min(len(all_held), JUDGED)).astype(np.int64)]
    near = table[few, :JUDGED_NEIGHBORS]
    return np.stack([np.repeat(few, near.shape[1]), near.ravel()])


if __name__ == "__main__":
    run(main, "clusters", "table")
