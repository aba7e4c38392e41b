"""Nearest neighbours: equal to a plain float64 loop and scikit-learn's, at any block and thread."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import cluster.neighbors.exact
import cluster.neighbors.exhaustive
from cluster import ClusterError
from cluster.kernels.similarity import survey
from cluster.neighbors.approximate import approximate_neighbors
from cluster.neighbors.equal_rows import count_distinct, distinct_rows, limit_equal_rows
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.hubness import hubness
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import ArrayRows, Subset

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
    ),
]
METRICS = ["cosine", "inner_product", "euclidean"]


def vectors(n: int = 300, dim: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dim)) + rng.normal(size=dim)).astype(np.float32)


def awkward(n: int = 300, seed: int = 0) -> np.ndarray:
    """Pairs, a large group of equal vectors, a group that differs by the last digit, zeros."""
    x = vectors(n, seed=seed)
    x[10:30:2] = x[11:31:2]
    x[40:140:2] = x[7]
    x[41:141:2] = np.nextafter(x[7], np.float32(9))
    x[200:203] = 0
    return x


def search(
    x: np.ndarray, k: int, metric: str, *, alone: bool = True, device: str = "cpu"
) -> Neighbors:
    """Neighbours among the vectors themselves; `alone`: each is left out of its own."""
    own = np.arange(len(x)) if alone else None
    return nearest_neighbors(ArrayRows(x), ArrayRows(x), k, metric=metric, own=own, device=device)


def plain(x: np.ndarray, among: np.ndarray, k: int, metric: str, own: np.ndarray) -> Neighbors:
    """One query after the other, in float64."""
    neighbor, similarity = [], []
    among = among.astype(np.float64)
    for i, query in enumerate(x.astype(np.float64)):
        if metric == "euclidean":
            s = -np.sqrt(((query - among) ** 2).sum(-1))
        else:
            s = (query * among).sum(-1)
        if metric == "cosine":
            lengths = np.sqrt((query * query).sum() * (among * among).sum(-1))
            s = np.where(lengths > 0, s / np.where(lengths > 0, lengths, 1), 0)
            if not query.any():
                s = (~among.any(-1)).astype(np.float64)
        order = [j for j in np.argsort(-s, kind="stable") if j != own[i]][:k]
        neighbor.append(order)
        similarity.append(s[order])
    return Neighbors(np.array(neighbor, np.int32), np.array(similarity, np.float32))


def assert_equal(left: Neighbors, right: Neighbors) -> None:
    np.testing.assert_array_equal(left.neighbor, right.neighbor)
    np.testing.assert_array_equal(left.similarity, right.similarity)


def in_blocks(patch: pytest.MonkeyPatch, size: int) -> None:
    for name in ("neighbors.exact", "neighbors.exhaustive"):
        patch.setattr(f"cluster.{name}.QUERIES", size)
        patch.setattr(f"cluster.{name}.TARGETS", size)
    patch.setattr("cluster.neighbors.candidates.ROWS", size)
    patch.setattr("cluster.neighbors.exhaustive.PAIRS", size)
    patch.setattr("cluster.kernels.similarity.READ", size)
    patch.setattr("cluster.kernels.similarity.STEP", size)
    patch.setattr("cluster.kernels.similarity.TILE", size)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [vectors, awkward])
def test_it_is_the_plain_loop(make, metric: str, device: str):
    x = make()
    for k in (1, 5, 60):
        found = search(x, k, metric, device=device)
        assert_equal(found, plain(x, x, k, metric, np.arange(len(x))))
        assert found.neighbor.dtype == np.int32
        assert found.similarity.dtype == np.float32


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_scikit_learns(metric: str):
    x, among = vectors(200), vectors(400, seed=1)
    theirs = NearestNeighbors(n_neighbors=9, metric=metric, algorithm="brute")
    distance, index = theirs.fit(among.astype(np.float64)).kneighbors(x.astype(np.float64))
    ours = nearest_neighbors(ArrayRows(x), ArrayRows(among), 9, metric=metric)
    np.testing.assert_array_equal(ours.neighbor, index)
    expected = 1 - distance if metric == "cosine" else -distance
    np.testing.assert_allclose(ours.similarity, expected, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [vectors, awkward])
def test_block_size_does_not_change_the_answer(make, metric: str, monkeypatch: pytest.MonkeyPatch):
    x = make(100) if make is vectors else make(210)
    for k in (3, 40):
        whole = search(x, k, metric)
        with monkeypatch.context() as patch:
            in_blocks(patch, 7)
            assert_equal(search(x, k, metric), whole)
        with monkeypatch.context() as patch:
            in_blocks(patch, len(x))
            assert_equal(search(x, k, metric), whole)


@pytest.mark.parametrize("metric", METRICS)
def test_threads_change_nothing(metric: str):
    x, before, found = awkward(), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(search(x, 11, metric))
    finally:
        torch.set_num_threads(before)
    for left, right in pairwise(found):
        assert_equal(left, right)


@pytest.mark.parametrize("metric", METRICS)
def test_no_row_is_its_own_neighbour_and_none_is_banned(
    metric: str, monkeypatch: pytest.MonkeyPatch
):
    """TEMI's table held each row from the second block on, and never rows 0 to 63 of a block."""
    in_blocks(monkeypatch, 7)
    x = vectors(30)
    found = search(x, 29, metric).neighbor
    for row, neighbors in enumerate(found):
        assert sorted(neighbors) == [other for other in range(30) if other != row]


