"""The graph of shared neighbours and its eigenvectors: by hand, beside scikit-learn, and broken."""

from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.cluster import SpectralClustering
from sklearn.datasets import make_blobs, make_circles
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from cluster import ClusterError
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import Spectral, eigengap_k, leading_eigenvectors, spectral

PLAIN = {"seeds": [0, 1], "n_init": 5, "max_iter": 100, "tol": 1e-4}


def nearest(x: np.ndarray, k: int) -> np.ndarray:
    """int32 [image, neighbor], without the image itself; of equal ones the lower."""
    found = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(found, np.inf)
    return np.argsort(found, axis=1, kind="stable")[:, :k].astype(np.int32)


def blobs(n: int = 300, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Groups that touch one another: their graph is connected."""
    x, y = make_blobs(n, n_features=5, centers=k, cluster_std=3.5, random_state=3)
    return x, y


def clustered(neighbor: np.ndarray, k: int, **more) -> Spectral:
    return of_graph(shared_neighbor_graph(neighbor), k, **more)


def of_graph(graph: csr_array, k: int, **more) -> Spectral:
    return spectral(leading_eigenvectors(graph, k), k, **{**PLAIN, **more})


def cliques(*sizes: int) -> csr_array:
    """Everyone of a group is joined to everyone of it, and to no other."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    joined = (group[:, None] == group).astype(float)
    np.fill_diagonal(joined, 0)
    return csr_array(joined)


def test_a_graph_worked_out_by_hand():
    """The lists {0 1 2}, {1 0 3}, {2 3 1}, {3 2 1}; 2 and 3 share all, 0 and 3 are not joined."""
    graph = shared_neighbor_graph(np.array([[1, 2], [0, 3], [3, 1], [2, 1]], np.int32))
    expected = np.array([[0, 2, 2, 0], [2, 0, 2, 2], [2, 2, 0, 3], [0, 2, 3, 0]]) / 3
    np.testing.assert_allclose(graph.toarray(), expected)


def test_the_graph_is_the_definition_pair_by_pair():
    neighbor = nearest(blobs(80)[0], 6)
    lists = [{image, *near} for image, near in enumerate(neighbor.tolist())]
    expected = np.zeros((80, 80))
    for one, other in combinations(range(80), 2):
        if one in lists[other] or other in lists[one]:
            shared = len(lists[one] & lists[other]) / 7
            expected[one, other] = expected[other, one] = shared
    graph = shared_neighbor_graph(neighbor)
    np.testing.assert_allclose(graph.toarray(), expected)
    assert graph.data.min() > 0


@pytest.mark.parametrize("cost", [1, 5000])
def test_the_size_of_the_blocks_changes_nothing(cost: int, monkeypatch: pytest.MonkeyPatch):
    neighbor = nearest(blobs()[0], 10)
    whole = shared_neighbor_graph(neighbor)
    monkeypatch.setattr("cluster.spectral.snn_graph.COST", cost)
    parts = shared_neighbor_graph(neighbor)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


@pytest.mark.parametrize(
    ("neighbor", "said"),
    [
        ([[1], [3], [0]], r"neighbours are 0 to 3, expected .* the 3 images: 0 to 2"),
        ([[1], [-1], [0]], "neighbours are -1 to 1"),
        ([[1, 2], [1, 2], [0, 1]], "neighbours of image 1 hold itself, or an image twice"),
        ([[1, 2], [0, 2], [1, 1]], "neighbours of image 2 hold itself, or an image twice"),
    ],
)
def test_a_table_that_is_none_is_refused(neighbor: list[list[int]], said: str):
    with pytest.raises(ClusterError, match=said):
        shared_neighbor_graph(np.array(neighbor, np.int32))


def test_two_rings_are_told_apart():
    """What k-means cannot do: one ring lies in the other."""
    x, y = make_circles(300, factor=0.4, noise=0.03, random_state=0)
    for assignment in clustered(nearest(x, 8), 2).assignment:
        assert adjusted_rand_score(y, assignment) == 1


def test_it_agrees_with_scikit_learn():
    x, y = blobs()
    graph = shared_neighbor_graph(nearest(x, 15))
    theirs = SpectralClustering(4, affinity="precomputed", random_state=0).fit(graph.toarray())
    for assignment in of_graph(graph, 4).assignment:
        assert adjusted_rand_score(theirs.labels_, assignment) > 0.97
        assert adjusted_rand_score(y, assignment) > 0.8


@pytest.mark.parametrize("whole", [True, False])
def test_the_eigenvectors_are_those_of_the_dense_laplacian(
    whole: bool, monkeypatch: pytest.MonkeyPatch
):
    """Solved whole, as small graphs are, and by Lanczos."""
    monkeypatch.setattr("cluster.spectral.spectral.DENSE", 200 if whole else 0)
    graph = shared_neighbor_graph(nearest(blobs(200)[0], 20))
    root = np.sqrt(graph.sum(axis=1))
    laplacian = np.eye(200) - graph.toarray() / root / root[:, None]
    found = leading_eigenvectors(graph, 6)
    assert found.component.max() == 0
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(laplacian)[:6], atol=1e-8)
    moved = laplacian @ found.vectors
    np.testing.assert_allclose(moved, found.vectors * found.eigenvalues, atol=1e-7)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(6), atol=1e-7)


