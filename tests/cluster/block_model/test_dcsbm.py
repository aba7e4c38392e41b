"""Starts and their best: blobs are found, copies count, odd graphs and few images go through."""

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from cluster.block_model.ascent import ascend
from cluster.block_model.balanced_start import balanced_clusters
from cluster.block_model.dcsbm import Found, best_ascent, polished
from cluster.block_model.nearest_candidates import nearest_candidates
from cluster.block_model.starts import Source, eigenvectors_for, starts
from cluster.spectral.distinct_points import weighted_graph
from cluster.spectral.snn_graph import jaccard_graph, shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors
from cluster.vectors.rows import ArrayRows, Subset

PLAIN = {"n_init": 1, "max_iter": 50, "tol": 1e-4, "most": 64, "sweeps": 20}


def nearest(x: np.ndarray, k: int) -> np.ndarray:
    found = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(found, np.inf)
    return np.argsort(found, axis=1, kind="stable")[:, :k].astype(np.int32)


def blobs(n: int = 150, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_blobs(n, n_features=5, centers=k, cluster_std=2.0, random_state=3)
    return x.astype(np.float32), y


def found_in(
    graph: csr_array, x: np.ndarray, k: int, copies: np.ndarray | None = None, lag: int = 2
) -> Found:
    leading = leading_eigenvectors(graph, eigenvectors_for(k, 64), copies)
    source = Source(graph, leading, ArrayRows(x), copies)
    nine = starts(source, k, seed=0, lag=lag, **PLAIN)
    best = best_ascent(graph, nine, k, lag=lag, seed=0, sweeps=20)
    return polished(graph, ArrayRows(x), best.assignment, k, lag=lag, seed=0, copies=copies)


def test_the_weight_is_the_overlap_over_the_union():
    """As in the graph by hand of test_spectral: overlaps of 2 and 3 in lists of 3."""
    graph = jaccard_graph(np.array([[1, 2], [0, 3], [3, 1], [2, 1]], np.int32)).toarray()
    expected = np.array([[0, 2, 2, 0], [2, 0, 2, 2], [2, 2, 0, 4], [0, 2, 4, 0]]) / 4
    np.testing.assert_allclose(graph, expected)
    assert (shared_neighbor_graph(nearest(blobs()[0], 8)).toarray() > 0).sum() > 0


def test_candidates_are_ranked_by_their_inner_products():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)).astype(np.float32)
    table = np.stack([rng.permutation(40)[:15] for _ in range(40)]).astype(np.int32)
    product = np.take_along_axis(x.astype(np.float64) @ x.T.astype(np.float64), table, 1)
    order = np.argsort(-product, axis=1, kind="stable")[:, :5]
    expected = np.take_along_axis(table, order, 1)
    for rows in (ArrayRows(x), Subset(ArrayRows(x), np.arange(40))):
        np.testing.assert_array_equal(nearest_candidates(rows, table, 5), expected)
    assert nearest_candidates(ArrayRows(x), table[:, :3], 5).shape == (40, 3)


def test_blobs_are_found_from_every_start_and_by_their_best():
    x, y = blobs()
    graph = jaccard_graph(nearest(x, 10))
    leading = leading_eigenvectors(graph, eigenvectors_for(4, 64))
    nine = starts(Source(graph, leading, ArrayRows(x)), 4, seed=0, lag=1, **PLAIN)
    assert len(nine) == 9
    for start in nine:
        own = start()
        assert own.shape == (150,)
        assert adjusted_rand_score(y, own) > 0.5
    assert adjusted_rand_score(y, found_in(graph, x, 4).assignment) > 0.95


def test_a_run_that_was_stopped_goes_on_to_the_same():
    x, _ = blobs()
    graph = jaccard_graph(nearest(x, 10))
    leading = leading_eigenvectors(graph, 30)
    nine = starts(Source(graph, leading, ArrayRows(x)), 4, seed=0, lag=1, **PLAIN)
    states = []
    whole = best_ascent(
        graph, nine, 4, lag=1, seed=0, sweeps=9, checkpoint=lambda state: states.append(state())
    )
    assert [int(state["at"]) for state in states] == list(range(1, 10))
    for state in states:
        again = best_ascent(graph, nine, 4, lag=1, seed=0, sweeps=9, resume=state)
        np.testing.assert_array_equal(again.assignment, whole.assignment)
        assert again.information == whole.information


