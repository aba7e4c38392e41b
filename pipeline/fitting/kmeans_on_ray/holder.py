"""An actor of k-means: it holds some parts of the rows, and where their images are."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch

from cluster.kmeans.assign import Nearest, assign
from cluster.kmeans.centering import Centering
from cluster.kmeans.chunk import CHUNK_ROWS, ChunkState
from cluster.kmeans.data import Data
from cluster.vectors.rows import Rows, Subset, cached
from pipeline.io.space import open_rows
from pipeline.params import Runtime
from pipeline.ray.place import enter


class Turn(NamedTuple):
    """Which call of which k-means, of so many runs."""

    job: int
    number: int
    runs: int


@final
class Holder:
    """Parts are made when they are first asked for: their rows are kept in RAM if they fit."""

    def __init__(
        self,
        folder: Path,
        features: Path,
        pca: Path,
        dims: int,
        centering: Centering,
        runtime: Runtime,
    ) -> None:
        self._folder, self._features, self._pca, self._dims = folder, features, pca, dims
        self._centering, self._runtime = centering, runtime
        self._views = dict[int, Data]()
        self._states = dict[int, tuple[int, ChunkState]]()
        self._job = -1

    def work(
        self,
        number: int,
        which: np.ndarray,
        turn: Turn,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> Any:
        """work(part, *arguments) of part `number`, on the CPU. which: int64 [image], those that are
        clustered."""
        enter(self._folder)
        if turn.job != self._job:
            self._states, self._job = {}, turn.job
        done, part = self._states.get(number, (0, None))
        if part is None or done == turn.number:  # its answer was lost: a step is not taken twice
            # finds out by itself where images were
            part = ChunkState(self._view(number, which), 0, turn.runs)
        self._states[number] = turn.number, part
        return _home(work(part, *arguments))

    def assign(self, number: int, centroids: np.ndarray, images: np.ndarray) -> Nearest:
        """The nearest of centroids [seed, cluster, dim] for block `number` of the images."""
        enter(self._folder)
        here = images[number * CHUNK_ROWS : (number + 1) * CHUNK_ROWS]
        unit, device = self._centering.cosine, self._runtime.device
        return assign(Subset(self._rows, here), np.array(centroids), unit=unit, device=device)

    def _view(self, number: int, which: np.ndarray) -> Data:
        if number not in self._views:
            own = which[number * CHUNK_ROWS : (number + 1) * CHUNK_ROWS]
            taken = sum(len(view) * view.dim for view in self._views.values())
            rows = cached(Subset(self._rows, own), self._runtime.memory_gb - taken * 4e-9)
            self._views[number] = Data(rows, self._centering, self._runtime.device)
        return self._views[number]

    @cached_property
    def _rows(self) -> Rows:
        """All images."""
        return open_rows(self._features, self._pca, self._dims)


def _home(answer: Any) -> Any:
    """An answer with its tensors on the CPU."""
    if isinstance(answer, torch.Tensor):
        return answer.cpu()
    if isinstance(answer, tuple):
        each = map(_home, answer)
        return type(answer)(*each) if hasattr(answer, "_fields") else tuple(each)
    return answer