@pytest.mark.parametrize("sizes", [(7, 7, 7), (12, 3, 5, 5), (2, 2, 2, 2, 2)])
def test_groups_without_a_link_are_found_exactly(sizes: tuple[int, ...]):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(0).permutation(len(groups))
    found = of_graph(cliques(*sizes)[order][:, order], len(sizes))
    for assignment in found.assignment:
        assert adjusted_rand_score(groups[order], assignment) == 1
    np.testing.assert_array_equal(found.eigenvalues, 0)
    np.testing.assert_array_equal(found.loss, 0)


def test_with_more_components_than_clusters_the_largest_stay_apart():
    """Sizes 4, 9, 6, 3: three clusters are 9, 6, and 4 with 3, which no edge places anywhere."""
    found = of_graph(cliques(4, 9, 6, 3), 3)
    assert found.assignment.tolist() == [[2] * 4 + [0] * 9 + [1] * 6 + [2] * 3] * 2
    np.testing.assert_allclose(found.loss, 4 * 3 / 7)


def test_with_fewer_components_than_clusters_the_loosest_are_split():
    """A pair of groups that hang together by one thin edge, and two groups that do not."""
    graph = cliques(8, 8, 9, 10).tolil()
    graph[0, 8] = graph[8, 0] = 0.1
    for assignment in of_graph(graph.tocsr(), 4).assignment:
        assert adjusted_rand_score(np.repeat(range(4), (8, 8, 9, 10)), assignment) == 1
    joined = leading_eigenvectors(csr_array(graph), 5)
    assert joined.eigenvalues[:3].tolist() == [0, 0, 0]
    assert 0 < joined.eigenvalues[3] < 0.01 < joined.eigenvalues[4]
    assert eigengap_k(joined.eigenvalues) == 4


@pytest.mark.parametrize("k", [1, 2, 3, 6, 20])
def test_images_without_an_edge_are_no_trouble(k: int):
    joined = np.zeros((20, 20))
    joined[3:17, 3:17] = cliques(7, 7).toarray()
    found = leading_eigenvectors(csr_array(joined), k)
    assert found.component.tolist() == [-1] * 3 + [0] * 7 + [1] * 7 + [-1] * 3
    for assignment in spectral(found, k, **PLAIN).assignment:
        assert 0 <= assignment.min() <= assignment.max() < k
        apart = k >= 2  # the two groups, wherever the others go
        assert (len(np.unique(assignment[3:17])) > 1) == apart


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_graph_without_any_edge_is_no_trouble(k: int):
    found = of_graph(csr_array((5, 5)), k)
    assert found.assignment.shape == (2, 5)
    assert found.eigenvalues.size == 0
    assert eigengap_k(found.eigenvalues) is None


@pytest.mark.parametrize("n", [2, 5, 40])
def test_every_image_can_be_a_cluster_and_all_can_be_one(n: int):
    neighbor = nearest(np.random.default_rng(0).normal(size=(n, 3)), min(n - 1, 4))
    for assignment in clustered(neighbor, n).assignment:
        assert sorted(assignment) == list(range(n))
    one = clustered(neighbor, 1)
    np.testing.assert_array_equal(one.assignment, 0)
    np.testing.assert_array_equal(one.eigenvalues, [0])


