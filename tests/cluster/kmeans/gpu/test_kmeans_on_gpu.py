"""k-means takes the steps of a GPU, by fused kernels, and ends where it does on a CPU."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from blobs import blobs
from like_gpu import TF32_WAY, LikeGpu, kernels

import cluster.kmeans.nearest as module
from cluster.kmeans.api import kmeans
from cluster.vectors.rows import ArrayRows

SETTINGS: dict[str, Any] = {"seeds": [0], "n_init": 2, "max_iter": 20, "tol": 0}


@pytest.fixture(params=[True, False], ids=["fused", "plain"])
def fused_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of images of each fused product; of none, where the plain one is taken."""
    kernels(monkeypatch)
    calls: list[int] = []
    fused_argmin = module.fused_argmin

    def counted(bf16: torch.Tensor, *more: Any) -> Any:
        calls.append(len(bf16))
        return fused_argmin(bf16, *more)

    monkeypatch.setattr(module, "fused_argmin", counted)
    monkeypatch.setattr(
        "cluster.kmeans.gpu.prepared_centroids.fused_is_faster", lambda *_: request.param
    )
    monkeypatch.setattr(module, "FEWEST_DIMS", 1)
    monkeypatch.setattr(module, "FEWEST_COLUMNS", 1)
    yield calls
    assert bool(calls) == request.param


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if torch.cuda.is_available():
        yield
        return
    monkeypatch.setattr("cluster.kmeans.data.fits_on_gpu", lambda numbers, device: device == "cuda")
    monkeypatch.setattr(module, "fast_precision", lambda device: TF32_WAY)
    with LikeGpu():
        yield


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("rows", [70, 1000])
@pytest.mark.parametrize("k", [1, 2, 9])
def test_it_ends_where_it_does_on_a_cpu(k, rows, fused_calls, monkeypatch):
    monkeypatch.setattr("cluster.kmeans.chunk.rows_on_gpu", lambda dim: rows)
    x = ArrayRows(blobs(180, spread=3.0))
    gpu = kmeans(x, k, **SETTINGS, device="cuda")
    with torch._C.DisableTorchFunction():
        cpu = kmeans(x, k, **SETTINGS, device="cpu")
    np.testing.assert_allclose(gpu.centroids, cpu.centroids, atol=1e-5)
    np.testing.assert_array_equal(gpu.iterations, cpu.iterations)
    np.testing.assert_allclose(gpu.inertia, cpu.inertia, rtol=1e-6)
