"""Chunks of the rows under k-means: their state saves time and changes no answer."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from blobs import DEVICES, blobs

from cluster.kmeans.api import kmeans
from cluster.kmeans.centering import fit_centering
from cluster.kmeans.chunk import ChunkState
from cluster.kmeans.data import Data
from cluster.kmeans.engine import Engine, local_engine, local_engines
from cluster.vectors.rows import ArrayRows

SETTINGS: dict[str, Any] = {"seeds": [0], "n_init": 3, "max_iter": 40, "tol": 0}


class Forgetful:
    """An engine whose chunks lose their state before each call."""

    def __init__(self, data: Data, runs: int) -> None:
        self._made = lambda: local_engine(data, runs, None)
        self._engine = self._made()
        self.n, self.centering, self.device = len(data), data.centering, data.device
        self.steps = 0

    def map(self, work: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
        self.steps += work is ChunkState.step
        self._engine = self._made()
        return self._engine.map(work, *arguments)


def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each call of `nearest`."""
    from cluster.kmeans.cpu import assign_tile

    seen: list[int] = []
    nearest = assign_tile.nearest

    def counted(x: torch.Tensor, norms: torch.Tensor, *more: Any) -> Any:
        seen.append(len(norms))
        return nearest(x, norms, *more)

    monkeypatch.setattr("cluster.kmeans.cpu.assign_tile.nearest", counted)
    return seen


@pytest.mark.parametrize("k", [2, 7, 120])
@pytest.mark.parametrize("device", DEVICES)
def test_bounds_change_no_answer(k: int, device: str, monkeypatch: pytest.MonkeyPatch):
    """The same clusters, pass by pass, when every image is looked at in every pass."""
    rows = ArrayRows(blobs(1500, spread=3.0))
    bounded = kmeans(rows, k, **SETTINGS, device=device)

    def forgetting(self: Any, runs: torch.Tensor, place: slice, *more: Any) -> Any:
        return torch.ones(place.stop - place.start, dtype=torch.bool, device=device)

    monkeypatch.setattr("cluster.kmeans.hamerly_bounds.Bounds.widen", forgetting)
    plain = kmeans(rows, k, **SETTINGS, device=device)
    for left, right in zip(bounded, plain, strict=True):
        np.testing.assert_array_equal(left, right)


def test_most_images_are_not_compared_again(monkeypatch: pytest.MonkeyPatch):
    rows = ArrayRows(blobs(3000, spread=2.0))
    seen = comparisons(monkeypatch)
    fit = kmeans(rows, 100, seeds=[0], n_init=1, max_iter=100, tol=0)
    assert fit.iterations[0] > 8
    assert sum(seen) < 0.7 * len(rows) * (fit.iterations[0] + 1)


