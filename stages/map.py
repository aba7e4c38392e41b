"""Lay all images out in a few dims, those with common neighbours near one another (UMAP)."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from cluster.map.distinct_neighbors import distinct_neighbors
from cluster.map.fuzzy_graph import distances, fuzzy_graph, memberships, parts
from cluster.map.layout import lay_out, place_others
from cluster.map.umap_library import Umap, load_umap
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import TILE, Rows, Subset
from pipeline.fitting.checkpoint import Checkpoint
from pipeline.fitting.map import save_map
from pipeline.fitting.train_graph import TrainGraph, open_train_graph
from pipeline.io.cell import Cell
from pipeline.io.space import Count, Space, open_space
from pipeline.params import Runtime, Section, torch_device
from stages import run


class Params(Section):
    dims: Annotated[tuple[Count, ...], Field(min_length=1)]  # of each map
    neighbors: Count  # of each image
    epochs: Count
    min_dist: Annotated[float, Field(ge=0, lt=1)]  # how close neighbours may lie
    seed: Annotated[int, Field(ge=0, lt=2**32)]


def main(cell: Cell, params: Params, runtime: Runtime) -> dict[str, Any]:
    """Lay the images of the cell out by their table of neighbours, in each number of dims.

    Fitted on the split `train`; the other images are placed among their nearest of it, which stay
    where they are. No label is read. The metric says into how many parts the graph falls.
    """
    space = open_space(cell.features, cell.pca)
    joined = open_train_graph(cell, space.found, space.train, params.neighbors)
    near = _near(joined, params.neighbors, torch_device(runtime.device))
    if (there := near.neighbor.shape[1]) < params.neighbors:
        print(f"map: {len(near.neighbor)} distinct images are few: {there} neighbours of each")
    umap, every = load_umap(), list(dict.fromkeys(params.dims))
    graph = fuzzy_graph(near.neighbor, distances(near.similarity, joined.metric))
    if (number := parts(graph)) > 1:
        print(
            f"map: the graph of {there} neighbours falls into {number} parts: how these lie to one "
            "another on the map says little; raise map.neighbors if that is too many"
        )
    start = _leading(space, joined, max(every))
    follows = {**params.model_dump(exclude={"dims"}), **near._asdict(), "start": start}
    places, checkpoints = dict[int, np.ndarray](), list[Checkpoint]()
    for dims in every:
        checkpoints.append(saved := Checkpoint(cell.map, f"d{dims}", follows))
        if saved.resume is None:
            bar = {"desc": f"map dims={dims}", "disable": None, "unit": "epoch"}
            place = lay_out(
                umap, graph, start, dims,
                epochs=params.epochs, min_dist=params.min_dist, seed=params.seed, bar=bar,
            )  # fmt: skip
            if len(every) > 1:
                saved.save({"place": place})
        else:
            place = saved.resume["place"]
        places[dims] = _everyone(umap, place, joined, params)
    facts: Mapping[str, Any] = params.model_dump(include={"neighbors", "min_dist", "seed"})
    save_map(cell.map, space.found, places, metric=joined.metric, **facts)
    for checkpoint in checkpoints:
        checkpoint.remove()
    return {"parts": number}


def _near(joined: TrainGraph, k: int, device: str) -> Neighbors:
    """The neighbours of each point, as positions among the points."""
    if joined.copies is not None:
        rows, own = Subset(joined.found, joined.train), joined.table.neighbor[joined.train]
        return distinct_neighbors(rows, own, joined.points, k, metric=joined.metric, device=device)
    return Neighbors(*(each[joined.train, :k] for each in joined.table))


def _leading(space: Space, joined: TrainGraph, most: int) -> np.ndarray:
    """Where the points begin: their leading principal components, at most `most`."""
    count = min(most, len(space.basis.components))
    if not count:
        return np.zeros((len(joined.points.first), 0), np.float32)
    rows: Rows = Subset(space.rows(count), joined.rows())
    blocks = range(0, len(rows), TILE)
    return np.concatenate([rows.block(low, min(low + TILE, len(rows))) for low in blocks])


def _everyone(umap: Umap, place: np.ndarray, joined: TrainGraph, params: Params) -> np.ndarray:
    """The places of the points as those of all images, float32 [image, axis]."""
    neighbor, similarity = joined.table
    out = np.empty((len(neighbor), place.shape[1]), np.float32)
    out[joined.train] = place[joined.points.vector]
    others = np.setdiff1d(np.arange(len(neighbor)), joined.train)
    near = joined.points.vector[neighbor[others, : params.neighbors]]
    distance = distances(similarity[others, : params.neighbors], joined.metric)
    out[others] = place_others(
        umap, memberships(distance), near, place,
        epochs=params.epochs, min_dist=params.min_dist, seed=params.seed,
    )  # fmt: skip
    return out


if __name__ == "__main__":
    run(main, "map")
