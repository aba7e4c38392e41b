"""Co-association: by hand, beside the dense matrix, and whatever clusters are called."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from cluster import ClusterError
from cluster.consensus.agreement import agreement
from cluster.consensus.coassociation import coassociation_graph, find_fragments
from cluster.spectral.snn_graph import shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors, spectral

RNG = np.random.default_rng(0)


def complete(n: int) -> csr_array:
    return csr_array(np.ones((n, n)) - np.eye(n))


def drawn(n: int = 60, members: int = 5, k: int = 4) -> list[np.ndarray]:
    """Clusterings that agree on most images."""
    base = RNG.integers(0, k, n)
    return [np.where(RNG.random(n) < 0.2, RNG.integers(0, k, n), base) for _ in range(members)]


def joined(graph: csr_array, clusterings: list[np.ndarray], k: int) -> np.ndarray:
    """The consensus of one seed, int32 [image]."""
    found = find_fragments(clusterings)
    small = coassociation_graph(graph, clusterings, found.fragment)
    most = min(k, len(found.size))
    fit = spectral(
        leading_eigenvectors(small, most + 1, found.size), most, seeds=[0], n_init=5, max_iter=100,
        tol=1e-4, copies=found.size,
    )  # fmt: skip
    return fit.assignment[0][found.fragment]


def neighbors(x: np.ndarray, k: int) -> csr_array:
    far = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(far, np.inf)
    return shared_neighbor_graph(np.argsort(far, axis=1)[:, :k].astype(np.int32))


def test_the_example_of_the_docstring():
    members = [np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])]
    found = find_fragments(members)
    assert (found.fragment.tolist(), found.size.tolist()) == ([0, 0, 1, 2], [2, 1, 1])
    graph = coassociation_graph(complete(4), members, found.fragment)
    # 0 and 1 are together always (both directions), 2 with each of them in half of the clusterings
    np.testing.assert_array_equal(graph.toarray(), [[2, 1, 0], [1, 0, 0.5], [0, 0.5, 0]])


@pytest.mark.parametrize("rows", [7, 1000])
def test_it_is_the_dense_co_association_of_the_edges(rows: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cluster.consensus.coassociation.ROWS", rows)
    members, graph = drawn(), neighbors(RNG.normal(size=(60, 3)), 8)
    one_hot = [np.eye(4)[own] for own in members]
    dense = sum(h @ h.T for h in one_hot) / len(members) * graph.toarray()
    every = np.arange(60, dtype=np.int32)
    found = coassociation_graph(graph, members, every)
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-12)
    fragments = find_fragments(members)
    to = np.eye(len(fragments.size))[fragments.fragment]
    small = coassociation_graph(graph, members, fragments.fragment)
    np.testing.assert_allclose(small.toarray(), to.T @ dense @ to, rtol=1e-12)
    np.testing.assert_array_equal(small.toarray(), small.toarray().T)


def test_the_numbers_of_clusters_change_nothing():
    members, graph = drawn(), neighbors(RNG.normal(size=(60, 3)), 8)
    renamed = [RNG.permutation(4)[own] for own in members]
    np.testing.assert_array_equal(joined(graph, members, 4), joined(graph, renamed, 4))


def test_the_order_of_the_members_changes_no_cluster():
    members, graph = drawn(), neighbors(RNG.normal(size=(60, 3)), 8)
    np.testing.assert_array_equal(joined(graph, members, 4), joined(graph, members[::-1], 4))


@pytest.mark.parametrize("k_neighbors", [1, 8])
def test_one_member_or_members_that_agree_are_the_consensus(k_neighbors: int):
    """Though its clusters fall apart in the graph."""
    own = RNG.integers(0, 4, 60)
    graph = neighbors(RNG.normal(size=(60, 3)), k_neighbors)
    for members in ([own], [own, (own + 1) % 4, own]):
        assert adjusted_rand_score(own, joined(graph, members, 4)) == 1


def test_it_mends_the_slips_of_its_members():
    x, y = make_blobs(300, n_features=4, centers=4, random_state=2)
    members = [np.where(RNG.random(300) < 0.25, RNG.integers(0, 4, 300), y) for _ in range(9)]
    assert adjusted_rand_score(y, joined(neighbors(x, 10), members, 4)) > 0.97


def test_overclusterings_make_few_clusters():
    x, y = make_blobs(300, n_features=4, centers=3, random_state=2)
    members = [y * 3 + RNG.integers(0, 3, 300) for _ in range(5)]
    assert adjusted_rand_score(y, joined(neighbors(x, 10), members, 3)) == 1


def test_a_graph_without_edges_and_one_image_are_no_trouble():
    members = [np.array([0, 0, 1]), np.array([0, 1, 1])]
    assert len(joined(csr_array((3, 3)), members, 2)) == 3
    assert joined(csr_array((1, 1)), [np.zeros(1, int)], 1).tolist() == [0]


def test_copies_weigh():
    found = find_fragments([np.array([0, 0, 1])], np.array([3, 1, 2]))
    assert found.size.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("members", "said"),
    [([], "none is given"), ([np.zeros(3, int), np.zeros(4, int)], "they are of 3 and 4 images")],
)
def test_members_that_cannot_be_joined_are_refused(members: list[np.ndarray], said: str):
    with pytest.raises(ClusterError, match=f"clusterings of the same images: {said}"):
        find_fragments(members)


def test_agreement_by_hand():
    """The first member calls the clusters 1 and 0; the second has three, of which 2 is in 0."""
    consensus = np.array([0, 0, 0, 1, 1])
    members = [np.array([1, 1, 0, 0, 0]), np.array([0, 2, 2, 1, 1])]
    found = agreement(consensus, members, 2, np.arange(5))
    np.testing.assert_allclose(found, [1, 1, 0.5, 1, 1])
    renamed = [np.array([5, 5, 3, 3, 3]), members[1]]
    np.testing.assert_array_equal(agreement(consensus, renamed, 2, np.arange(5)), found)


def test_a_cluster_of_others_alone_agrees_with_no_one():
    found = agreement(np.array([0, 1, 1]), [np.array([0, 1, 2])], 2, np.array([0, 1]))
    np.testing.assert_array_equal(found, [1, 1, 0])
