"""Neighbours by product quantisation: exact similarities, the recall that is said, odd inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster import ClusterError
from cluster.neighbors.compressed import part, search
from cluster.neighbors.compressed.codes import Codes, train_codes
from cluster.neighbors.compressed.part import Effort
from cluster.neighbors.compressed.search import compressed_neighbors
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import ArrayRows

pytest.importorskip("faiss")
METRICS = ["cosine", "inner_product", "euclidean"]
Arrays = dict[str, np.ndarray]


def vectors(n: int, dim: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, dim)) + rng.normal(size=dim)).astype(np.float32)


def found(x: np.ndarray, k: int = 10, **changes) -> tuple[Neighbors, Effort]:
    rows, own = ArrayRows(x), np.arange(len(x))
    settings = {"metric": "cosine", "recall": 0.9, "sample": 300, "seed": 0, "code_bytes": 4}
    return compressed_neighbors(rows, rows, k, own=own, **{**settings, **changes})


def exact(x: np.ndarray, metric: str = "cosine", k: int = 10) -> Neighbors:
    rows = ArrayRows(x)
    return nearest_neighbors(rows, rows, k, metric=metric, own=np.arange(len(x)))


def test_a_code_is_the_list_and_the_nearest_of_what_each_piece_had():
    """Two lists, and vectors that differ from their centroids by one of two steps in each dim: a
    code of a byte a dim tells all of them apart."""
    centroids = np.array([[0, 0], [10, 0]], np.float32)
    steps = np.array([[a, b] for a in (-1, 1) for b in (-2, 2)], np.float32)
    x = (centroids[:, None] + steps).reshape(8, 2)
    codes = Codes(**train_codes(x, centroids, 2, inner=False))
    code = codes.encode(x)
    assert code.shape == (8, 3)
    np.testing.assert_array_equal(code[:, 0], [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(code[:4, 1:], code[4:, 1:])  # what the lists leave is the same
    assert len(np.unique(code[:4, 1:], axis=0)) == 4
    codes.add(code, 100)
    np.testing.assert_array_equal(codes.search(x, 2, 1)[:, 0], np.arange(100, 108))


@pytest.mark.parametrize("inner", [False, True])
def test_lists_that_lie_in_a_file_are_searched_as_those_in_memory(tmp_path: Path, inner: bool):
    x, file = vectors(5000), tmp_path / "lists"
    codes = Codes(**train_codes(x, x[:20], 5, inner))
    codes.add(codes.encode(x), 0)
    with file.open("wb") as out:
        codes.write(out.write)
    there = Codes(codes.rotation, str(file))
    assert there.lists == 20
    np.testing.assert_array_equal(there.search(x, 4, 30), codes.search(x, 4, 30))


@pytest.mark.parametrize("metric", METRICS)
def test_the_recall_that_is_said_is_that_of_all_and_similarities_are_exact(metric: str):
    x = vectors(3000)
    x[10:30:2] = x[11:31:2]
    x[200:203] = 0
    near, effort = found(x, metric=metric)
    true = exact(x, metric)
    same = [len(set(a) & set(b)) / 10 for a, b in zip(near.neighbor, true.neighbor, strict=True)]
    assert effort.share >= 0.9
    assert np.mean(same) == pytest.approx(effort.share, abs=0.03)
    agree = near.neighbor == true.neighbor
    np.testing.assert_array_equal(near.similarity[agree], true.similarity[agree])
    assert (near.neighbor >= 0).all()


def test_all_lists_and_all_images_compared_are_the_exact_search():
    x = vectors(700)
    near, effort = found(x, recall=1.0, code_bytes=10)
    assert effort.share == 1
    true = exact(x)
    np.testing.assert_array_equal(near.neighbor[:300], true.neighbor[:300])


def test_a_recall_that_the_codes_do_not_reach_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "MOST_COMPARED", 25)
    _, effort = found(vectors(3000, 32), recall=1.0)
    assert effort.share < 1
    assert (effort.probes, effort.compared) == (11, 25)  # all lists, 3000 // 256


def test_the_effort_grows_where_more_is_found():
    """First by what finds more; where neither does, by lists."""

    def share(probes: int, compared: int) -> float:
        return 0.5 + 0.25 * (probes >= 32) + 0.125 * (compared >= 40)

    assert search._effort(share, 0.5, 100, 10, 1000) == Effort(8, 21, 0.5)
    assert search._effort(share, 0.6, 100, 10, 1000) == Effort(8, 42, 0.625)
    assert search._effort(share, 0.8, 100, 10, 1000) == Effort(32, 42, 0.875)
    assert search._effort(share, 1.0, 100, 10, 1000) == Effort(100, 1000, 0.875)


def test_the_same_bytes_at_any_number_of_threads():
    x, before, tables = vectors(2500, 12), torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            near, _ = found(x)
            tables.append(near.neighbor.tobytes() + near.similarity.tobytes())
    finally:
        torch.set_num_threads(before)
    assert tables[0] == tables[1]


def test_a_search_that_was_stopped_goes_on_and_ends_in_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(part, "SHARD", 500)
    x, kept, computed, most = vectors(1800), dict[str, Arrays](), list[str](), [3]

    def keep(name: str, compute: Callable[[], Arrays]) -> Arrays:
        if name not in kept:
            if len(computed) == most[0]:
                raise KeyboardInterrupt
            computed.append(name)
            kept[name] = compute()
        return kept[name]

    whole, _ = found(x)
    for most[0] in (3, 8):
        with pytest.raises(KeyboardInterrupt):
            found(x, keep=keep)
    most[0] = 99
    near, _ = found(x, keep=keep)
    parts = [f"{what}-{part:06}" for what in ("codes", "found") for part in range(4)]
    assert computed == ["trained", *parts[:4], "effort", *parts[4:]]  # each once
    np.testing.assert_array_equal(near.neighbor, whole.neighbor)
    np.testing.assert_array_equal(near.similarity, whole.similarity)


def test_queries_whose_lists_hold_too_few_search_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "FIRST_PROBES", 1)
    x = np.concatenate([vectors(1500), vectors(300) + 50])
    x[-12:] -= 500  # fewer than k, far from all others
    near, _ = found(x, k=20, metric="euclidean", recall=0.01)
    assert (near.neighbor >= 0).all()
    assert (np.diff(near.similarity, axis=1) <= 0).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [3, 40])
def test_few_images(n: int, metric: str):
    x = vectors(n)
    near, effort = found(x, k=2, metric=metric)
    np.testing.assert_array_equal(near.neighbor, exact(x, metric, 2).neighbor)
    assert effort.share == 1


def test_copies_and_dims_that_do_not_divide():
    x = np.zeros((600, 7), np.float32)
    x[300:] = vectors(300, 7)
    near, _ = found(x, code_bytes=5)
    assert (near.neighbor >= 0).all()
    assert (near.similarity[:300] == 1).all()  # zeros are each other's


def test_settings_that_cannot_be_are_refused_in_a_line():
    with pytest.raises(ClusterError, match="k is 30, but there are only 19 images"):
        found(vectors(20), k=30)