def test_an_image_is_left_out_by_its_position_not_by_its_likeness():
    x = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    assert search(x, 2, "cosine").neighbor.tolist() == [[1, 3], [0, 3], [0, 1], [0, 1]]
    assert search(x, 2, "cosine", alone=False).neighbor.tolist() == [[0, 1], [0, 1], [2, 0], [0, 1]]


def test_a_worked_example():
    """From (3, 4): to (4, 3) cosine 24/25, product 24, distance √2; to (6, 8) 1, 50, 5."""
    x = np.array([[3, 4]], np.float32)
    among = np.array([[4, 3], [6, 8]], np.float32)
    expected = {
        "cosine": ([1, 0], [1, 0.96]),
        "inner_product": ([1, 0], [50, 24]),
        "euclidean": ([0, 1], [-(2**0.5), -5]),
    }
    for metric, (neighbor, similarity) in expected.items():
        found = nearest_neighbors(ArrayRows(x), ArrayRows(among), 2, metric=metric)
        assert found.neighbor.tolist() == [neighbor]
        np.testing.assert_array_equal(found.similarity, np.array([similarity], np.float32))


@pytest.mark.parametrize("metric", METRICS)
def test_one_store_in_another(metric: str):
    x, among = awkward(120), awkward(500, seed=5)
    found = nearest_neighbors(ArrayRows(x), ArrayRows(among), 20, metric=metric)
    assert_equal(found, plain(x, among, 20, metric, np.full(len(x), -1)))


@pytest.mark.parametrize("metric", METRICS)
def test_all_images_among_those_of_a_split(metric: str):
    x = awkward(150)
    train = np.flatnonzero(np.arange(150) % 3 > 0)
    own = np.full(150, -1)
    own[train] = np.arange(len(train))
    found = nearest_neighbors(ArrayRows(x), Subset(ArrayRows(x), train), 12, metric=metric, own=own)
    assert_equal(found, plain(x, x[train], 12, metric, own))


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_that_float32_cannot_tell_apart(metric: str):
    """Far from the origin, and nearer to one another than float32 products say."""
    rng = np.random.default_rng(0)
    x = (1 + rng.integers(0, 50, (200, 6)) * 2.0**-22).astype(np.float32)
    assert_equal(search(x, 9, metric), plain(x, x, 9, metric, np.arange(200)))


