"""Engines of k-means: they hold the rows in chunks and map functions over these.

The engine here maps one chunk after the other in this process; others may do it elsewhere, all
chunks at once (pipeline/fitting/kmeans_on_ray).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int

from cluster.kmeans.centering import Centering, fit_centering
from cluster.kmeans.chunk import ChunkState, chunk_rows
from cluster.kmeans.data import Data
from cluster.vectors.rows import Rows

Result = TypeVar("Result")


@runtime_checkable
class Engine(Protocol):
    """n: the number of images; centering: of the rows; device: where results are added up."""

    @property
    def n(self) -> int: ...
    @property
    def centering(self) -> Centering: ...
    @property
    def device(self) -> str: ...

    def map(self, work: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        """work(chunk, *arguments) of every ChunkState, in the order of their rows."""
        ...


# Makes an engine for a number of runs and, in semi-supervised k-means, labels (int [image]).
EngineFactory = Callable[[int, np.ndarray | None], Engine]


class LocalEngine(NamedTuple):
    """All chunks in this process."""

    n: int
    centering: Centering
    device: str
    chunks: list[ChunkState]

    def map(self, work: Callable[..., Result], *arguments: Any) -> Iterator[Result]:
        return (work(chunk, *arguments) for chunk in self.chunks)


def local_engines(rows: Rows, cosine: bool, device: str) -> EngineFactory:
    """A factory of engines in this process, which share the data."""
    data = Data(rows, fit_centering(rows, cosine), device)
    return lambda runs, label: local_engine(data, runs, label)


def local_engine(data: Data, runs: int, label: Int[np.ndarray, " image"] | None) -> LocalEngine:
    return LocalEngine(len(data), data.centering, data.device, chunks_of(data, runs, label))


def chunks_of(data: Data, runs: int, label: Int[np.ndarray, " image"] | None) -> list[ChunkState]:
    """The chunks of all rows. label: the cluster that an image is pinned to, or -1."""
    pinned = None if label is None else torch.as_tensor(label, device=data.device)
    size = chunk_rows(data)
    return [
        ChunkState(data, start, runs, None if pinned is None else pinned[start : start + size])
        for start in range(0, len(data), size)
    ]
