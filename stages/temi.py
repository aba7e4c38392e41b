"""Learn clusters by TEMI: heads that give an image and its neighbours the same cluster."""

from typing import Annotated

import numpy as np
from pydantic import Field

from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.temi import Settings, Temi
from cluster.heads.temi_loss import Loss
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.few_images import near_enough
from pipeline.fitting.heads.choose_head import Choose, head_chooser
from pipeline.fitting.heads.learn import Draw, Heads, HeadTraining, Trainings, learn
from pipeline.io.cell import Cell
from pipeline.io.neighbors import neighbors_in_train
from pipeline.io.space import Count, Dims, K, Seeds, open_space
from pipeline.params import Runtime, torch_device
from stages import run

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Params(HeadTraining):
    k: K
    dims: Dims
    neighbors: Count  # of an image, that may be its partner
    heads: Count
    choose: Choose  # by what the head of a seed is chosen
    hidden: Count
    bottleneck: Count
    loss: Loss
    beta: Annotated[float, Field(gt=0.5, le=1)]
    temperature: Positive
    momentum: Share  # of the teacher
    prior_momentum: Share
    frozen: Annotated[int, Field(ge=0)]  # first steps without the last layer
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train heads on the cell and its neighbours for every k, dims and seed.

    Fitted on the split `train`, applied to every split; the head is chosen by its training loss
    or its edge information, and no label is read (the index says how many classes are expected).
    The table is the log of the epochs. Checkpoints lie beside the clusters; a killed run goes on.
    """
    return learn(trainings, cell, params, runtime)


def trainings(cell: Cell, params: Params, runtime: Runtime) -> Trainings:
    """What `main` trains; every machine that takes part calls it."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    table = neighbors_in_train(cell.neighbors, space, params.neighbors)
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    near = near_enough(cell.run, table, wanted)

    def begin(rows: Rows, dims: int, scale: Scale) -> Heads:
        gather = standardized_gather(rows, device, runtime.memory_gb, scale, training_dtype(device))

        def heads(watched: np.ndarray, k: int, seed: int) -> tuple[Temi, Draw]:
            pairs = Pairs(near[k], params.batch, seed)
            learner = Temi(
                rows.dim, k, Settings(**params.model_dump(include=set(Settings._fields))),
                scale=scale, watched=gather(watched), seed=seed, device=device,
            )  # fmt: skip
            return learner, lambda step: gather(pairs.at(step))

        return heads

    return Trainings(
        cell,
        space,
        wanted,
        begin,
        params,
        {"table": table},
        params.seeds,
        "mlp",
        head_chooser(params.choose, table, device),
    )


if __name__ == "__main__":
    run(main, "clusters", "table")
