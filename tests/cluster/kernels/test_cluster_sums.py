"""Sums over clusters: in float64, in the order of the vectors, whatever the parts they come in."""

import numpy as np
import pytest
import torch

from cluster.kernels import cluster_sums as module
from cluster.kernels.cluster_sums import Sums, add_to_sums, empty_sums


def pairs(
    n: int, images: int, groups: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, 40)).astype(np.float32) * 10.0 ** rng.integers(-3, 4, (images, 1))
    image = np.sort(rng.integers(images, size=n))
    group = rng.integers(groups, size=n) * 100_000  # beyond 16 bits
    told = x.astype(np.float32), image, group, rng.choice([-1, 1], n)
    return tuple(torch.from_numpy(each) for each in told)  # type: ignore[return-value]


def in_one_loop(x: torch.Tensor, *pairs: torch.Tensor) -> Sums:
    name = torch.unique(pairs[1])
    sums = torch.zeros(len(name), x.shape[1], dtype=torch.float64)
    size = torch.zeros_like(name)
    for image, group, sign in zip(*(each.tolist() for each in pairs), strict=True):
        at = int(torch.searchsorted(name, group))
        sums[at] += sign * x[image].double()
        size[at] += sign
    return Sums(name, sums, size)


@pytest.mark.parametrize("groups", [1, 5, 400])
@pytest.mark.parametrize("bagged", [64, 4096])
def test_they_are_a_loops_to_the_bit(groups: int, bagged: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CORE_VECTORS", bagged)
    x, *told = pairs(900, 200, groups)
    whole = add_to_sums(empty_sums(x.shape[1], "cpu"), x, *told)
    for found, exact in zip(whole, in_one_loop(x, *told), strict=True):
        np.testing.assert_array_equal(found, exact)
    parts = empty_sums(x.shape[1], "cpu")
    for here in (slice(0, 7), slice(7, 500), slice(500, 900)):
        parts = add_to_sums(parts, x, *(each[here] for each in told))
    for found, exact in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(found, exact)


def test_the_gpus_way_agrees():
    """Tried here on the processor: float32 over few vectors, float64 over those."""
    x, image, group, sign = pairs(3000, 200, 7)
    order = torch.argsort(group, stable=True)
    _, size = torch.unique_consecutive(group[order], return_counts=True)
    found = module._bags(x, image[order], size.cumsum(0) - size, size, sign[order])
    exact = in_one_loop(x, image, group, sign).sums
    np.testing.assert_allclose(found, exact, atol=1e-5 * float(x.abs().max()) * 30)
