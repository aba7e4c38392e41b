"""Clusters by the vote of neighbours: by hand, beside scikit-learn, and in every order."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cluster import ClusterError
from cluster.neighbors.knn_vote import KnnVote, knn_vote, support


def table(
    images: int = 60, fitted: int = 40, k: int = 7, voters: int = 9, seeds: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours, similarities (some below 0) and clusters, all by chance."""
    rng = np.random.default_rng(0)
    neighbor = np.array([rng.permutation(fitted)[:voters] for _ in range(images)], np.int32)
    similarity = rng.uniform(-0.4, 1, (images, voters)).astype(np.float32)
    return neighbor, similarity, rng.integers(0, k, (seeds, fitted)).astype(np.int32)


def plainly(
    neighbor: np.ndarray, similarity: np.ndarray, cluster_of: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The definition, one image after the other."""
    out = np.zeros((len(cluster_of), len(neighbor), k))
    for seed, clusters in enumerate(cluster_of):
        for image, (near, similar) in enumerate(zip(neighbor, similarity, strict=True)):
            weight = np.maximum(similar.astype(np.float64), 0)
            weight = weight if weight.any() else np.ones(len(near))
            for voter, its in zip(near, weight, strict=True):
                out[seed, image, clusters[voter]] += its / weight.sum()
    return out.argmax(2), out.max(2)


def test_a_worked_example():
    """Voters 0 and 1 are of cluster 2, voter 2 of cluster 0: .3 + .3 against .4, and .1 + .1."""
    neighbor = np.array([[2, 0, 1], [2, 1, 0]])
    similarity = np.array([[0.4, 0.3, 0.3], [0.8, 0.1, 0.1]], np.float32)
    found = knn_vote(neighbor, similarity, np.array([[2, 2, 0]], np.int32), 3)
    assert found.assignment.tolist() == [[2, 0]]
    np.testing.assert_allclose(found.probability, [[0.6, 0.8]], rtol=1e-6)
    assert (found.assignment.dtype, found.probability.dtype) == (np.int32, np.float32)


def test_it_is_the_definition_image_by_image():
    given = table()
    cluster, share = plainly(*given, 7)
    found = knn_vote(*given, 7)
    np.testing.assert_array_equal(found.assignment, cluster)
    np.testing.assert_allclose(found.probability, share, rtol=1e-6)


def test_with_equal_similarities_it_is_scikit_learns_classifier():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(80, 4)), rng.integers(0, 5, 80)
    theirs = KNeighborsClassifier(n_neighbors=7).fit(x[:60], y[:60])
    neighbor = theirs.kneighbors(x[60:], return_distance=False)
    found = knn_vote(
        neighbor, np.ones(neighbor.shape, np.float32), y[None, :60].astype(np.int32), 5
    )
    np.testing.assert_array_equal(found.assignment[0], theirs.predict(x[60:]))
    most = theirs.predict_proba(x[60:]).max(axis=1)
    np.testing.assert_allclose(found.probability[0], most, rtol=1e-6)


def test_a_tie_goes_to_the_lower_cluster_in_any_order_of_the_voters():
    """.1 + .2 + .3 against .3 + .2 + .1: in float32, or added up in another order, no tie."""
    weight = np.array([0.1, 0.2, 0.3], np.float32)
    similarity = np.concatenate([weight, weight[::-1]])[None]
    cluster_of = np.array([[5, 5, 5, 3, 3, 3]], np.int32)
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4], [3, 4, 5, 2, 1, 0]):
        found = knn_vote(np.array([order]), similarity[:, order], cluster_of, 6)
        assert found.assignment.tolist() == [[3]]
        assert found.probability.tolist() == [[0.5]]


@pytest.mark.parametrize("similarity", [[0, 0, 0], [-0.1, -0.9, -0.2]])
def test_voters_without_weight_count_alike(similarity: list[float]):
    given = np.array([[0, 1, 2]]), np.array([similarity], np.float32)
    found = knn_vote(*given, np.array([[1, 4, 4]], np.int32), 5)
    assert found.assignment.tolist() == [[4]]
    np.testing.assert_allclose(found.probability, [[2 / 3]], rtol=1e-6)


def test_a_voter_below_zero_has_no_say_beside_one_above():
    given = np.array([[0, 1, 2]]), np.array([[0.1, -0.9, -0.9]], np.float32)
    assert knn_vote(*given, np.array([[1, 4, 4]], np.int32), 5) == KnnVote([[1]], [[1]])


@pytest.mark.parametrize("cells", [1, 7, 100])
def test_the_size_of_the_blocks_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch):
    given = table()
    own = knn_vote(*given, 7).assignment
    others = np.random.default_rng(2).integers(0, 20, own.shape)
    whole = *knn_vote(*given, 7), support(*given, own, others)
    monkeypatch.setattr("cluster.neighbors.knn_vote.CELLS", cells)
    parts = *knn_vote(*given, 7), support(*given, own, others)
    for left, right in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_great_many_clusters_cost_no_memory():
    """[image, k] of float32 would be 80 GB."""
    neighbor, similarity, cluster_of = table()
    found = knn_vote(neighbor, similarity, cluster_of * 50_000_000, 350_000_000)
    few = knn_vote(neighbor, similarity, cluster_of, 7)
    np.testing.assert_array_equal(found.assignment, few.assignment * 50_000_000)
    np.testing.assert_array_equal(found.probability, few.probability)


def test_support_is_the_share_of_the_cluster_an_image_has():
    given = table()
    found = knn_vote(*given, 7)
    many = np.full(found.assignment.shape, 99)
    share = support(*given, found.assignment, many)
    np.testing.assert_allclose(share, found.probability, rtol=1e-6)
    neighbor, similarity = np.array([[0, 1, 2]]), np.array([[0.5, 0.25, 0.25]], np.float32)
    cluster_of, own = np.array([[0, 1, 1], [2, 2, 2]]), np.array([[1], [1]])
    given = neighbor, similarity, cluster_of, own
    assert support(*given, np.array([[3], [3]])).tolist() == [[0.5], [0.0]]
    assert support(*given, np.array([[2], [0]])).tolist() == [[pytest.approx(1 / 3)], [0.0]]


def test_the_support_of_a_small_cluster_can_be_all():
    """Groups of 3 and 5 images that are nearest to one another, 6 neighbours each: of the small
    group only two can agree. Minus a distance is no weight: such votes count equally."""
    group = np.repeat([0, 1], [3, 5])
    apart = np.abs(np.arange(8.0)[:, None] - np.arange(8)) + 10 * (group[:, None] != group)
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1, kind="stable")[:, :6]
    similarity = -np.take_along_axis(apart, near, 1).astype(np.float32)
    others = np.bincount(group)[group][None] - 1
    assert (support(near, similarity, group[None], group[None], others) == 1).all()
    alone = np.arange(8)[None]
    assert (support(near, similarity, alone, alone, alone * 0) == 0).all()


def test_no_images_and_no_seeds_are_no_trouble():
    neighbor, similarity, cluster_of = table()
    assert knn_vote(neighbor[:0], similarity[:0], cluster_of, 7).assignment.shape == (3, 0)
    assert knn_vote(neighbor, similarity, cluster_of[:0], 7).probability.shape == (0, 60)


def test_arrays_that_do_not_fit_are_refused():
    neighbor, similarity, cluster_of = table()
    with pytest.raises(ClusterError, match=r"neighbours are \[60, 9\] and similarities \[60, 8\]"):
        knn_vote(neighbor, similarity[:, 1:], cluster_of, 7)
    with pytest.raises(ClusterError, match="with at least one neighbour"):
        knn_vote(neighbor[:, :0], similarity[:, :0], cluster_of, 7)
    with pytest.raises(ClusterError, match=r"there are 20 fitted images: expected 0 to 19"):
        knn_vote(neighbor, similarity, cluster_of[:, :20], 7)
    with pytest.raises(ClusterError, match="neighbours are -1 to"):
        knn_vote(np.where(neighbor == 0, -1, neighbor), similarity, cluster_of, 7)
    with pytest.raises(
        ClusterError, match=r"clusters of the fitted images are 0 to 6, expected 0 to 2"
    ):
        knn_vote(neighbor, similarity, cluster_of, 3)
    with pytest.raises(ClusterError, match="not finite"):
        knn_vote(neighbor, np.full_like(similarity, np.nan), cluster_of, 7)
