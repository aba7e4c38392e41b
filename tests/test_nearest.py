"""The nearest centroid: float32 finds it, float64 settles what float32 cannot see."""

import numpy as np
import pytest
import torch
from test_kmeans import DEVICES

from cluster.nearest import nearest_in_tile, targets


def nearest(x: np.ndarray, c: np.ndarray, device: str = "cpu") -> np.ndarray:
    rows = torch.from_numpy(x).to(device)
    return nearest_in_tile(rows, rows.norm(dim=1), targets(torch.from_numpy(c).to(device))).cpu()


def mirrored(n: int = 400, dim: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Vectors between pairs of centroids that are equally far, but for the last bit."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(1, dim))
    side = rng.normal(size=(20, dim))
    c = np.concatenate([middle + side, middle - side])[None].astype(np.float32)
    return (middle + 1e-7 * rng.normal(size=(n, dim))).astype(np.float32), c


@pytest.mark.parametrize("device", DEVICES)
def test_what_float32_cannot_tell_apart_is_settled(device: str):
    x, c = mirrored()
    exact = np.square(x[:, None].astype(np.float64) - c[0]).sum(axis=2).argmin(axis=1)
    rough = (np.square(c[0]).sum(axis=1) - 2 * x @ c[0].T).argmin(axis=1)
    assert (rough != exact).mean() > 0.05  # or the test shows nothing
    np.testing.assert_array_equal(nearest(x, c, device)[:, 0], exact)


@pytest.mark.parametrize("device", DEVICES)
def test_company_changes_nothing(device: str):
    """Neither other images, nor the clusters of other runs, nor the size of the parts."""
    rng = np.random.default_rng(1)
    x, (a, b) = mirrored(90, 33)[0], rng.normal(size=(2, 40, 33)).astype(np.float32)
    a[:20], a[20:] = mirrored(1, 33)[1][0, :20], mirrored(1, 33)[1][0, 20:]
    both = nearest(x, np.stack([a, b]), device)
    for run, c in enumerate((a, b)):
        np.testing.assert_array_equal(nearest(x, c[None], device)[:, 0], both[:, run])
    for one in (0, 50, 89):
        np.testing.assert_array_equal(nearest(x[[one]], a[None], device)[0, 0], both[one, 0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("away", [0.0, 1e4])
def test_equal_centroids_are_a_tie_and_the_lower_wins(device: str, away: float):
    rng = np.random.default_rng(2)
    c = (rng.normal(size=(7, 50)) + away).astype(np.float32)
    found = nearest(c, np.concatenate([c, c, c])[None], device)
    assert found[:, 0].tolist() == list(range(7))


def test_one_centroid_is_nearest_to_all():
    assert nearest(np.ones((5, 3), np.float32), np.zeros((2, 1, 3), np.float32)).tolist() == (
        [[0, 0]] * 5
    )
