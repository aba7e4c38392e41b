"""Fit the levels of hierarchical k-means; a run that was stopped goes on after its last k-means."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from cluster.curate.hierarchy import Clustering, Level, clustering, feasible_levels, fit_level
from cluster.neighbors.equal_rows import count_distinct
from cluster.vectors.rows import ArrayRows, Rows
from pipeline.curating.on_ray import cluster_on_ray
from pipeline.curating.settings import Params, numbers_of
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.io.cell import Cell
from pipeline.io.space import Space, settings
from pipeline.params import Runtime, torch_device

DECIDE = ("levels", "dims", "resampling", "nearest", "n_init", "max_iter", "tol", "init_images")


class Levels(NamedTuple):
    """assignment: int32 [point] of each level, the finest first, whose points are the images;
    distance: float32 [image], to the centroid of the finest; dims: that were clustered."""

    assignment: list[np.ndarray]
    distance: np.ndarray
    dims: int

    @property
    def k(self) -> list[int]:
        """The number of clusters of each level, none of them empty."""
        return [int(own.max()) + 1 for own in self.assignment]


def fit_levels(
    cell: Cell, space: Space, params: Params, runtime: Runtime
) -> tuple[Levels, Checkpoint]:
    """The levels of the images of train, and the checkpoint, to be removed once all is written."""
    ((_, dims),) = settings([1], [params.dims], cell.images, cell.k, space)
    points: Rows = space.fitted(dims, 0 if runtime.engine == "ray" else runtime.memory_gb)
    all_k = _feasible(cell.run, points, params)
    checkpoint = Checkpoint(cell.curated, "levels", _follows_from(space, params, dims))
    state, out = checkpoint.resume or {}, list[Level]()
    for number, k in enumerate(all_k):
        total = 1 + params.resampling
        begun = _begun(state, number)
        if begun is None or begun[1] < total:
            name = f"{cell.run} level {number + 1} of {len(all_k)}, k={k}"
            with tqdm(
                total=total, initial=begun[1] if begun else 0, desc=name, disable=None, unit="fit"
            ) as bar:

                def keep(level: Level, done: int, number: int = number, bar: tqdm = bar) -> None:
                    state.update(_arrays(level, done, number))
                    checkpoint.offer(lambda: state)
                    bar.update()

                level = fit_level(
                    len(points), min(k, len(points)),
                    _clustering(cell, space, points, number, params, dims, runtime),
                    resampling=params.resampling,
                    nearest=_nearest(params.nearest, len(points), k), begun=begun, keep=keep,
                )  # fmt: skip
            checkpoint.save(state)
        else:
            level = begun[0]
        out.append(level)
        points = ArrayRows(level.centroids)
    return Levels([level.assignment for level in out], out[0].distance, dims), checkpoint


def _clustering(
    cell: Cell, space: Space, points: Rows, level: int, params: Params, dims: int, runtime: Runtime
) -> Clustering:
    """The first level, whose points are the images, over a Ray cluster where there is one."""
    search: dict[str, Any] = {
        "seed": params.seed, "n_init": params.n_init, "max_iter": params.max_iter,
        "tol": params.tol, "init_images": params.init_images,
    }  # fmt: skip
    if level == 0 and runtime.engine == "ray":
        return partial(cluster_on_ray, cell, space.train, dims, points, search, runtime)
    return clustering(points, **search, device=torch_device(runtime.of_driver().device))


def _feasible(run: str, points: Rows, params: Params) -> list[int]:
    wanted = numbers_of(params.levels, len(points))
    distinct = count_distinct(points, min(len(points), max(wanted)))
    most = len(points) if distinct == min(len(points), max(wanted)) else distinct
    all_k = feasible_levels(sorted(wanted, reverse=True), most)
    if all_k != wanted:
        distinct_note = f", of {distinct} distinct vectors" * (most < len(points))
        print(
            f"{run}: levels of {', '.join(map(str, wanted))} clusters are asked for, there are "
            f"{len(points)} images{distinct_note}: levels of {', '.join(map(str, all_k))}"
        )
    return all_k


def _nearest(amount: int | float, points: int, k: int) -> int:
    """How many points nearest to each centroid are clustered anew: a share is of the mean
    cluster's."""
    return amount if isinstance(amount, int) else max(1, round(amount * points / k))


def _follows_from(space: Space, params: Params, dims: int) -> dict[str, object]:
    said = params.model_dump(mode="json", include={*DECIDE, "seed"})
    found, basis = space.found, space.basis._asdict()
    return {**said, "dims": dims, "encoder": found.encoder, "id": found.id, "split": found.split,
            **basis}  # fmt: skip


def _arrays(level: Level, done: int, number: int) -> dict[str, np.ndarray]:
    named = {f"{number}/{name}": array for name, array in level._asdict().items()}
    return {**named, f"{number}/done": np.array(done)}


def _begun(state: dict[str, np.ndarray], number: int) -> tuple[Level, int] | None:
    if f"{number}/done" not in state:
        return None
    level = Level(*(state[f"{number}/{name}"] for name in Level._fields))
    return level, int(state[f"{number}/done"])
