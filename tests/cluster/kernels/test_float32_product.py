"""Either library's product is the product, and the faster one is taken."""

import numpy as np
import pytest
import torch

from cluster.kernels import float32_product as module
from cluster.kernels.float32_product import float32_product


@pytest.mark.parametrize("columns", [1, 3, 40])
@pytest.mark.parametrize("way", ["_by_numpy", "_by_torch"])
def test_products_are_those_of_float64(columns: int, way: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_fastest", lambda columns, dims: getattr(module, way))
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 70, generator=generator) for n in (90, columns))
    expected = x.double().numpy() @ y.double().numpy().T
    np.testing.assert_allclose(float32_product(x, y).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("slow", ["_by_numpy", "_by_torch"])
def test_the_faster_way_is_taken_and_measured_once(slow: str, monkeypatch: pytest.MonkeyPatch):
    clock, calls = [0.0], {"_by_numpy": 0, "_by_torch": 0}

    def way(name: str) -> module.Product:
        def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            calls[name] += 1
            clock[0] += 2.0 if name == slow else 1.0
            return x @ y.T

        return product

    for name in calls:
        monkeypatch.setattr(module, name, way(name))
    monkeypatch.setattr(module, "perf_counter", lambda: clock[0])
    module._fastest.cache_clear()
    try:
        for rows in (5, 6):
            float32_product(torch.ones(rows, 9), torch.ones(4, 9))
    finally:
        module._fastest.cache_clear()
    assert calls[slow] == 1 + module.TIMES
    assert sum(calls.values()) == 2 * calls[slow] + 2


def test_large_shapes_are_one_class_whose_product_is_small(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []

    def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x) * x.shape[1] * len(y))
        return torch.zeros(len(x), len(y))

    for name in ("_by_numpy", "_by_torch"):
        monkeypatch.setattr(module, name, product)
    module._fastest.cache_clear()
    try:
        for columns, dims in ((200, 2000), (20_000, 9000)):
            float32_product(torch.ones(1, dims), torch.ones(1, dims).expand(columns, -1))
        measured = sizes[: 2 * (1 + module.TIMES)]
        assert len(sizes) == len(measured) + 2  # once for both
        assert max(measured) < 2**26
    finally:
        module._fastest.cache_clear()
