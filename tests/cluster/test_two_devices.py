"""What runs on a GPU mixes no devices, whether rows fit there and kernels are fused or not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from blobs import blobs
from like_gpu import kernels
from two_devices import GPU, TwoDevices, mark, on_gpu

from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.minibatch import minibatch_kmeans
from cluster.kmeans.semi_supervised import sskmeans
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.near_duplicates import leaders
from cluster.vectors.rows import ArrayRows

if torch.cuda.is_available():
    pytest.skip("there is a GPU, which finds that out itself", allow_module_level=True)

SETTINGS: dict[str, Any] = {"seeds": [0], "n_init": 2, "max_iter": 3, "tol": 0}
X = blobs(120, spread=3.0)
LABEL = np.where(np.arange(len(X)) % 3, -1, np.arange(len(X)) % 2)


def neighbors(metric: Any, device: str) -> Any:
    rows, own = ArrayRows(X), np.arange(len(X))
    return nearest_neighbors(rows, rows, 7, metric=metric, own=own, device=device)


METHODS: dict[str, Callable[[str], Any]] = {
    "kmeans": lambda device: kmeans(ArrayRows(X + 50), 5, **SETTINGS, device=device),
    "kmeans of directions": lambda device: kmeans(
        ArrayRows(X), 5, **SETTINGS, cosine=True, device=device
    ),
    "sskmeans": lambda device: sskmeans(
        ArrayRows(X), LABEL, 5, **SETTINGS, cluster_size=40, device=device
    ),
    "minibatch": lambda device: minibatch_kmeans(
        ArrayRows(X), 5, seeds=[0], n_init=1, epochs=2, batch=30, device=device
    ),
    "assign": lambda device: assign(ArrayRows(X), X[None, :7], label=LABEL, device=device),
    "leaders": lambda device: (leaders(ArrayRows(X), 0.5, device=device),),
    **{
        f"neighbors, {metric}": lambda device, metric=metric: neighbors(metric, device)
        for metric in ("cosine", "inner_product", "euclidean")
    },
}


def kernel_on_gpu(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that takes tensors of the GPU only. The interpreter knows no devices."""

    def checked(*told: Any) -> Any:
        assert all(on_gpu(x) for x in told if isinstance(x, torch.Tensor))
        with torch._C.DisableTorchFunction():
            found = kernel(*told)
        return mark(found, True)

    return checked


@pytest.fixture(params=["fused", "plain", "without kernels"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kernels(monkeypatch, fused=request.param != "without kernels")
    from cluster.kernels.gpu import collect, nearest3, topk_fused

    monkeypatch.setattr(nearest3, "nearest3", kernel_on_gpu(nearest3.nearest3))
    for module in (collect, topk_fused):
        monkeypatch.setattr(module, "collect", kernel_on_gpu(module.collect))
    for user in ("kmeans.gpu.prepared_centroids", "neighbors.search_on_gpu"):
        monkeypatch.setattr(f"cluster.{user}.fused_is_faster", lambda *_: request.param == "fused")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("cluster.vectors.device._free_bytes", lambda device: 2**36)
    monkeypatch.setattr("cluster.kmeans.chunk.rows_on_gpu", lambda dim: 70)
    for bound in ("FEWEST_DIMS", "FEWEST_COLUMNS"):
        monkeypatch.setattr(f"cluster.kmeans.nearest.{bound}", 1)
    with TwoDevices():
        yield


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_devices_are_not_mixed(method: str, fits: bool, monkeypatch: pytest.MonkeyPatch):
    if not fits:
        monkeypatch.setattr("cluster.vectors.device._free_bytes", lambda device: 0)
    with torch._C.DisableTorchFunction():
        expected = METHODS[method]("cpu")
    for found, right in zip(METHODS[method]("cuda"), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5, rtol=1e-6)


def test_the_emulation_refuses_what_a_gpu_refuses():
    with TwoDevices():
        ours, cpu = torch.ones(3, device="cuda"), torch.ones(3)
        wrong: list[Callable[[], Any]] = [
            lambda: ours + cpu,
            lambda: torch.cat([ours, cpu]),
            lambda: ours.numpy(),
            lambda: cpu[ours.long()],
            lambda: ours.index_select(0, cpu.long()),
            lambda: cpu * ours.sum(),
        ]
        for operation in wrong:
            with pytest.raises(AssertionError):
                operation()
        right = ours * cpu.sum(), ours[cpu.long()], cpu.to("cuda"), ours.new_zeros(2), ours[None].T
        assert all(x.is_cuda and x.device == GPU for x in right)
        assert not any(x.is_cuda for x in (ours.cpu(), ours.to("cpu"), cpu * 2))