def test_one_image_is_a_cluster():
    assert clustered(np.zeros((1, 0), np.int32), 1).assignment.tolist() == [[0], [0]]


def test_images_that_are_there_many_times_are_no_trouble():
    """Thirty places, each with ten images: all neighbours are at distance 0."""
    x = np.repeat(blobs(30)[0], 10, axis=0)
    neighbor = NearestNeighbors(n_neighbors=16).fit(x).kneighbors(return_distance=False)
    found = clustered(neighbor, 4)
    for assignment in found.assignment:
        assert (assignment.reshape(30, 10) == assignment[::10, None]).all()
    assert np.isfinite(found.loss).all()


def test_the_order_of_the_images_changes_nothing_but_the_order():
    x, _ = blobs(700, 3)
    order = np.random.default_rng(1).permutation(len(x))
    straight, mixed = (shared_neighbor_graph(nearest(each, 12)) for each in (x, x[order]))
    np.testing.assert_array_equal(straight.toarray()[order][:, order], mixed.toarray())
    left, right = leading_eigenvectors(straight, 5), leading_eigenvectors(mixed, 5)
    assert left.component.max() == 0
    np.testing.assert_allclose(left.eigenvalues, right.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(left.vectors[order], right.vectors, atol=1e-5)
    np.testing.assert_array_equal(left.component[order], right.component)
    own, others = (spectral(each, 3, **PLAIN).assignment for each in (left, right))
    assert adjusted_rand_score(own[0][order], others[0]) == 1


def test_a_seed_gives_the_same_beside_any_other_seeds_and_at_any_number_of_threads():
    import torch

    graph = shared_neighbor_graph(nearest(blobs(700, 8)[0], 12))
    before, found = torch.get_num_threads(), []
    try:
        for threads, seeds in ((1, [4]), (2, [7, 4])):
            torch.set_num_threads(threads)
            found.append(of_graph(graph, 8, seeds=seeds))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0].assignment[-1], found[1].assignment[-1])
    np.testing.assert_array_equal(found[0].eigenvalues, found[1].eigenvalues)


def test_more_eigenvectors_than_k_change_no_cluster():
    graph = shared_neighbor_graph(nearest(blobs(700)[0], 12))
    few, many = leading_eigenvectors(graph, 5), leading_eigenvectors(graph, 30)
    left, right = spectral(few, 4, **PLAIN), spectral(many, 4, **PLAIN)
    np.testing.assert_array_equal(left.assignment, right.assignment)
    np.testing.assert_allclose(left.loss, right.loss, rtol=1e-5)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_largest_gap_lies_after_the_number_of_groups(k: int):
    x = make_blobs(400, n_features=8, centers=k, cluster_std=0.5, random_state=0)[0]
    graph = shared_neighbor_graph(nearest(x, 15))
    graph = graph + csr_array(np.full((400, 400), 1e-4))  # and a thin link everywhere
    assert eigengap_k(leading_eigenvectors(csr_array(graph), 12).eigenvalues) == k


@pytest.mark.parametrize(
    ("eigenvalues", "k"),
    [([0, 0.9, 1], 2), ([0, 0, 0, 0.5], 3), ([0, 0.25, 0.5, 0.75], 2), ([0, 1], None), ([], None)],
)
def test_the_eigengap_by_hand(eigenvalues: list[float], k: int | None):
    """The gap after the first is not looked at: one cluster is no answer."""
    assert eigengap_k(np.array(eigenvalues, float)) == k


def test_what_cannot_be_is_refused():
    leading = leading_eigenvectors(cliques(20), 2)
    with pytest.raises(ClusterError, match="k is 21, but there are 20 images"):
        spectral(leading, 21, **PLAIN)
    with pytest.raises(ClusterError, match="3 clusters need 3 eigenvectors, 2 are given"):
        spectral(leading, 3, **PLAIN)
    with pytest.raises(ClusterError, match="0 eigenvectors were requested"):
        leading_eigenvectors(cliques(20), 0)
