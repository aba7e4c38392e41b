"""Candidates for nearest neighbours: none is missed, however imprecise the products."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from like_gpu import kernels

import cluster.neighbors.candidates
from cluster.kernels.int8_product import int8_is_fast
from cluster.kernels.low_precision import full_precision, fused_precision
from cluster.kernels.similarity import survey
from cluster.kernels.topk_cpu import capacity
from cluster.neighbors.candidates import Candidates, Queries, find_candidates
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.rerank import QueryCandidates, Targets, rerank
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import ArrayRows

EXACT = "cluster.neighbors.exact"
METRICS = ["cosine", "inner_product", "euclidean"]
PLAIN, FUSED = full_precision("cpu"), fused_precision()


class Rounded:
    """MatmulPrecision of bfloat16, or bytes, on any machine: products of rounded numbers."""

    error = 2.0**-7 + 2.0**-16
    used = 0

    def __init__(self, precision: str = "bf16") -> None:
        self.precision = precision

    def rounding(self, dim: int) -> float:
        return PLAIN.rounding(dim)

    residual = FUSED.residual

    @contextmanager
    def applied(self) -> Iterator[None]:
        self.used += 1
        yield


def vectors(n: int, dim: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dim)) + rng.normal(size=dim)).astype(np.float32)


def in_groups(n: int, dim: int = 12) -> np.ndarray:
    """Neighbours that follow one another, as images of one class do."""
    x = np.random.default_rng(0).normal(size=(5, dim)).repeat(n // 5, 0)
    return (x + 0.1 * vectors(len(x), dim)).astype(np.float32)


def awkward(n: int, dim: int = 12) -> np.ndarray:
    """Groups that only float32, or only float64, can tell apart; equal vectors; zeros."""
    x = vectors(n, dim)
    rng = np.random.default_rng(1)
    x[: n // 2] = x[0] * (1 + 1e-4 * rng.normal(size=(n // 2, dim)))
    x[10:40:2] = x[11:41:2]
    x[50:90:2] = np.nextafter(x[51:91:2], np.float32(9))
    x[90:94] = 0
    return x


def search(x: np.ndarray, k: int, metric: Any, device: str = "cpu") -> Neighbors:
    rows = ArrayRows(x)
    return nearest_neighbors(rows, rows, k, metric=metric, own=np.arange(len(x)), device=device)


def assert_equal(left: Neighbors, right: Neighbors) -> None:
    np.testing.assert_array_equal(left.neighbor, right.neighbor)
    np.testing.assert_array_equal(left.similarity, right.similarity)


def found_in(
    x: np.ndarray, among: np.ndarray, k: int, margin: float, tile: int, **more: Any
) -> Candidates:
    tiles = ((low, among[low : low + tile]) for low in range(0, len(among), tile))
    own = more.get("own", np.full(len(x), -1))
    return find_candidates(
        Queries(x, k, np.full(len(x), margin, np.float32), own),
        tiles,
        device="cpu",
        precision=more.get("precision", PLAIN),
        progress=lambda: None,
    )


def sets(found: Candidates) -> list[set[int]]:
    return [set(part.tolist()) for part in np.split(found.position, found.start[1:-1])]


@pytest.mark.parametrize("tile", [13, 100, 640, 5000])
def test_all_that_come_near_the_kth_are_candidates(tile: int):
    x, among = vectors(60), vectors(1500, seed=1)
    k, margin = 7, 0.5
    found = found_in(x, among, k, margin, tile, own=np.arange(60) * 3)
    for i, mine in enumerate(sets(found)):
        scores = among @ x[i]
        scores[3 * i] = -np.inf
        kth = np.sort(scores)[-k]
        assert mine >= set(np.flatnonzero(scores > kth - 0.99 * margin).tolist())
        assert mine <= set(np.flatnonzero(scores > kth - 1.01 * margin).tolist())
        assert found.floor[i] <= kth - 0.99 * margin
    assert not found.overflowed.any()


def test_too_many_candidates_overflow():
    x, among, k = vectors(40), vectors(2000, seed=1), 5
    found = found_in(x, among, k, 1e6, 256)
    assert found.overflowed.all()
    assert (np.diff(found.start) == capacity(k)).all()
    for i, mine in enumerate(sets(found)):
        scores = among @ x[i]
        assert mine >= set(np.argsort(-scores)[:k].tolist())
        dropped = np.delete(scores, list(mine))
        assert dropped.max() <= found.floor[i] + 1e-5
    alike = (1 + 1e-4 * among).astype(np.float32)
    imprecise = found_in(x, alike, k, 0, 256, precision=Rounded())
    assert imprecise.overflowed.all()
    assert not len(imprecise.position)


@pytest.mark.parametrize("margin", [0.3, 1e6])
@pytest.mark.parametrize("tile", [90, 640])
def test_a_gpu_takes_the_same_steps(margin: float, tile: int, monkeypatch: pytest.MonkeyPatch):
    """In torch, here on the CPU."""
    x, among, own = vectors(300), vectors(1500, seed=1), np.arange(300) - 7
    own[:7] = -1
    numpy = found_in(x, among, 9, margin, tile, own=own)
    monkeypatch.setattr(
        cluster.neighbors.candidates, "_on_cpu", cluster.neighbors.candidates._on_gpu
    )
    monkeypatch.setattr(cluster.neighbors.candidates, "cells_on_gpu", lambda device: 64 * tile)
    torchs = found_in(x, among, 9, margin, tile, own=own)
    assert sets(numpy) == sets(torchs)
    np.testing.assert_allclose(numpy.floor, torchs.floor, rtol=1e-4)
    np.testing.assert_array_equal(numpy.overflowed, torchs.overflowed)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [vectors, awkward])
def test_low_precision_changes_no_bit(
    make: Any, metric: str, precision: str, monkeypatch: pytest.MonkeyPatch
):
    x = make(700)
    if not int8_is_fast():  # its product may not be exact
        monkeypatch.setattr(
            "cluster.neighbors.operands.int8_product", lambda x, y: x.int() @ y.int().T
        )
    for k in (1, 20):
        with monkeypatch.context() as patch:
            patch.setattr(f"{EXACT}.fastest_precision", lambda device: PLAIN)
            plain = search(x, k, metric)
        rounded = Rounded(precision)
        with monkeypatch.context() as patch:
            patch.setattr(f"{EXACT}.fastest_precision", lambda device, own=rounded: own)
            assert_equal(search(x, k, metric), plain)
        assert rounded.used


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_a_gpu_has_change_no_bit(metric: str, monkeypatch: pytest.MonkeyPatch):
    """Its steps in torch, here on the CPU."""
    x = awkward(400)
    plain = search(x, 20, metric)
    kernels(monkeypatch, fused=False)
    monkeypatch.setattr("cluster.neighbors.search_on_gpu.fits_on_gpu", lambda *_: True)
    monkeypatch.setattr("cluster.neighbors.search_on_gpu.TARGETS", 150)
    monkeypatch.setattr(
        cluster.neighbors.candidates, "_on_cpu", cluster.neighbors.candidates._on_gpu
    )
    for precision in (PLAIN, Rounded()):
        monkeypatch.setattr(
            "cluster.neighbors.search_on_gpu.fast_precision", lambda device, own=precision: own
        )
        assert_equal(search(x, 20, metric), plain)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [vectors, awkward, in_groups])
def test_the_fused_product_changes_no_bit(make: Any, metric: str, monkeypatch: pytest.MonkeyPatch):
    """Its lists overflow, and are taken again; cuts rise from tile to tile."""
    x = make(200)
    plain = search(x, 7, metric)
    device = kernels(monkeypatch)
    monkeypatch.setattr("cluster.neighbors.search_on_gpu.fits_on_gpu", lambda *_: True)
    monkeypatch.setattr("cluster.neighbors.search_on_gpu.fused_is_faster", lambda *_: True)
    for name, size in (("TARGETS", 70), ("FIRST", 16), ("SECOND", 48), ("CAPACITY", 32)):
        monkeypatch.setattr(f"cluster.kernels.gpu.topk_fused.{name}", size)
    from cluster.kernels.gpu import topk_fused

    used: list[int] = []
    fused_candidates = topk_fused.fused_candidates

    def counted(query: Any, *more: Any) -> Any:
        used.append(len(query))
        return fused_candidates(query, *more)

    monkeypatch.setattr(topk_fused, "fused_candidates", counted)
    assert_equal(search(x, 7, metric, device), plain)
    assert used == [200]


def test_low_precision_that_decides_nothing_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
):
    x = (1 + 1e-3 * vectors(900)).astype(np.float32)  # all much alike
    rounded = Rounded()
    monkeypatch.setattr(f"{EXACT}.fastest_precision", lambda device: rounded)
    monkeypatch.setattr("cluster.neighbors.exact.QUERIES", 100)
    found = search(x, 3, "cosine")
    assert rounded.used == 1
    monkeypatch.setattr(f"{EXACT}.fastest_precision", lambda device: PLAIN)
    assert_equal(found, search(x, 3, "cosine"))


@pytest.mark.parametrize("metric", METRICS)
def test_ranks_and_digits_are_those_of_the_promised_sum(metric: Any):
    """Similarities that differ by the last digits of float64, and one query without candidates."""
    x = vectors(30, dim=700)
    among = np.concatenate([x[:3].repeat(20, 0), x])
    among[::3] = np.nextafter(among[::3], np.float32(9))
    rows, facts, of_x = ArrayRows(among), survey(ArrayRows(among)), survey(ArrayRows(x))
    size = np.random.default_rng(0).integers(1, 80, len(x))
    size[4] = 0
    start = np.concatenate([[0], np.cumsum(size)])
    rng = np.random.default_rng(1)
    position = np.concatenate([rng.permutation(len(among))[:n] for n in size])
    best, similarity = rerank(
        QueryCandidates(x, of_x.squares, start, position), Targets(rows, facts, metric), 5
    )
    for i, query in enumerate(x.astype(np.float64)):
        there = position[start[i] : start[i + 1]]
        y = among[there].astype(np.float64)
        if metric == "euclidean":
            exact = -np.sqrt(((y - query) ** 2).sum(-1))
        else:
            exact = (y * query).sum(-1)
        if metric == "cosine":
            exact /= np.sqrt((query * query).sum() * (y * y).sum(-1))
        order = np.lexsort((there, -exact))[:5]
        np.testing.assert_array_equal(best[i, : len(order)], there[order])
        np.testing.assert_array_equal(
            similarity[i, : len(order)].astype(np.float32), exact[order].astype(np.float32)
        )
        assert (best[i, len(order) :] == -1).all()
        assert np.isneginf(similarity[i, len(order) :]).all()
