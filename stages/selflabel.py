"""Go on from SCAN's heads: what a head is sure of in one view, it is taught in another."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.selflabel import SelfLabel, Settings
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import random_view_gather, standardized_gather
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from pipeline.embedding.views import open_views
from pipeline.fitting.few_images import near_enough
from pipeline.fitting.heads.learn import Draw, Heads, HeadTraining, Trainings, learn
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters
from pipeline.io.neighbors import neighbors_in_train
from pipeline.io.space import Count, open_space
from pipeline.params import Runtime, StageError, torch_device
from stages import run


class Params(HeadTraining):
    other: Literal["auto", "views", "neighbors"]  # what a sure image teaches the head: its other
    neighbors: Count  # views (embed.views), or this many neighbours; auto: views if there are any
    threshold: Annotated[float, Field(gt=0, lt=1)]  # least probability of a label
    balance: bool  # clusters weigh alike in the loss


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, str]:
    """Train the heads of SCAN further, for all its settings and seeds.

    The features are the plain view, in which a head has to be sure. No label of a person is
    read. The criterion in the table of epochs is the share of images that were not sure. A killed
    run goes on.
    """
    return learn(trainings, cell, params, runtime)


def trainings(cell: Cell, params: Params, runtime: Runtime) -> Trainings:
    """What `main` trains; every machine that takes part calls it."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    scan = cell._replace(run="scan").clusters
    with read_clusters(scan) as file:
        if file.attrs["how"] != "linear":
            raise StageError(f"{scan} holds no linear heads: give the clusters of stage scan")
        if (file.attrs["dataset"], file.attrs["backbone"]) != (
            space.found.dataset,
            space.found.backbone,
        ):
            raise StageError(f"{scan} is of other images than {cell.features}: run `dvc repro`")
        wanted = list(zip(file["k"].tolist(), file["dims"].tolist(), strict=True))
        seeds: list[int] = file.attrs["seeds"]
        of_scan = {
            wanted[s]: Linear(file[f"{s}/weight"], file[f"{s}/bias"]) for s in range(len(wanted))
        }
    table = neighbors_in_train(cell.neighbors, space, params.neighbors)
    others = [] if params.other == "neighbors" else open_views(cell.views, space.found)
    if params.other == "views" and not others:
        raise StageError(
            "selflabel.other is views, and there are none: set embed.views to 4, say, or "
            "selflabel.other to neighbors"
        )
    near = {k: table for k, _ in wanted} if others else near_enough(cell.run, table, wanted)

    def begin(rows: Rows, dims: int, scale: Scale) -> Heads:
        seen = [space.fitted_view(view, dims) for view in others]
        room, dtype = runtime.memory_gb / (1 + len(seen)), training_dtype(device)
        plain, *more = (
            standardized_gather(each, device, room, scale, dtype) for each in (rows, *seen)
        )

        def heads(watched: np.ndarray, k: int, seed: int) -> tuple[SelfLabel, Draw]:
            pairs, mixed = (
                Pairs(near[k], params.batch, seed),
                random_view_gather(more or [plain], seed),
            )
            of_seed = slice(seeds.index(seed), seeds.index(seed) + 1)
            learner = SelfLabel(
                Linear(*(each[of_seed] for each in of_scan[k, dims])),
                Settings(**params.model_dump(include=set(Settings._fields))),
                scale=scale, watched=plain(watched), device=device,
            )  # fmt: skip

            def draw(step: int) -> torch.Tensor:
                image, partner = pairs.at(step)
                return torch.stack([plain(image), mixed(step, image if others else partner)])

            return learner, draw

        return heads

    def tell(name: str, learner: SelfLabel) -> None:
        if learner.idle:
            print(
                f"{name}: in {learner.idle} of {params.steps} steps no image was confident and "
                "nothing was learned: lower selflabel.threshold, or train scan for longer"
            )

    return Trainings(
        cell,
        space,
        wanted,
        begin,
        params,
        {
            "table": table,
            "views": [view.encoder for view in others],
            "heads": np.concatenate([each.ravel() for of in of_scan.values() for each in of]),
        },
        seeds,
        "linear",
        tell=tell,
    )


if __name__ == "__main__":
    run(main, "clusters", "table")