def test_starts_at_once_give_what_they_give_one_after_another(monkeypatch: pytest.MonkeyPatch):
    x, _ = blobs()
    graph = jaccard_graph(nearest(x, 10))
    leading = leading_eigenvectors(graph, 30)
    nine = starts(Source(graph, leading, ArrayRows(x)), 4, seed=0, lag=2, **PLAIN)

    def states_of(at_once: bool) -> list[dict[str, np.ndarray]]:
        states: list[dict[str, np.ndarray]] = []
        best_ascent(
            graph, nine, 4, lag=2, seed=0, sweeps=9, at_once=at_once,
            checkpoint=lambda state: states.append(state()),
        )  # fmt: skip
        return states

    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    expected, found = states_of(False), states_of(True)
    assert len(found) == 9
    for one, other in zip(expected, found, strict=True):
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)


def test_the_short_ascent_of_finer_clusters_takes_no_more_sweeps_than_are_allowed(
    monkeypatch: pytest.MonkeyPatch,
):
    x, _ = blobs()
    graph = jaccard_graph(nearest(x, 10))
    source = Source(graph, leading_eigenvectors(graph, 30), ArrayRows(x))
    asked: list[int] = []

    def counted(*args: object, sweeps: int, **more: object) -> object:
        asked.append(sweeps)
        return ascend(*args, sweeps=sweeps, **more)

    monkeypatch.setattr("cluster.block_model.starts.ascend", counted)
    for start in starts(source, 4, seed=0, lag=1, **{**PLAIN, "sweeps": 2}):
        start()
    for start in starts(source, 4, seed=0, lag=1, **{**PLAIN, "sweeps": 60}):
        start()
    assert asked == [2, 2, 15, 15]


def test_copies_as_one_point_are_told_apart_as_before():
    x, y = blobs(90, 3)
    copies = np.random.default_rng(0).integers(1, 4, 90)
    graph = weighted_graph(jaccard_graph(nearest(x, 8)), copies)
    assert adjusted_rand_score(y, found_in(graph, x, 3, copies).assignment) > 0.9


def test_a_balanced_start_divides_a_line_evenly(monkeypatch: pytest.MonkeyPatch):
    """From centroids that lie at one end."""
    x = np.linspace(0, 1, 120, dtype=np.float32)[:, None]
    own = balanced_clusters(x, np.array([[0.0], [0.05], [0.1]], np.float32))
    assert np.bincount(own, minlength=3).min() >= 35
    twice = balanced_clusters(x, np.array([[0.0], [0.05], [0.1]], np.float32), np.full(120, 2))
    np.testing.assert_array_equal(own, twice)
    monkeypatch.setattr("cluster.block_model.balanced_start.SAMPLE", 60)
    sampled = balanced_clusters(x, np.array([[0.0], [0.05], [0.1]], np.float32))
    assert np.bincount(sampled, minlength=3).min() >= 30
    one = balanced_clusters(np.ones((4, 2), np.float32), np.ones((1, 2), np.float32))
    assert one.tolist() == [0] * 4


def test_parts_without_a_link_more_and_fewer_than_the_clusters():
    clique = np.ones((6, 6)) - np.eye(6)
    graph = csr_array(block_diag([clique] * 3))
    parts = np.repeat(np.arange(3), 6)
    x = np.eye(3, dtype=np.float32)[parts] + np.arange(18, dtype=np.float32)[:, None] / 1e3
    assert adjusted_rand_score(parts, found_in(graph, x, 3).assignment) == 1
    assert set(found_in(graph, x, 2).assignment.tolist()) <= {0, 1}
    assert set(found_in(graph, x, 5).assignment.tolist()) <= set(range(5))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (3, 2), (12, 1), (12, 12)])
def test_few_images_one_cluster_and_as_many_clusters_as_images(n: int, k: int):
    x = np.random.default_rng(0).normal(size=(n, 1)).astype(np.float32)
    graph = jaccard_graph(nearest(x, min(4, n - 1)))
    found = found_in(graph, x, k)
    assert found.assignment.shape == (n,)
    assert set(found.assignment.tolist()) <= set(range(k))
    assert found.information >= 0
