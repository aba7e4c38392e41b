"""Thinning: exactly one of each group of near-duplicates stays, and it is the first."""

import numpy as np
import pytest
import torch

from cluster import ClusterError
from cluster.neighbors.near_duplicates import leaders
from cluster.vectors.rows import ArrayRows

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    ),
]


def frames(n: int = 200, dim: int = 5, seed: int = 0) -> np.ndarray:
    """A film: each frame is a little further from the one before, with cuts between scenes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)) * 0.2
    x[:: n // 8] = rng.normal(size=x[:: n // 8].shape) * 3
    return np.cumsum(x, axis=0).astype(np.float32)


def thin(x: np.ndarray, threshold: float, device: str = "cpu") -> list[int]:
    return leaders(ArrayRows(x), threshold, device=device).tolist()


def plain(x: np.ndarray, threshold: float) -> list[int]:
    """One image after the other, in float64."""
    x = x.astype(np.float64)
    out: list[int] = []
    for i, image in enumerate(x):
        stay = [j for j in range(i) if out[j] == j]
        length = [np.sqrt((image * image).sum() * (x[j] * x[j]).sum()) for j in stay]
        cosine = [(image * x[j]).sum() / n if n else 0 for j, n in zip(stay, length, strict=True)]
        best = max(range(len(stay)), key=lambda at: (cosine[at], -stay[at]), default=-1)
        out.append(stay[best] if best >= 0 and cosine[best] >= threshold - 1e-12 else i)
    return out


@pytest.mark.parametrize("device", DEVICES)
def test_one_of_a_pair_and_one_of_a_quadruple_stay_beside_the_singletons(device: str):
    """Of ten vectors with one pair and one quadruple, a walk that reads a row of neighbours one
    place off keeps only the four singletons."""
    x = np.eye(6, dtype=np.float32)[[0, 1, 2, 1, 3, 4, 4, 5, 4, 4]]
    assert thin(x, 0.98, device) == [0, 1, 2, 1, 4, 5, 5, 7, 5, 5]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("threshold", [0.7, 0.95, 0.99, 0.9999, 1.0])
def test_it_is_the_plain_walk(threshold: float, device: str):
    x = frames()
    x[150:160] = x[20:30]
    assert thin(x, threshold, device) == plain(x, threshold)


@pytest.mark.parametrize("threshold", [0.98, 0.99])
def test_block_size_changes_nothing(threshold: float, monkeypatch: pytest.MonkeyPatch):
    x = frames()
    whole = thin(x, threshold)
    assert 10 < len(set(whole)) < 190
    for size in (7, len(x)):
        for name in ("TILE", "LEADERS", "PAIRS"):
            monkeypatch.setattr(f"cluster.neighbors.near_duplicates.{name}", size)
        assert thin(x, threshold) == whole


def test_a_group_hangs_on_those_that_stay_not_on_a_chain():
    """At 0°, 10°, 20°, 30°: with 15° allowed the second joins the first; the third is 20° from the
    first, so it stays, and takes the fourth."""
    angle = np.deg2rad([0, 10, 20, 30])
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    assert thin(x, np.cos(np.deg2rad(15))) == [0, 0, 2, 2]


def test_an_image_joins_the_most_similar_of_those_that_stay(monkeypatch: pytest.MonkeyPatch):
    """20° and 10° from two that stay; the nearer lies in the same tile or in one before."""
    angle = np.deg2rad([0, 30, 20, 10, 15])
    x = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    for tile in (1, 2, 5):
        monkeypatch.setattr("cluster.neighbors.near_duplicates.TILE", tile)
        assert thin(x, np.cos(np.deg2rad(25)))[:4] == [0, 1, 1, 0]


def test_equal_directions_are_one_group_at_threshold_1():
    x = np.array([[1, 2, 3], [3, 6, 9], [1, 2, 3.001], [7, 14, 21]], np.float32)
    assert thin(x, 1.0) == [0, 0, 2, 0]


def test_the_threshold_itself_is_enough():
    x = np.array([[1, 0], [3, 4]], np.float32)
    assert thin(x, 0.6) == [0, 0]
    assert thin(x, 0.6001) == [0, 1]


def test_cosines_that_float32_cannot_tell_from_the_threshold():
    rng = np.random.default_rng(0)
    x = (1 + rng.integers(0, 9, (150, 6)) * 2.0**-20).astype(np.float32)
    assert thin(x, 1 - 2e-12) == plain(x, 1 - 2e-12)
    assert 1 < len(set(thin(x, 1 - 2e-12))) < 150


def test_all_equal_images_have_one_leader():
    assert thin(np.ones((9000, 3), np.float32), 0.98) == [0] * 9000


def test_vectors_of_zeros_are_like_one_another_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    """Black pictures; also those that lie in other tiles."""
    x = np.zeros((6, 3), np.float32)
    x[[0, 2]] = 1
    x[4, 1] = -0.0
    assert thin(x, 0.5) == [0, 1, 0, 1, 1, 1]
    monkeypatch.setattr("cluster.neighbors.near_duplicates.TILE", 2)
    assert thin(x, 0.5) == [0, 1, 0, 1, 1, 1]


def test_one_image_and_none():
    assert thin(np.ones((1, 3), np.float32), 0.9) == [0]
    assert thin(np.ones((0, 3), np.float32), 0.9) == []


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.0001, float("nan")])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float):
    with pytest.raises(ClusterError, match="expected a cosine above 0 and up to 1"):
        thin(frames(), threshold)


def test_features_that_are_not_finite_are_refused():
    x = frames()
    x[9, 1] = np.nan
    with pytest.raises(ClusterError, match="the features of image 9 are not finite"):
        thin(x, 0.9)


def test_progress_counts_every_image_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.neighbors.near_duplicates.TILE", 7)
    told: list[int] = []
    leaders(ArrayRows(frames()), 0.9, progress=told.append)
    assert sum(told) == 200
