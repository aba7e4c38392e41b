"""Which images are near-duplicates of others, how strange each is, and how much is covered."""

from typing import NamedTuple, cast

import numpy as np
from tqdm import tqdm

import store
from cluster.curate.coverage import dissimilarity, nearest_chosen
from cluster.curate.hierarchy import images_of_levels
from cluster.curate.outliers import outlier_scores
from cluster.curate.semantic_duplicates import semantic_duplicates
from cluster.kernels.similarity import Metric
from cluster.scratch import taken
from cluster.vectors.rows import Rows
from pipeline.curating.levels import Levels
from pipeline.curating.on_ray import duplicates_on_ray
from pipeline.curating.settings import Params
from pipeline.io.cell import Cell
from pipeline.io.neighbors import among_train, read_neighbors
from pipeline.io.space import Space
from pipeline.params import Runtime, torch_device


class Judged(NamedTuple):
    """kept: int64 [image], which image is kept for each, itself of most; score: float32 [image],
    how strange each is; metric: of the table of neighbours; usual: how far the k-th neighbour of
    the median image is."""

    kept: np.ndarray
    score: np.ndarray
    metric: Metric
    usual: float


def judge(
    cell: Cell, space: Space, rows: Rows, levels: Levels, params: Params, runtime: Runtime
) -> Judged:
    """Of the images of train. rows: their whole vectors. Both within the coarsest level, which
    parts the fewest near-duplicates and has the largest clusters."""
    top = images_of_levels(levels.assignment)[-1]
    kept = np.arange(len(rows))
    if params.duplicates != "none":
        with tqdm(total=len(rows), desc=f"{cell.run} duplicates", disable=None, unit="img") as bar:
            wanted = top, levels.distance, params.duplicates
            if runtime.engine == "ray":
                kept = duplicates_on_ray(
                    cell.features, space.train, *wanted, runtime, progress=bar.update
                )
            else:
                device = torch_device(runtime.device)
                kept = semantic_duplicates(rows, *wanted, device=device, progress=bar.update)
    with store.read(cell.neighbors, "neighbors") as file:
        metric, columns = cast(Metric, file.attrs["metric"]), file.raw("neighbor").shape[1]
    table = read_neighbors(cell.neighbors, space.found, max(columns, params.neighbors))
    table = among_train(table, space.train, cell.neighbors)
    neighbor = taken(table.neighbor, space.train)
    far = dissimilarity(taken(table.similarity, space.train), metric)
    k = min(params.neighbors, neighbor.shape[1])
    score = outlier_scores(neighbor, far, kept, top, k)
    return Judged(kept, score, metric, float(np.median(far[:, k - 1])))


def covered(
    rows: Rows,
    chosen: np.ndarray,
    drawn: np.ndarray,
    radius: float,
    metric: Metric,
    params: Params,
    runtime: Runtime,
) -> dict[str, float]:
    """The share of the collection that lies within the radius of a chosen image, and of as many
    that were `drawn` at random; both int64 [image], and not empty."""
    rng = np.random.default_rng([params.seed, 3])
    number = min(len(rows), params.coverage_images)
    looked_at = np.sort(rng.choice(len(rows), number, replace=False))
    out = {}
    for name, some in (("chosen", chosen), ("random", drawn)):
        far = nearest_chosen(
            rows, looked_at, some, metric=metric, device=torch_device(runtime.of_driver().device)
        )
        out[name] = float((far <= radius).mean())
    return out
