"""Give all images of a store their clusters: here, or block by block over a Ray cluster.

A block has CHUNK_ROWS images, whatever the cluster: so the tiles that products are taken of are
those of one machine, and with them the last bit of a probability.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from tqdm import tqdm

from cluster.kmeans.assign import assign
from cluster.kmeans.chunk import CHUNK_ROWS
from cluster.vectors.rows import Rows, Subset
from pipeline.params import Runtime, torch_device
from pipeline.ray.tasks import answers_in_order

Arrays = Mapping[str, np.ndarray]  # whose last axis is the images
# From vectors and a device: what is said of each image
Assign = Callable[[Rows, str], Arrays]


def assign_images(
    open_rows: Callable[[], Rows],
    prepare: Callable[[], Assign],
    n: int,
    runtime: Runtime,
) -> dict[str, np.ndarray]:
    """What `prepare()` says of the n rows that `open_rows` opens. Both are to be found by a name in
    a module, or partials of such: over Ray each actor calls them. Raises StageError where no
    cluster can be had."""
    if runtime.engine == "local":
        return dict(prepare()(open_rows(), torch_device(runtime.device)))
    tasks = [(start, min(start + CHUNK_ROWS, n)) for start in range(0, n, CHUNK_ROWS)]
    work = partial(_assigner, open_rows, prepare)
    with tqdm(total=n, desc="assign", disable=None, unit="img") as bar:
        every: list[Arrays] = answers_in_order(
            work, tasks, runtime, lambda number: bar.update(tasks[number][1] - tasks[number][0])
        )
    return {name: np.concatenate([each[name] for each in every], -1) for name in every[0]}


def _assigner(
    open_rows: Callable[[], Rows], prepare: Callable[[], Assign], runtime: Runtime
) -> Callable[[int, int], Arrays]:
    rows, say = open_rows(), prepare()
    return lambda start, stop: say(Subset(rows, np.arange(start, stop)), runtime.device)


def nearest_centroid(centroids: np.ndarray, unit: bool) -> Assign:
    """The nearest of `centroids` (float32 [seed, cluster, dim]) and its distance; unit: of the rows
    at length 1."""
    return lambda rows, device: assign(rows, centroids, unit=unit, device=device)._asdict()
