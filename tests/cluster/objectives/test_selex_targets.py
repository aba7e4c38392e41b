"""SelEx's soft targets: against a plain loop, radii, and rows whose scores are all 0."""

import numpy as np
import pytest
import torch

from cluster.objectives.selex_targets import radii, smoothing_scores, soft_targets

# Four vectors on a line: images a and b, view 0 and then view 1.
LINE = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
OTHER_VIEW = torch.tensor(np.eye(4, dtype=bool)[[2, 3, 0, 1]])


def plain_targets(
    f: np.ndarray, radius: np.ndarray, smoothing: float, by_row: bool = True
) -> np.ndarray:
    """Pair by pair in float64, with the scaling to 0..1 that the original has."""
    n = len(f)
    conf = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            far = float(np.linalg.norm(f[i] - f[j]))
            for level, of in enumerate(radius):
                conf[i, j] += 2.0**-level * (far > 2 * of[j])
    conf = (conf - conf.min()) / (conf.max() - conf.min())
    target = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            total = conf[i if by_row else j].sum()
            target[i, j] = smoothing * conf[i, j] / total + (1 - smoothing) * (
                j == (i + n // 2) % n
            )
    return target


def case(n: int = 10, dim: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(n, dim)), generator.uniform(0.1, 1.5, size=(3, n))


def ours(f: np.ndarray, radius: np.ndarray, smoothing: float, by_row: bool = True) -> np.ndarray:
    conf = smoothing_scores(torch.tensor(f).float(), torch.tensor(radius).float())
    other = torch.tensor(np.roll(np.eye(len(f), dtype=bool), len(f) // 2, axis=1))
    return soft_targets(conf, other, smoothing, by_row=by_row).numpy()


def test_a_worked_example():
    """Reach 2 at level 0 for all but vector 1, whose cluster reaches 10; reach 5 at level 1. What
    is further than 5 counts 3 / 2, what is further than 2 counts 1, if it is not vector 1; that
    is beyond reach at level 1 alone, where it counts 1 / 2."""
    radius = torch.tensor([[1, 5, 1, 1], [2.5, 2.5, 2.5, 2.5]])
    found = smoothing_scores(LINE, radius)
    expected = [[0, 0, 1, 1.5], [0, 0, 0, 1.5], [1, 0, 0, 1], [1.5, 0.5, 1, 0]]
    assert found.tolist() == expected
    target = soft_targets(found, OTHER_VIEW, 0.5, by_row=True)
    np.testing.assert_allclose(target[0], [0, 0, 0.5 + 0.5 * 0.4, 0.5 * 0.6], atol=1e-7)
    np.testing.assert_allclose(target[3], [0.25, 0.5 + 0.25 / 3, 0.5 / 3, 0], atol=1e-7)


@pytest.mark.parametrize("smoothing", [0, 0.3, 1])
def test_targets_are_a_plain_loop(smoothing: float):
    f, radius = case()
    np.testing.assert_allclose(
        ours(f, radius, smoothing), plain_targets(f, radius, smoothing), atol=1e-6
    )


def test_targets_of_the_published_code_are_divided_along_the_other_axis():
    f, radius = case()
    found = ours(f, radius, 0.7, by_row=False)
    np.testing.assert_allclose(found, plain_targets(f, radius, 0.7, by_row=False), atol=1e-6)
    assert np.abs(found - ours(f, radius, 0.7)).max() > 0.01
    assert np.abs(found.sum(axis=1) - 1).max() > 0.01, "its rows are no shares"


@pytest.mark.parametrize("smoothing", [0, 0.1, 0.5, 1])
def test_targets_are_shares_and_nothing_is_its_own(smoothing: float):
    f, radius = case(24)
    found = ours(f, radius, smoothing)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert not found.diagonal().any()
    assert (found >= 0).all()


def test_the_radius_is_that_of_the_other_images_cluster():
    """Vector 3 lies 7 from vector 0: beyond its own reach of 2, within that of vector 0, 20."""
    found = smoothing_scores(LINE, torch.tensor([[10.0, 10, 10, 1]]))
    assert (found[0, 3], found[3, 0]) == (1, 0)


def test_a_row_within_every_reach_is_left_to_the_other_view():
    within = smoothing_scores(LINE, torch.full((2, 4), 100.0))
    assert not within.any()
    assert torch.equal(soft_targets(within, OTHER_VIEW, 0.8, by_row=True), OTHER_VIEW.float())
    published = soft_targets(within, OTHER_VIEW, 0.8, by_row=False)
    np.testing.assert_allclose(published, 0.2 * OTHER_VIEW.float(), atol=1e-7)


def test_a_scale_of_features_and_radii_changes_nothing():
    f, radius = case()
    np.testing.assert_array_equal(ours(4 * f, 4 * radius, 0.5), ours(f, radius, 0.5))


def test_the_radius_is_half_the_way_to_the_nearest_other_prototype():
    found = radii(np.array([[0, 0], [3, 4], [3, 5], [3, 5]], np.float32), "cpu")
    assert found.tolist() == [2.5, 0.5, 0, 0]
    assert radii(np.ones((1, 2), np.float32), "cpu").tolist() == [np.inf]


def test_radii_of_parts_are_those_of_all(monkeypatch: pytest.MonkeyPatch):
    centroids = np.random.default_rng(0).normal(size=(23, 5)).astype(np.float32)
    whole = radii(centroids, "cpu")
    apart = np.linalg.norm(centroids[:, None] - centroids, axis=2) + 1e9 * np.eye(23)
    np.testing.assert_allclose(whole, apart.min(axis=1) / 2, rtol=1e-6)
    monkeypatch.setattr("cluster.objectives.selex_targets.CELLS", 50)
    np.testing.assert_array_equal(radii(centroids, "cpu"), whole)