def test_two_far_groups_keep_their_inner_order():
    x = vectors(200, dim=4)
    x[::2] += np.float32(30_000)
    found = search(x, 9, "euclidean")
    assert_equal(found, plain(x, x, 9, "euclidean", np.arange(200)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factor", [2.0**-60, 2.0**40])
def test_scale_changes_no_neighbour(metric: str, factor: float):
    x = vectors(100)
    large = search(x * np.float32(factor), 7, metric)
    np.testing.assert_array_equal(search(x, 7, metric).neighbor, large.neighbor)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_very_many_equal_images_end_in_the_first_ones(metric: str, value: float):
    """Compared pair by pair, these would take minutes."""
    x = np.full((30_000, 16), value, np.float32)
    found = search(x, 3, metric).neighbor
    assert found[:5].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert (found[4:] == [0, 1, 2]).all()


def test_zeros_are_nearest_to_zeros_and_equally_near_to_all_others():
    x = vectors(5000, dim=4)
    x[::2] = 0
    found = search(x, 3, "cosine")
    assert found.neighbor[:6:2].tolist() == [[2, 4, 6], [0, 4, 6], [0, 2, 6]]
    assert (found.neighbor[6::2] == [0, 2, 4]).all()
    assert (found.similarity[::2] == 1).all()
    few = vectors(100)
    few[[3, 50]] = 0
    found = search(few, 4, "cosine")
    assert found.neighbor[[3, 50]].tolist() == [[50, 0, 1, 2], [3, 0, 1, 2]]
    assert found.similarity[3].tolist() == [1, 0, 0, 0]


def test_distinct_vectors_are_the_same_in_any_order_of_the_rows():
    x = awkward()
    order = np.random.default_rng(1).permutation(len(x))
    first, vector = distinct_rows(ArrayRows(x), survey(ArrayRows(x)).code)
    np.testing.assert_array_equal(x[first][vector], x)
    assert len(first) == len(np.unique(x, axis=0))
    mixed = distinct_rows(ArrayRows(x[order]), survey(ArrayRows(x[order])).code)
    np.testing.assert_array_equal(x[order][mixed.first], x[first])
    np.testing.assert_array_equal(mixed.vector, vector[order])


def test_different_vectors_of_one_code_stay_apart():
    x = np.array([1, 2, 1], np.float32)[:, None]
    found = distinct_rows(ArrayRows(x), np.zeros(3, np.uint64))
    assert (found.first.tolist(), found.vector.tolist()) == ([0, 1, 2], [0, 1, 2])


def test_distinct_vectors_are_counted_no_further_than_is_asked():
    x = np.repeat(vectors(30), 1000, 0)
    assert count_distinct(ArrayRows(x), 31) == 30
    assert count_distinct(ArrayRows(x), 12) == 12
    assert count_distinct(ArrayRows(np.zeros((0, 3))), 5) == 0


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_very_many_that_have_nothing_in_common_are_taken_in_order(
    metric: str, monkeypatch: pytest.MonkeyPatch
):
    """Like the features behind a ReLU. Not compared pair by pair: those would be 1200 x 1200."""
    pairs: list[int] = []
    exact = cluster.neighbors.exhaustive.similarities
    monkeypatch.setattr(
        "cluster.neighbors.exhaustive.similarities", lambda *a: pairs.append(len(a[2])) or exact(*a)
    )
    x = np.eye(400, dtype=np.float32)[np.random.default_rng(0).permutation(1200) % 400]
    assert_equal(search(x, 5, metric), plain(x, x, 5, metric, np.arange(1200)))
    assert sum(pairs) < 12 * 1200


def test_a_repeat_is_left_out_after_as_many_as_anyone_can_need():
    x = np.array([1, 2, 1, 1, -0.0, 1, 0, 2], np.float32)[:, None]
    same = (x == x.T).argmax(1).astype(np.uint64)
    assert limit_equal_rows(ArrayRows(x), same, 2).tolist() == [0, 1, 2, 4, 6, 7]
    assert limit_equal_rows(ArrayRows(x), same, 4).tolist() == list(range(8))


def test_equal_codes_of_other_vectors_leave_nothing_out():
    x = np.array([1, 2, 1, 1], np.float32)[:, None]
    assert limit_equal_rows(ArrayRows(x), np.zeros(4, np.uint64), 1).tolist() == [0, 1, 2, 3]


def test_k_at_its_limits():
    x = vectors(257)
    assert search(x, 256, "cosine").neighbor.shape == (257, 256)
    assert search(x[:2], 1, "cosine").neighbor.tolist() == [[1], [0]]
    assert search(x[:2], 2, "cosine", alone=False).neighbor.shape == (2, 2)


@pytest.mark.parametrize(
    ("n", "k", "told"),
    [
        (300, 0, "k is 0, expected 1 to 256"),
        (300, 257, "k is 257, expected 1 to 256"),
        (10, 10, "k is 10, but there are only 9 images to be neighbours"),
    ],
)
def test_a_k_that_cannot_be_is_refused(n: int, k: int, told: str):
    with pytest.raises(ClusterError, match=told):
        search(vectors(n), k, "cosine")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_image_whose_features_are_not_finite_is_named(value: float):
    x = vectors(50)
    x[[20, 17], 3] = value
    with pytest.raises(ClusterError, match="the features of image 17 are not finite"):
        search(x, 3, "cosine")


def test_features_of_two_widths_are_refused():
    with pytest.raises(ClusterError, match="vectors of 4 dims are searched among vectors of 5"):
        nearest_neighbors(ArrayRows(vectors(9, 4)), ArrayRows(vectors(9, 5)), 2, metric="cosine")


def test_progress_counts_every_image_once(monkeypatch: pytest.MonkeyPatch):
    in_blocks(monkeypatch, 7)
    told: list[int] = []
    x = ArrayRows(vectors(100))
    nearest_neighbors(x, x, 3, metric="cosine", progress=told.append)
    assert sum(told) == 100


def test_doubt_is_rare_where_neighbours_differ(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    again = cluster.neighbors.exact.search_float64
    monkeypatch.setattr(
        "cluster.neighbors.exact.search_float64",
        lambda queries, *rest: asked.append(len(queries.rows)) or again(queries, *rest),
    )
    for metric in METRICS:
        search(vectors(1000, dim=64), 10, metric)
    assert max(asked) < 20


@pytest.mark.parametrize("metric", METRICS)
def test_the_approximate_engine_says_how_much_it_finds(metric: str):
    x = ArrayRows(awkward(3000))
    own = np.arange(3000)
    exact = nearest_neighbors(x, x, 10, metric=metric, own=own)
    found, recall = approximate_neighbors(
        x, x, 10, metric=metric, own=own, recall=0.9, sample=500, seed=0
    )
    same = [len(set(a) & set(b)) / 10 for a, b in zip(found.neighbor, exact.neighbor, strict=True)]
    assert recall >= 0.9
    assert np.mean(same) == pytest.approx(recall, abs=0.03)
    assert not (found.neighbor == own[:, None]).any()
    assert (np.diff(found.similarity) <= 0).all()
    agree = found.neighbor == exact.neighbor
    np.testing.assert_array_equal(found.similarity[agree], exact.similarity[agree])


def test_the_approximate_engine_looks_everywhere_when_all_is_wanted():
    x = ArrayRows(vectors(1000))
    found, recall = approximate_neighbors(
        x, x, 5, metric="euclidean", own=np.arange(1000), recall=1.0, sample=1000, seed=0
    )
    assert recall == 1.0
    assert_equal(found, search(x.array, 5, "euclidean"))


def test_hubness_of_a_worked_example():
    """Image 0 is everyone's neighbour: occurrences 3 1 0 0, mean 1, third moment 6/4, variance
    6/4, so the skewness is 1.5 / 1.5^1.5."""
    found = hubness(np.array([[1], [0], [0], [0]]), 4)
    assert found.skewness == pytest.approx(1.5**-0.5)
    assert found.largest == 3
    assert found.antihubs == 0.5


def test_equal_occurrences_have_no_hubs():
    found = hubness(np.array([[1], [0]]), 2)
    assert found == (0.0, 1, 0.0)
