"""All, Old and New by the three ways: by hand, by brute force, and what holds between them."""

from itertools import permutations

import numpy as np
import pytest

from cluster.metrics.discovery import DISCOVERY_SCORES, discovery_scores

# Two old classes, two new ones; cluster 1 mixes old and new.
COUNTS = np.array([[8, 0, 0, 0], [2, 6, 5, 0], [0, 0, 3, 0], [0, 2, 0, 2]])
OLD = np.array([True, True, False, False])


def brute_force(counts: np.ndarray) -> list[tuple[int, ...]]:
    """Every best way to give each class a cluster of its own: the matching of a square table."""
    side = max(counts.shape)
    square = np.zeros((side, side), int)
    square[: counts.shape[0], : counts.shape[1]] = counts
    ways = {to: sum(square[to[c], c] for c in range(side)) for to in permutations(range(side))}
    best = max(ways.values())
    return [to for to, total in ways.items() if total == best]


def by_brute_force(counts: np.ndarray, old: np.ndarray) -> set[tuple[float, float, float]]:
    """All, Old and New by v2; several where several matchings are best."""
    side = max(counts.shape)
    square = np.zeros((side, side), int)
    square[: counts.shape[0], : counts.shape[1]] = counts
    size = counts.sum(axis=0)
    out = set()
    for to in brute_force(counts):
        right = np.array([square[to[c], c] for c in range(counts.shape[1])])
        shares = [
            right[part].sum() / size[part].sum() for part in (np.full(len(old), True), old, ~old)
        ]
        out.add(tuple(round(share, 12) for share in shares))
    return out


def test_a_worked_example():
    found = discovery_scores(COUNTS, OLD)
    # v2: clusters 0, 1, 2, 3 stand for classes 0, 1, 2, 3, of 10, 8, 8 and 2 images.
    assert found["all_v2"] == pytest.approx((8 + 6 + 3 + 2) / 28)
    assert found["old_v2"] == pytest.approx((8 + 6) / 18)
    assert found["new_v2"] == pytest.approx((3 + 2) / 10)
    assert found["all_v2b"] == pytest.approx((8 / 10 + 6 / 8 + 3 / 8 + 2 / 2) / 4)
    assert found["old_v2b"] == pytest.approx((8 / 10 + 6 / 8) / 2)
    assert found["new_v2b"] == pytest.approx((3 / 8 + 2 / 2) / 2)
    # v1: among the new ones alone, cluster 1 is the best for class 2.
    assert found["old_v1"] == pytest.approx((8 + 6) / 18)
    assert found["new_v1"] == pytest.approx((5 + 2) / 10)
    assert found["all_v1"] == pytest.approx((8 + 6 + 5 + 2) / 28)
    assert tuple(found) == DISCOVERY_SCORES


@pytest.mark.parametrize("clusters", [3, 4, 6])
def test_v2_equals_brute_force_with_fewer_and_with_more_clusters_than_classes(clusters: int):
    rng = np.random.default_rng(clusters)
    for _ in range(20):
        counts = rng.integers(0, 30, (clusters, 4)) + np.eye(clusters, 4, dtype=int)
        found = discovery_scores(counts, OLD)
        shares = tuple(round(found[f"{part}_v2"], 12) for part in ("all", "old", "new"))
        assert shares in by_brute_force(counts, OLD)


def test_clusters_that_are_left_over_are_wrong():
    split = np.array([[5, 0], [5, 0], [0, 10]])
    found = discovery_scores(split, np.array([True, False]))
    assert (found["all_v2"], found["old_v2"], found["new_v2"]) == (0.75, 0.5, 1.0)


def test_v1_is_never_below_v2():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = rng.integers(0, 20, (5, 4))
        found = discovery_scores(counts, OLD)
        for part in ("all", "old", "new"):
            assert found[f"{part}_v1"] >= found[f"{part}_v2"] - 1e-12


def test_the_order_of_clusters_and_of_classes_has_no_say():
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 1000, (6, 4))  # so large that no two matchings are equally good
    plain = discovery_scores(counts, OLD)
    order, classes = rng.permutation(6), rng.permutation(4)
    turned = discovery_scores(counts[order][:, classes], OLD[classes])
    assert turned == pytest.approx(plain)


def test_a_class_without_images_takes_no_part():
    counts = np.array([[4, 0, 1, 0], [1, 0, 4, 0]])
    found = discovery_scores(counts, OLD)
    assert found["all_v2b"] == pytest.approx(0.8)
    assert found["old_v2"] == found["old_v2b"] == pytest.approx(0.8)


def test_parts_without_images_have_no_score():
    found = discovery_scores(np.array([[3, 0], [0, 2]]), np.array([True, True]))
    assert found["all_v2"] == 1.0
    for way in ("v2", "v2b", "v1"):
        assert np.isnan(found[f"new_{way}"])
    assert np.isnan(list(discovery_scores(np.zeros((3, 4), int), OLD).values())).all()
