"""The polish: beside a plain loop in float64, with copies as one point, and of odd vectors."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs

from cluster.block_model import polish as module
from cluster.block_model.information import cluster_weights
from cluster.block_model.polish import polish
from cluster.block_model.scores import log_ratio
from cluster.vectors.rows import ArrayRows
from tests.cluster.block_model.graphs import random_graph


def plainly(graph: csr_array, z: np.ndarray, own: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The recipe, image by image."""
    w, n = graph.toarray(), len(z)
    degree, z = w.sum(axis=1), z.astype(np.float64)
    z = z - z.mean(axis=0)
    x = np.column_stack([z / np.sqrt((z * z).mean()), np.ones(n)])
    fold = np.random.default_rng(seed).permutation(n) % 4
    penalty = 0.1 * np.trace(x.T @ x) / x.shape[1] * np.eye(x.shape[1])
    for _ in range(15):
        before, q = own, np.empty((n, k))
        for number in range(4):
            known = x[fold != number]
            hot = np.eye(k)[own[fold != number]]
            model = np.linalg.solve(known.T @ known + penalty, known.T @ hot)
            score = x[fold == number] @ model / 0.1
            score = np.exp(score - score.max(axis=1, keepdims=True))
            q[fold == number] = score / score.sum(axis=1, keepdims=True)
        for _ in range(3):
            ratio = log_ratio(cluster_weights(graph, own, k).weight)
            share, moved = np.bincount(own, minlength=k) / n, np.empty(n, np.int32)
            for i in range(n):
                to = np.array([w[i, own == c].sum() for c in range(k)])
                edges = 2 * (ratio @ to) / degree[i] if degree[i] else 0
                said = np.log(np.maximum(q[i], 1e-4)) - np.log(np.maximum(share, 1e-3))
                moved[i] = (edges + said).argmax()
            own = moved
        if (own != before).mean() < 1e-3:
            break
    return own


def noisy(n: int = 90, dim: int = 6) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """A graph and vectors that agree for the most part, and a start that is a quarter wrong."""
    rng = np.random.default_rng(0)
    z = make_blobs(n, dim, centers=3, cluster_std=4, random_state=0)[0].astype(np.float32)
    start = np.arange(n) % 3
    return random_graph(n), z, np.where(rng.random(n) < 0.25, rng.integers(0, 3, n), start)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_recipe_image_by_image(seed: int):
    graph, z, start = noisy()
    found = polish(graph, ArrayRows(z), start, 3, lag=1, seed=seed)
    np.testing.assert_array_equal(found, plainly(graph, z, start, 3, seed))
    assert (found != start).any()


@pytest.mark.parametrize("lag", [1, 3])
def test_blocks_and_threads_change_nothing(lag: int, monkeypatch: pytest.MonkeyPatch):
    graph, z, start = noisy()
    whole = polish(graph, ArrayRows(z), start, 3, lag=lag, seed=0)
    monkeypatch.setattr(module, "ROWS", 16)
    monkeypatch.setattr(
        module, "CELLS", 90
    )  # probabilities are computed anew when they are asked for
    monkeypatch.setattr("cluster.block_model.scores.ROWS", 7)
    monkeypatch.setattr("cluster.block_model.scores.COLUMN_CELLS", 90)
    monkeypatch.setattr("cluster.block_model.information.CELLS", 90)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    np.testing.assert_array_equal(polish(graph, ArrayRows(z), start, 3, lag=lag, seed=0), whole)


def test_vectors_that_say_nothing_leave_the_graph_its_say():
    """All equal, or one feature of zeros: q is the shares of the clusters, but for the folds."""
    clique = np.ones((6, 6)) - np.eye(6)
    graph = csr_array(np.kron(np.eye(3), clique))
    right = np.repeat(np.arange(3), 6)
    for z in (np.ones((18, 5), np.float32), np.zeros((18, 1), np.float32)):
        found = polish(graph, ArrayRows(z), right, 3, lag=1, seed=0)
        np.testing.assert_array_equal(found, right)


def test_an_image_without_an_edge_goes_where_the_vectors_say():
    graph, z, start = noisy()
    z = np.repeat(np.eye(3, dtype=np.float32), 30, 0)
    start = np.repeat(np.arange(3), 30)
    start[0] = 2
    keep = np.ones(90)
    keep[0] = 0
    alone = csr_array(graph.multiply(keep[:, None]).multiply(keep[None]))
    assert polish(alone, ArrayRows(z), start, 3, lag=1, seed=0)[0] == 0


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (3, 2), (5, 5)])
def test_few_images_are_no_crash(n: int, k: int):
    graph = csr_array(np.ones((n, n)) - np.eye(n))
    found = polish(
        graph, ArrayRows(np.eye(n, dtype=np.float32)), np.arange(n) % k, k, lag=2, seed=0
    )
    assert found.shape == (n,)
    assert set(found.tolist()) <= set(range(k))
