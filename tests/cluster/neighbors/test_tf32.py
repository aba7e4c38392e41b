"""TF32 that others switch on for all of torch reaches no answer that is promised.

torch.set_float32_matmul_precision("high") and TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1, which NVIDIA's
containers set, make a GPU cut the factors of float32 products to 10 bits. No GPU is needed here.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import test_near_duplicates
import test_neighbors
import torch
from like_gpu import SWITCH, TF32_WAY, LikeGpu, kernels

from cluster.kernels.low_precision import full_precision
from cluster.neighbors.search_on_gpu import SearchOnGpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[LikeGpu]:
    monkeypatch.setattr("cluster.neighbors.exact.fastest_precision", lambda device: TF32_WAY)
    kernels(monkeypatch, fused=False)
    monkeypatch.setattr("cluster.neighbors.candidates.cells_on_gpu", lambda device: 2**22)
    monkeypatch.setattr("cluster.neighbors.exact.search_on_gpu", lambda search, device: None)
    before = SWITCH.fp32_precision
    SWITCH.fp32_precision = "tf32"
    monkeypatch.setattr("cluster.neighbors.near_duplicates.fits_on_gpu", lambda *_: True)
    with LikeGpu() as mode:
        # Tensors say that they are a GPU's, but their device is the CPU
        monkeypatch.setattr(
            "cluster.neighbors.near_duplicates.full_precision",
            lambda device: full_precision("cuda"),
            raising=False,
        )
        yield mode
    assert SWITCH.fp32_precision == "tf32", "what others switched on is left as it was"
    SWITCH.fp32_precision = before


def narrow_cone(n: int, dim: int) -> np.ndarray:
    """Vectors of so nearly the same direction that TF32 cannot tell who is near."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=dim) + 0.01 * rng.normal(size=(n, dim))
    return x.astype(np.float32)


def test_the_emulation_cuts_products_and_the_guard_keeps_them_whole(gpu: LikeGpu):
    x = torch.from_numpy(narrow_cone(100, 96))
    true = x.double() @ x.double().T
    rough = (x @ x.T - true).abs().max()
    with full_precision("cuda").applied():
        fine = (x @ x.T - true).abs().max()
    assert fine < 1e-4 < 1e-2 < rough


@pytest.mark.parametrize("metric", test_neighbors.METRICS)
def test_neighbours_are_those_of_float64(metric: str, gpu: LikeGpu):
    x = narrow_cone(1000, 96)
    if metric == "euclidean":  # which is taken about the mean: let that be near 0
        x[::2] *= -1
    found = test_neighbors.search(x, 5, metric, device="cuda")
    expected = test_neighbors.plain(x, x, 5, metric, np.arange(len(x)))
    assert gpu.products >= 2  # those of low precision, and those of the second search
    test_neighbors.assert_equal(found, expected)


def test_neighbours_by_the_fused_product_are_those_of_float64(
    gpu: LikeGpu, monkeypatch: pytest.MonkeyPatch
):
    kernels(monkeypatch)
    monkeypatch.setattr("cluster.neighbors.exact.search_on_gpu", SearchOnGpu)
    monkeypatch.setattr("cluster.neighbors.search_on_gpu.fused_is_faster", lambda *_: True)
    x = narrow_cone(150, 96)
    found = test_neighbors.search(x, 5, "cosine", device="cuda")
    assert gpu.products >= 1  # that of the first cut
    test_neighbors.assert_equal(found, test_neighbors.plain(x, x, 5, "cosine", np.arange(len(x))))


def test_leaders_are_those_of_float64(gpu: LikeGpu, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "cluster.neighbors.near_duplicates.TILE", 128
    )  # several tiles, and leaders of those before
    x = narrow_cone(400, 96)
    threshold = float(np.quantile(np.corrcoef(x), 0.7))
    found = test_near_duplicates.thin(x, threshold, "cuda")
    assert gpu.products > 4
    assert found == test_near_duplicates.plain(x, threshold)
    assert 10 < len(set(found)) < 390


@pytest.mark.parametrize("before", ["high", "highest"])
def test_plain_products_are_float32_whatever_torch_is_told(before: str):
    now = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before)
    try:
        outside = SWITCH.fp32_precision
        with full_precision("cuda").applied():
            assert SWITCH.fp32_precision == "ieee"
        assert SWITCH.fp32_precision == outside
        assert (outside == "tf32") == (before == "high")
        assert torch.get_float32_matmul_precision() == before  # the older switch agrees again
    finally:
        torch.set_float32_matmul_precision(now)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_gpu_that_is_told_to_be_fast_gives_the_answers_of_float64():
    x = narrow_cone(1000, 96)
    threshold = float(np.quantile(np.corrcoef(x[:400]), 0.7))
    before = SWITCH.fp32_precision
    SWITCH.fp32_precision = "tf32"
    try:
        found = test_neighbors.search(x, 5, "cosine", device="cuda")
        leaders = test_near_duplicates.thin(x[:400], threshold, "cuda")
    finally:
        SWITCH.fp32_precision = before
    test_neighbors.assert_equal(found, test_neighbors.plain(x, x, 5, "cosine", np.arange(len(x))))
    assert leaders == test_near_duplicates.plain(x[:400], threshold)