def test_a_chunk_that_lost_its_state_recomputes_it():
    rows = ArrayRows(blobs(800, spread=3.0))
    made: list[Forgetful] = []

    def make_engine(runs: int, label: np.ndarray | None) -> Engine:
        made.append(Forgetful(Data(rows, fit_centering(rows, False), "cpu"), runs))
        return made[-1]

    kept, lost = kmeans(rows, 9, **SETTINGS), kmeans(rows, 9, **SETTINGS, make_engine=make_engine)
    assert made[0].steps > 3
    for left, right in zip(kept, lost, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("cosine", [False, True])
def test_the_size_of_chunks_changes_only_rounding(cosine: bool, monkeypatch: pytest.MonkeyPatch):
    rows = ArrayRows(blobs(1000, spread=3.0) + 50)
    one = kmeans(rows, 8, **SETTINGS, cosine=cosine)
    for module in ("kmeans.chunk", "kmeans.data", "vectors.tiles"):
        monkeypatch.setattr(f"cluster.{module}.TILE", 64)
    for module in ("kmeans.chunk",):
        monkeypatch.setattr(f"cluster.{module}.CHUNK_ROWS", 256)
    many = kmeans(rows, 8, **SETTINGS, cosine=cosine)
    np.testing.assert_allclose(one.centroids, many.centroids, atol=1e-4)
    np.testing.assert_allclose(one.inertia, many.inertia, rtol=1e-6)


def test_rows_of_a_store_are_fetched_one_by_one_when_few_are_undecided():
    """With the same bytes as resident ones."""

    class Stored:
        dim = 12

        def __init__(self, x: np.ndarray) -> None:
            self._x, self.taken = x, 0

        def __len__(self) -> int:
            return len(self._x)

        def block(self, start: int, stop: int) -> np.ndarray:
            return self._x[start:stop].copy()

        def take(self, rows: np.ndarray) -> np.ndarray:
            self.taken += len(rows)
            return self._x[rows]

    x = blobs(20_000, spread=2.0)  # several tiles
    stored = Stored(x)
    settings: dict[str, Any] = {"seeds": [0], "n_init": 1, "max_iter": 60, "tol": 0}
    start = x[None, :9]
    resident = kmeans(ArrayRows(x), 9, **settings, starts=start)
    stored.taken = 0
    fetched = kmeans(stored, 9, **settings, starts=start)
    assert stored.taken > 2048
    for left, right in zip(resident, fetched, strict=True):
        np.testing.assert_array_equal(left, right)


def test_equally_far_images_are_taken_by_row_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch):
    """Empty clusters take the first of equally far images."""
    x = np.concatenate([np.zeros((40, 2)), np.tile([[0.0, 9.0]], (24, 1))]).astype(np.float32)
    starts = np.array([[[0, 0], [50, 50], [60, 60]]], np.float32)
    one = kmeans(ArrayRows(x), 3, seeds=[0], n_init=1, max_iter=1, tol=0, starts=starts)
    for module in ("kmeans.chunk", "kmeans.data", "vectors.tiles"):
        monkeypatch.setattr(f"cluster.{module}.TILE", 8)
    for module in ("kmeans.chunk",):
        monkeypatch.setattr(f"cluster.{module}.CHUNK_ROWS", 16)
    many = kmeans(ArrayRows(x), 3, seeds=[0], n_init=1, max_iter=1, tol=0, starts=starts)
    np.testing.assert_array_equal(one.centroids, many.centroids)


def test_chunks_come_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch):
    for module in ("kmeans.chunk",):
        monkeypatch.setattr(f"cluster.{module}.CHUNK_ROWS", 64)
    for module in ("kmeans.chunk", "kmeans.data"):
        monkeypatch.setattr(f"cluster.{module}.TILE", 64)
    x = blobs(200)
    engine = local_engines(ArrayRows(x), False, "cpu")(1, None)
    found = torch.stack([total for _, total in engine.map(ChunkState.moments)]).numpy()
    np.testing.assert_allclose(found, [x[i : i + 64].sum(0) for i in range(0, 200, 64)], rtol=1e-4)


def test_relocating_an_empty_cluster_is_not_convergence():
    """The cluster that moves to an image takes it in the next pass, though none moved before."""
    x = np.array([[1], [1], [1], [1], [0], [1], [2], [1], [0]], np.float32)
    starts = np.array([[[-3], [3], [8]]], np.float32)
    fit = kmeans(ArrayRows(x), 3, seeds=[0], n_init=1, max_iter=50, tol=0, starts=starts)
    distance = np.abs(x - fit.centroids[0].T).min(1)
    assert fit.inertia[0] == pytest.approx(np.square(distance).sum(), abs=1e-9)


def test_images_that_come_and_go_leave_nothing_in_a_sum():
    """All but three of very many images leave a cluster: its mean is that of the three."""
    rng = np.random.default_rng(0)
    near = rng.normal(size=(30_000, 16)).astype(np.float32) + 1
    few = (rng.normal(size=(3, 16)) * 0.01 - 40).astype(np.float32)
    x = np.concatenate([near, few])
    starts = np.stack([near.mean(0) + 60, np.full(16, 0.0)])[None].astype(np.float32)
    fit = kmeans(ArrayRows(x), 2, seeds=[0], n_init=1, max_iter=50, tol=0, starts=starts)
    own = fit.centroids[0][np.argmin(np.linalg.norm(fit.centroids[0] + 40, axis=1))]
    np.testing.assert_allclose(own, few.astype(np.float64).mean(0), rtol=1e-5)
