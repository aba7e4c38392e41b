"""The nearest centroid where products are fast (8 clusters, 96 dims and more): that of float64.

With few clusters or dims no product of TF32 or bfloat16 is made, so that small examples do not
reach what these do.
"""

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.kmeans.assign import assign
from cluster.kmeans.nearest import FEWEST_COLUMNS, FEWEST_DIMS
from cluster.vectors.rows import ArrayRows

SHAPES = [(8, 96), (9, 130), (50, 768), (300, 200), (1000, 97)]


def near_ties(n: int, k: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of which a third lie between two centroids, up to the last bits, and centroids of
    which some are equal."""
    rng = np.random.default_rng(k)
    c = (rng.normal(size=dim) + 0.3 * rng.normal(size=(k, dim))).astype(np.float32)
    c[k // 2] = c[1]
    x = (c[rng.integers(0, k, n)] + 0.3 * rng.normal(size=(n, dim))).astype(np.float32)
    first, second = rng.integers(0, k, (2, n // 3))
    middle = (c[first].astype(np.float64) + c[second]) / 2
    x[: n // 3] = middle * (1 + 1e-8 * rng.normal(size=(n // 3, 1)))
    return x, c


def in_float64(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    wide, of = x.astype(np.float64), c.astype(np.float64)
    distance = np.stack([np.square(wide - each).sum(1) for each in of], 1)
    return distance.argmin(1)


@pytest.mark.parametrize("told", ["highest", "high"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("k", "dim"), SHAPES)
def test_the_nearest_is_that_of_float64_whatever_torch_is_told(
    k: int, dim: int, device: str, told: str
):
    assert k >= FEWEST_COLUMNS
    assert dim >= FEWEST_DIMS
    x, c = near_ties(1500, k, dim)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(told)
    try:
        found = assign(ArrayRows(x), c[None], device=device)
    finally:
        torch.set_float32_matmul_precision(before)
    expected = in_float64(x, c)
    wide = x.astype(np.float64)
    off = [
        np.square(wide - c[of].astype(np.float64)).sum(1) for of in (found.assignment[0], expected)
    ]
    np.testing.assert_allclose(*off, rtol=1e-12)  # a tie of float64 itself is rounded either way
    clear = np.flatnonzero(np.arange(len(x)) >= len(x) // 3)
    np.testing.assert_array_equal(found.assignment[0][clear], expected[clear])
    assert not (found.assignment == k // 2).any(), "of equal centroids the lower is taken"
    np.testing.assert_allclose(found.distance[0], np.sqrt(off[1]), rtol=1e-5, atol=1e-6)
