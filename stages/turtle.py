"""Learn clusters that linear models of one or several spaces predict best (TURTLE)."""

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from cluster.heads.turtle.turtle import Settings, Turtle, images_of_step
from cluster.kernels.mixed_precision import training_dtype
from cluster.probes.cross_validation import cross_validated_accuracy
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows, Rows
from cluster.vectors.standardize import Scale
from pipeline.fitting.feasible_k import feasible_settings
from pipeline.fitting.heads.learn import Draw, Heads, HeadTraining, Trainings, learn
from pipeline.fitting.heads.training import setting_name
from pipeline.fitting.spaces import spaces_of
from pipeline.io.cell import Cell
from pipeline.io.clusters import read_clusters
from pipeline.io.space import Count, Dims, K, Seeds, Space, open_space
from pipeline.params import Runtime, torch_device
from stages import run

Positive = Annotated[float, Field(gt=0)]


class Params(HeadTraining):
    k: K
    dims: Dims
    heads: Count
    entropy_weight: Annotated[float, Field(ge=0)]  # gamma
    inner_steps: Count  # of the classifiers in each step
    inner_lr: Positive
    warm_start: bool  # classifiers go on from step to step; false: they begin anew in each
    folds: Annotated[int, Field(ge=2)]  # of the generalisation score
    scored: Count  # images of train, at most, that it is taken on
    penalty: Positive  # of its classifiers
    max_iter: Count  # of each fit
    seeds: Seeds


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Train heads on the cell for every k, dims and seed.

    Fitted on the split `train`, applied to every split; the head is chosen by its loss, and no
    label is read (the index says how many classes are expected). The parts of a fused backbone are
    spaces of their own. The table is the log of the epochs. A killed run resumes. The metrics:
    `generalization`, how well a linear model predicts the clusters of each seed on images that it
    has not seen, cross-validated, in [0, 1], the mean over the spaces.
    """
    fact = learn(trainings, cell, params, runtime)
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.of_driver().device)
    score, spaces = {}, list[list[slice]]()
    with read_clusters(cell.clusters) as file:
        wanted = list(zip(file["k"].tolist(), file["dims"].tolist(), strict=True))
    for setting, (k, dims) in enumerate(wanted):
        with read_clusters(cell.clusters) as file:
            own = file[f"{setting}/assignment"]
        spaces.append(spaces_of(space.found, dims))
        found = _generalization(space, dims, own, spaces[-1], params, device)
        of_seeds = {f"seed_{seed}": value for seed, value in zip(params.seeds, found, strict=True)}
        if found:
            score[f"k{k}" + f"_dims{dims}" * bool(dims)] = of_seeds
            name = setting_name(cell.clusters, k, dims)
            print(f"{name}: generalization {np.mean(found):.3f}, mean of {len(found)} seeds")
    return {**fact, "spaces": max(map(len, spaces)), "generalization": score}


def trainings(cell: Cell, params: Params, runtime: Runtime) -> Trainings:
    """What `main` trains; every machine that takes part calls it."""
    space, device = open_space(cell.features, cell.pca), torch_device(runtime.device)
    wanted = feasible_settings(cell, params.k, params.dims, space, cell.k)
    spaces = {d: spaces_of(space.found, d) for d in dict.fromkeys(d for _, d in wanted)}
    for dims in spaces:
        if dims and (mixed := len(space.found.widths)) > 1:
            print(f"{cell.run} dims={dims}: components mix the {mixed} spaces, which are one here")

    def begin(rows: Rows, dims: int, scale: Scale) -> Heads:
        gather = standardized_gather(rows, device, runtime.memory_gb, scale, training_dtype(device))

        def heads(watched: np.ndarray, k: int, seed: int) -> tuple[Turtle, Draw]:
            learner = Turtle(
                rows.dim, k, Settings(**params.model_dump(include=set(Settings._fields))),
                spaces=spaces[dims], scale=scale, watched=gather(watched), seed=seed, device=device,
            )  # fmt: skip

            def draw(step: int) -> torch.Tensor:
                return gather(images_of_step(step, len(rows), params.batch, seed))

            return learner, draw

        return heads

    return Trainings(
        cell,
        space,
        wanted,
        begin,
        params,
        {"spaces": [[s.stop for s in of] for of in spaces.values()]},
        params.seeds,
        "linear",
    )


def _generalization(
    space: Space,
    dims: int,
    assignment: np.ndarray,
    spaces: list[slice],
    params: Params,
    device: str,
) -> list[float]:
    """The score of the clusters (int32 [seed, image]) of each seed; none of a single image."""
    few = space.train
    few = few[np.linspace(0, len(few) - 1, min(len(few), params.scored)).astype(np.int64)]
    if len(few) < 2:
        return []
    x = space.rows(dims).take(few)
    return [
        round(
            float(
                np.mean([
                    cross_validated_accuracy(
                        ArrayRows(x[:, columns]), own[few], folds=params.folds,
                        penalty=params.penalty, seed=0, max_iter=params.max_iter,
                        stored=space.found.dtype, device=device,
                    )
                    for columns in spaces
                ])
            ),
            4,
        )
        for own in assignment
    ]  # fmt: skip


if __name__ == "__main__":
    run(main, "clusters", "table")
