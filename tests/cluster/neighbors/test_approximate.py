"""Inverted lists on a GPU: what is found is as near and as much as on a CPU says."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_neighbors
from blobs import DEVICES

from cluster.neighbors import approximate
from cluster.neighbors.approximate import approximate_neighbors
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import ArrayRows

faiss = pytest.importorskip("faiss")


class OnGpu:
    """Lists of a CPU that say they are on a GPU, and refuse what a GPU refuses."""

    def __init__(self, index: Any) -> None:
        assert index.is_trained
        assert index.ntotal == 0, "they are filled there"
        self.__dict__["index"] = index

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name == "nprobe"
        assert value <= approximate.GPU_PROBES
        setattr(self.index, name, value)

    def getDevice(self) -> int:
        return 0


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU for faiss alone; every move of lists."""
    moves: list[str] = []
    for name, value in {
        "get_num_gpus": lambda: 1,
        "StandardGpuResources": SimpleNamespace,
        "index_cpu_to_gpu": lambda _, number, index: moves.append(f"to {number}") or OnGpu(index),
        "index_gpu_to_cpu": lambda index: moves.append("back") or index.index,
    }.items():
        monkeypatch.setattr(faiss, name, value, raising=False)
    monkeypatch.setattr(approximate, "fits_on_gpu", lambda numbers, device: True)
    return moves


def search(x: np.ndarray, recall: float, device: str = "cpu") -> tuple[Neighbors, float]:
    rows = ArrayRows(x)
    return approximate_neighbors(
        rows, rows, 10, metric="cosine", own=np.arange(len(x)), recall=recall, sample=300, seed=0,
        device=device,
    )  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("metric", test_neighbors.METRICS)
def test_the_recall_that_is_said_is_that_of_the_device(metric: str, device: str):
    x = ArrayRows(test_neighbors.awkward(3000))
    own = np.arange(3000)
    exact = nearest_neighbors(x, x, 10, metric=metric, own=own)
    found, recall = approximate_neighbors(
        x, x, 10, metric=metric, own=own, recall=0.9, sample=500, seed=0, device=device
    )
    same = [len(set(a) & set(b)) / 10 for a, b in zip(found.neighbor, exact.neighbor, strict=True)]
    assert recall >= 0.9
    assert np.mean(same) == pytest.approx(recall, abs=0.03)
    agree = found.neighbor == exact.neighbor
    np.testing.assert_array_equal(found.similarity[agree], exact.similarity[agree])


def test_lists_are_filled_and_searched_on_a_gpu_and_find_what_they_find_on_a_cpu(moved: list[str]):
    x = test_neighbors.vectors(3000, dim=16)
    found, share = search(x, 0.9)
    assert moved == ["to 0"]
    faiss.get_num_gpus = lambda: 0
    there, said = search(x, 0.9)
    assert moved == ["to 0"]
    assert share == said
    test_neighbors.assert_equal(found, there)


def test_more_lists_than_a_gpu_can_search_are_searched_on_the_cpu(
    moved: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(approximate, "GPU_PROBES", 8)
    x = test_neighbors.vectors(3000, dim=16)
    found, share = search(x, 1.0)
    assert moved == ["to 0", "back"]
    assert share == 1
    test_neighbors.assert_equal(found, test_neighbors.search(x, 10, "cosine"))


def test_lists_that_do_not_fit_stay_on_the_cpu(moved: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(approximate, "fits_on_gpu", lambda numbers, device: False)
    assert search(test_neighbors.vectors(600), 0.9)[1] >= 0.9
    assert not moved
