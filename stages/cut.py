"""Learn clusters that cut the graph of neighbours: linear heads by PRCut, H-RCut or H-NCut."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

import store
from cluster.heads.cut.cut import Cut, Settings
from cluster.heads.cut.edges import Drawn, Edges, gaussian_weights, squared_distances
from cluster.heads.cut.loss import Batch, Kind
from cluster.kernels.mixed_precision import training_dtype
from cluster.scratch import taken
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import Rows, Subset
from cluster.vectors.standardize import Scale
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.few_images import near_enough
from pipeline.fitting.heads.learn import HeadsOn, HeadTraining, Trainings, learn
from pipeline.io.cell import Cell
from pipeline.io.neighbors import among_train, read_neighbors
from pipeline.io.space import Count, Dims, K, Seeds, open_space
from pipeline.params import Runtime, torch_device
from stages import run

JUDGED = 8192  # edges on which heads are compared
Positive = Annotated[float, Field(gt=0)]


class Params(HeadTraining):
    k: K
    dims: Dims
    neighbors: Count  # of an image, in the graph
    cut: Kind
    heads: Count
    m: Count  # degree of the hypergeometric factor (h_rcut, h_ncut)
    bins: Count  # of the degrees, at most (h_ncut)
    momentum: Annotated[float, Field(ge=0, lt=1)]  # of the shares of the clusters
    temperature_first: Positive  # of the softmax, in the first step
    temperature_last: Positive  # in the last one
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train heads on the edges of the graph of the cell for every k, dims and seed.

    Fitted on the split `train`, applied to every split; the head is chosen by the normalised cut of
    its clusters, and no label is read (the index says how many classes are expected). A batch is
    one of edges. The table is the log of the epochs, passes through the edges. A killed run
    resumes.
    """
    return learn(trainings, cell, params, runtime)


def trainings(cell: Cell, params: Params, runtime: Runtime) -> Trainings:
    """What `main` trains; every machine that takes part calls it."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    found, train = space.found, space.train
    table = read_neighbors(cell.neighbors, found, params.neighbors)
    neighbor, similarity = (taken(of, train) for of in among_train(table, train, cell.neighbors))
    with store.read(cell.neighbors, "neighbors") as file:
        metric = file.attrs["metric"]
    square = squared_distances(Subset(found, train), neighbor, similarity, metric)
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    near = near_enough(cell.run, neighbor, wanted)
    weight = {k: gaussian_weights(square[:, : of.shape[1]]) for k, of in near.items()}

    def begin(rows: Rows, dims: int, scale: Scale) -> HeadsOn[Batch]:
        gather = standardized_gather(rows, device, runtime.memory_gb, scale, training_dtype(device))

        def on_device(drawn: Drawn) -> Batch:
            places = (torch.from_numpy(each).to(device) for each in drawn)
            return Batch(gather(drawn.image), *places)

        def heads(watched: np.ndarray, k: int, seed: int) -> tuple[Cut, Callable[[int], Batch]]:
            edges = Edges(near[k], weight[k], seed)
            learner = Cut(
                rows.dim, k, Settings(**params.model_dump(include=set(Settings._fields))),
                scale=scale, degree=edges.degrees(), watched=gather(watched),
                judged=on_device(edges.spread(JUDGED)), seed=seed, device=device,
            )  # fmt: skip
            return learner, lambda step: on_device(edges.at(step, params.batch))

        return heads

    return Trainings(
        cell,
        space,
        wanted,
        begin,
        params,
        {"table": neighbor, "square": square},
        params.seeds,
        "linear",
        items=neighbor.size,
    )


if __name__ == "__main__":
    run(main, "clusters", "table")
