"""The neighbours of `train` as a graph of its distinct vectors, and what other images get of it.

For the methods that cluster a graph: equal vectors are one point of it, with a weight, so that the
order of the files has no influence (cluster.spectral.distinct_points).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import store
from cluster.kernels.similarity import Metric, survey
from cluster.neighbors.equal_rows import Distinct, distinct_rows
from cluster.neighbors.knn_vote import knn_vote, support
from cluster.neighbors.table import Neighbors
from cluster.scratch import taken
from cluster.spectral.distinct_points import neighbors_of_distinct, weighted_graph
from cluster.vectors.rows import Basis, Subset
from pipeline.io.cell import Cell
from pipeline.io.clusters import save_clusters
from pipeline.io.neighbors import among_train, read_neighbors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

VOTING = 262_144  # images that get their clusters at once


class TrainGraph(NamedTuple):
    """found: the store; train: its rows of that split, int64 [image]; table: the neighbours of all
    images, positions among these; points: the distinct vectors, those of the images of train, in
    their order, where no two are equal; copies: int [point], how many images have each, or None
    then."""

    found: store.Features
    train: np.ndarray
    table: Neighbors
    metric: Metric
    points: Distinct
    copies: np.ndarray | None

    def lists(self, k: int, device: str) -> np.ndarray:
        """The k nearest points of each, int32 [point, neighbor]; fewer where there are fewer."""
        if self.copies is None:
            return taken(self.table.neighbor[:, :k], self.train)
        own = taken(self.table.neighbor, self.train)
        rows = Subset(self.found, self.train)
        return neighbors_of_distinct(rows, own, self.points, k, metric=self.metric, device=device)

    def weighted(self, graph: "csr_array") -> "csr_array":
        """The graph of points with edges as heavy as those of all their copies."""
        return graph if self.copies is None else weighted_graph(graph, self.copies)

    def rows(self) -> np.ndarray:
        """The row of the store of each point (of its first image), int64 [point]."""
        return self.train[self.points.first]

    def of_images(self, of_points: np.ndarray) -> np.ndarray:
        """[seed, point] → [seed, image of train]."""
        return of_points[:, self.points.vector]

    def of_points(self, of_images: np.ndarray) -> np.ndarray:
        """[seed, image of train] → [seed, point]: the first image of each says what it is."""
        return of_images[:, self.points.first]


def open_train_graph(
    cell: Cell, found: store.Features, train: np.ndarray, neighbors: int
) -> TrainGraph:
    """The graph of so many neighbours of the cell's table. Says how many vectors are distinct."""
    points = distinct_rows(rows := Subset(found, train), survey(rows).code)
    copies = None
    if len(points.first) < len(train):
        copies = np.bincount(points.vector)
    else:  # in the order of the images
        points = Distinct(np.arange(len(train)), np.arange(len(train)))
    with store.read(cell.neighbors, "neighbors") as file:
        metric, columns = file.attrs["metric"], file.raw("neighbor").shape[1]
    if copies is not None:  # some neighbours are copies: others are further along the table
        print(
            f"{cell.run}: {len(train)} images have {len(copies)} distinct vectors; copies are one"
        )
        neighbors = max(neighbors, columns)
    read = read_neighbors(cell.neighbors, found, neighbors)
    table = among_train(read, train, cell.neighbors)
    return TrainGraph(found, train, table, metric, points, copies)


def voted_everywhere(
    joined: TrainGraph, of_points: np.ndarray, k: int, voters: int
) -> dict[str, np.ndarray]:
    """The clusters of all images: of `train` by int32 [seed, point], of others by the vote of their
    nearest; and as probability the share of the neighbours' weight in the own cluster."""
    train, fitted = joined.train, joined.of_images(of_points)
    seeds, images = len(fitted), len(joined.table.neighbor)
    near, similar = joined.table.neighbor[:, :voters], joined.table.similarity[:, :voters]
    assignment = np.empty((seeds, images), np.int32)
    probability = np.empty((seeds, images), np.float32)
    others = np.setdiff1d(np.arange(images), train)
    size = np.stack([np.bincount(of_seed, minlength=k) for of_seed in fitted])
    for low in range(0, len(others), VOTING):
        some = others[low : low + VOTING]
        voted = knn_vote(near[some], similar[some], fitted, k)
        assignment[:, some], probability[:, some] = voted
    for low in range(0, len(train), VOTING):
        some, own = train[low : low + VOTING], fitted[:, low : low + VOTING]
        alike = np.take_along_axis(size, own, 1) - 1
        assignment[:, some] = own
        probability[:, some] = support(near[some], similar[some], fitted, own, alike)
    number = np.full(seeds, near.shape[1], np.int32)
    return {"assignment": assignment, "probability": probability, "voters": number}


def save_voted(
    cell: Cell,
    joined: TrainGraph,
    basis: Basis,
    settings: Sequence[tuple[int, int]],
    fits: Sequence[Mapping[str, np.ndarray]],
    seeds: Sequence[int],
) -> None:
    """Clusters of the cell that other images get by the vote of their nearest, in `basis`."""
    save_clusters(
        cell.clusters, joined.found, basis, settings, fits,
        how="neighbors", seeds=seeds, metric=joined.metric,
    )  # fmt: skip


def whole_vectors(joined: TrainGraph) -> Basis:
    """No projection: the neighbours are those of whole vectors."""
    dim, unit = joined.found.dim, joined.metric == "cosine"
    return Basis(np.zeros(dim), np.zeros((0, dim)), np.zeros(0), unit, False)
