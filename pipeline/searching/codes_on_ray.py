"""Neighbours by codes over a Ray cluster: a task is a part of the images, which looks among all.

Codes are trained and filled here, and their lists are written to the folder of what is kept, where
all machines map them to memory: a page is read when a query wants it, once a machine. What a part
found comes back and is kept here, so that of a run that was stopped, and of a machine that was
lost, only the parts that were being searched are searched again.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import store
from cluster.neighbors.compressed.codes import Codes
from cluster.neighbors.compressed.part import Effort, Scope, find_part, parts_of
from cluster.neighbors.compressed.search import Prepared, prepare_compressed
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Subset, cached
from pipeline.io.space import train_rows
from pipeline.io.whole import whole_bytes
from pipeline.params import Runtime
from pipeline.ray.connect import connect
from pipeline.ray.tasks import over_ray
from pipeline.searching.kept import Kept


def neighbors_by_codes_on_ray(
    features: Path,
    k: int,
    kept: Kept,
    out: Neighbors,
    runtime: Runtime,
    *,
    own: np.ndarray,
    progress: Callable[[int], object],
    **settings: Any,
) -> Effort:
    """`compressed_neighbors` of all images of the store FEATURES among those of `train`, written to
    `out`; settings: as there. Raises StageError where no cluster can be had, and what the search
    raises."""
    connect(runtime)  # before hours of training
    left = list[tuple[str, slice]]()

    def put(here: slice, found: dict[str, np.ndarray]) -> None:
        out.neighbor[here], out.similarity[here] = found["neighbor"], found["similarity"]
        progress(here.stop - here.start)

    for name, here in parts_of("found", len(own)):
        if (found := kept.found(name)) is None:
            left.append((name, here))
        else:
            put(here, found)
    lists = kept.folder / "lists.faiss"
    rotation, prepared = _prepared(
        features, k, kept, lists if left else None, runtime, own=own, progress=progress, **settings
    )
    tasks = ((here.start, prepared.squares[here], prepared.own[here]) for _, here in left)
    prepare = partial(_finder, features, lists, rotation, prepared.scope)
    # Codes are searched by cores, so that an actor is a machine, whether it has GPUs or not
    on_cores = runtime.model_copy(update={"device": "cpu"})
    for number, found in over_ray(prepare, tasks, len(left), on_cores):
        name, here = left[number]
        kept.save(name, found)
        put(here, found)
    prepared.finish(out)
    return prepared.scope.effort


def _prepared(
    features: Path, k: int, kept: Kept, lists: Path | None, runtime: Runtime, **settings: Any
) -> tuple[np.ndarray, Prepared]:
    """The rotation before the codes, and what is known before the first part; LISTS is written, if
    it is wanted. Neither vectors nor codes stay in memory, which is that of actors from now on."""
    found = store.Features(features)
    rows = cached(found, runtime.memory_gb)
    among = Subset(rows, train_rows(found))
    codes, prepared = prepare_compressed(rows, among, k, keep=kept.keep, **settings)
    if lists:
        with whole_bytes(lists) as file:
            codes.write(file.write)
    return codes.rotation, prepared


def _finder(
    features: Path, lists: Path, rotation: np.ndarray, scope: Scope, runtime: Runtime
) -> Callable[[int, np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """With the vectors in RAM if they fit."""
    found = store.Features(features)
    rows = cached(found, runtime.memory_gb)
    among, codes = Subset(rows, train_rows(found)), Codes(rotation, str(lists))

    def search(start: int, squares: np.ndarray, own: np.ndarray) -> dict[str, np.ndarray]:
        query = Subset(rows, np.arange(start, start + len(own)))
        return find_part(codes, query, squares, own, among, scope)

    return search
