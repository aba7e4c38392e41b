"""The nearest centroid: float32 finds it, float64 decides what float32 cannot."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from blobs import DEVICES
from jaxtyping import TypeCheckError

from cluster.kernels.argmin_gpu import certified_argmin_gpu
from cluster.kernels.low_precision import MatmulPrecision
from cluster.kmeans import nearest as module
from cluster.kmeans.nearest import nearest_in_tile, prepare_centroids


def nearest(x: np.ndarray, c: np.ndarray, device: str = "cpu") -> np.ndarray:
    rows = torch.from_numpy(x).to(device)
    return nearest_in_tile(
        rows, rows.norm(dim=1), prepare_centroids(torch.from_numpy(c).to(device))
    ).cpu()


def mirrored(n: int = 400, dim: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Vectors between pairs of centroids that are equally far, but for the last bit."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(1, dim))
    side = rng.normal(size=(20, dim))
    c = np.concatenate([middle + side, middle - side])[None].astype(np.float32)
    return (middle + 1e-7 * rng.normal(size=(n, dim))).astype(np.float32), c


@pytest.mark.parametrize("device", DEVICES)
def test_float64_decides_what_float32_cannot(device: str):
    x, c = mirrored()
    exact = np.square(x[:, None].astype(np.float64) - c[0]).sum(axis=2).argmin(axis=1)
    rough = (np.square(c[0]).sum(axis=1) - 2 * x @ c[0].T).argmin(axis=1)
    assert (rough != exact).mean() > 0.05  # or the test shows nothing
    np.testing.assert_array_equal(nearest(x, c, device)[:, 0], exact)


@pytest.mark.parametrize("device", DEVICES)
def test_other_images_and_runs_change_nothing(device: str):
    """Neither other images, nor the clusters of other runs, nor the number of images."""
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


@pytest.mark.parametrize("k", [1, 2, 31, 32, 33, 200])
@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_bounds_hold_and_the_gpu_code_finds_the_same(
    k: int, arithmetic: str, monkeypatch: pytest.MonkeyPatch
):
    """The GPU code runs on the CPU here."""
    way = (
        MatmulPrecision(0.1, "bf16", None)
        if arithmetic == "bfloat16"
        else MatmulPrecision(0.0, "", None)
    )
    monkeypatch.setattr("cluster.kmeans.nearest.fast_precision", lambda device: way)
    monkeypatch.setattr("cluster.kernels.norms.fast_precision", lambda device: way)
    monkeypatch.setattr(module, "FEWEST_COLUMNS", 1)
    rng = np.random.default_rng(k)
    x, c = (rng.normal(size=size).astype(np.float32) for size in ((700, 100), (3, k, 100)))
    c[0, k // 2] = c[0, 0]  # a tie
    x[:100] = (c[1, 0] + c[1, -1]) / 2 + 1e-3 * x[:100]  # doubts
    rows, to = torch.from_numpy(x), prepare_centroids(torch.from_numpy(c))
    assert (to.scaled.dtype == torch.bfloat16) == (arithmetic == "bfloat16")
    norms = rows.norm(dim=1)
    ours = module.nearest(rows, norms, to)
    monkeypatch.setattr(
        module,
        "certified_argmin",
        lambda product, *more: certified_argmin_gpu(product.float(), *more),
    )
    off = 2.0**-8 * 2 * norms.max() * to.longest.max() * (arithmetic == "bfloat16")
    error = module._error
    monkeypatch.setattr(module, "_error", lambda *told: error(*told) + off)
    theirs = module.nearest(rows, norms, to)
    distance = np.linalg.norm(x[:, None, None].astype(np.float64) - c, axis=3)  # [image, run, k]
    nearest = distance.argmin(2)
    other = np.where(np.arange(k) == nearest[..., None], np.inf, distance).min(2)
    for found in (ours, theirs):
        np.testing.assert_array_equal(found.cluster, nearest)
        assert (found.upper.numpy() >= distance.min(2)).all()
        assert (found.upper.numpy() <= distance.min(2) + (1.5 if off else 0.1)).all()
        assert (found.lower.numpy() <= other).all()
    some = torch.tensor([650, 3, 3, 99])
    part = module.nearest(rows, norms[some], to, some)
    np.testing.assert_array_equal(part.cluster, nearest[some])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dim", [16, 128])
def test_a_centroid_that_is_far_away_makes_no_tie_of_others(device: str, dim: int):
    rng = np.random.default_rng(3)
    x, c = (rng.normal(size=size).astype(np.float32) for size in ((300, dim), (1, 40, dim)))
    c[0, -1] *= 1e6
    exact = np.square(x[:, None].astype(np.float64) - c[0]).sum(2).argmin(1)
    np.testing.assert_array_equal(nearest(x, c, device)[:, 0], exact)


@pytest.mark.skipif(find_spec("beartype") is None, reason="beartype, which checks, is not there")
def test_dtypes_and_shapes_are_checked_here():
    """In tests the annotations of cluster.kmeans are more than comments: axes have to agree."""
    x, to = torch.zeros(4, 3), prepare_centroids(torch.zeros(1, 2, 3))
    with pytest.raises(TypeCheckError, match="norms"):
        nearest_in_tile(x, torch.zeros(5), to)
    with pytest.raises(TypeCheckError, match="centroids"):
        prepare_centroids(torch.zeros(1, 2, 3, dtype=torch.float64))
