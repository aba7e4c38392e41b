"""k-means takes the steps of a GPU, by fused kernels, and ends where it does on a CPU."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from blobs import blobs
from like_gpu import SWITCH, TF32_WAY, LikeGpu, kernels

import cluster.kmeans.nearest as module
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.chunk_messages import StepInput
from cluster.kmeans.engine import local_engines
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows

SETTINGS: dict[str, Any] = {"seeds": [0], "n_init": 1, "max_iter": 5, "tol": 0}


@pytest.fixture(params=["fused", "plain", "without kernels"])
def fused_calls(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[int]]:
    """The number of images of each fused product; of none, where the plain one is taken."""
    kernels(monkeypatch, fused=request.param != "without kernels")
    calls: list[int] = []
    fused_argmin = module.fused_argmin

    def counted(bf16: torch.Tensor, *more: Any) -> Any:
        calls.append(len(bf16))
        return fused_argmin(bf16, *more)

    monkeypatch.setattr(module, "fused_argmin", counted)
    monkeypatch.setattr(
        "cluster.kmeans.gpu.prepared_centroids.fused_is_faster", lambda *_: request.param == "fused"
    )
    monkeypatch.setattr(module, "FEWEST_DIMS", 1)
    monkeypatch.setattr(module, "FEWEST_COLUMNS", 1)
    yield calls
    assert bool(calls) == (request.param == "fused")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[LikeGpu | None]:
    if torch.cuda.is_available():
        yield None
        return
    monkeypatch.setattr("cluster.kmeans.data.fits_on_gpu", lambda numbers, device: device == "cuda")
    for user in ("kmeans.nearest", "kernels.gpu.available"):
        monkeypatch.setattr(f"cluster.{user}.fast_precision", lambda device: TF32_WAY)
    before = SWITCH.fp32_precision
    SWITCH.fp32_precision = "tf32"  # whatever others allow
    with LikeGpu() as mode:
        yield mode
    SWITCH.fp32_precision = before


def on_cpu(x: np.ndarray, k: int, **more: Any) -> Fit:
    with torch._C.DisableTorchFunction():
        return kmeans(ArrayRows(x), k, **{**SETTINGS, **more}, device="cpu")


def assert_same(gpu: Fit, cpu: Fit) -> None:
    np.testing.assert_allclose(gpu.centroids, cpu.centroids, atol=1e-5)
    np.testing.assert_array_equal(gpu.iterations, cpu.iterations)
    np.testing.assert_allclose(gpu.inertia, cpu.inertia, rtol=1e-6)


@pytest.mark.usefixtures("gpu", "fused_calls")
@pytest.mark.parametrize(("k", "rows"), [(1, 1000), (2, 50), (9, 50)])
def test_it_ends_where_it_does_on_a_cpu(k: int, rows: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.kmeans.chunk.rows_on_gpu", lambda dim: rows)
    x = blobs(120, spread=3.0)
    assert_same(kmeans(ArrayRows(x), k, **SETTINGS, device="cuda"), on_cpu(x, k))


@pytest.mark.usefixtures("gpu", "fused_calls")
def test_assignments_are_those_of_a_cpu():
    x = blobs(90, spread=3.0)
    centroids = np.stack([x[:7], x[7:14]])
    found = assign(ArrayRows(x), centroids, device="cuda")
    with torch._C.DisableTorchFunction():
        expected = assign(ArrayRows(x), centroids)
    np.testing.assert_array_equal(found.assignment, expected.assignment)
    np.testing.assert_allclose(found.distance, expected.distance, atol=1e-5)


@pytest.mark.usefixtures("gpu", "fused_calls")
def test_rows_that_do_not_fit_are_read_again(monkeypatch: pytest.MonkeyPatch):
    """Those that are undecided, one by one where they are few."""
    monkeypatch.setattr("cluster.kmeans.data.fits_on_gpu", lambda numbers, device: False)
    x = blobs(160, spread=2.0) + 50  # shifted to the origin, so that tiles are made anew
    assert_same(kmeans(ArrayRows(x), 8, **SETTINGS, device="cuda"), on_cpu(x, 8))


@pytest.mark.usefixtures("gpu", "fused_calls")
def test_images_with_a_label_stay():
    x = blobs(100, spread=2.0)
    label = np.where(np.arange(100) % 3, -1, np.arange(100) % 2)
    settings: dict[str, Any] = {**SETTINGS, "cluster_size": 30}
    gpu = sskmeans(ArrayRows(x), label, 5, **settings, device="cuda")
    with torch._C.DisableTorchFunction():
        cpu = sskmeans(ArrayRows(x), label, 5, **settings)
    assert_same(gpu, cpu)


@pytest.mark.usefixtures("gpu", "fused_calls")
def test_empty_clusters_are_relocated_and_converged_runs_leave(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.kmeans.chunk.CLUSTERS", 5)  # a run in a product
    x = blobs(100, spread=2.0)
    starts = np.stack([x[:5], x[5:10]])
    starts[0, 4] = 1e3  # wins no image
    gpu = kmeans(ArrayRows(x), 5, **SETTINGS, starts=starts, device="cuda")
    assert_same(gpu, on_cpu(x, 5, starts=starts))


@pytest.mark.parametrize("fused_calls", ["fused"], indirect=True)
def test_a_chunk_is_waited_for_four_times_whatever_its_rows(
    gpu: LikeGpu | None, fused_calls: list[int]
):
    """For how many images are undecided, how many need float64, and between which centroids, and
    how many moved."""
    if gpu is None:
        pytest.skip("only emulated GPUs count")
    for rows in (60, 240):
        x = blobs(rows, spread=3.0)
        engine = local_engines(ArrayRows(x), False, "cuda")(1, None)
        runs, c = torch.tensor([0]), torch.from_numpy(x[None, :9])
        (chunk,) = engine.chunks
        chunk.step(StepInput(runs, c, None, None))
        moved, shift = c + 0.1, torch.full((1, 9), 0.4)
        before = gpu.waits
        chunk.step(StepInput(runs, moved, c, shift))
        assert gpu.waits - before <= 4
    assert fused_calls == [60, 60, 240, 240]
