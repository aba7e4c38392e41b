"""Words for clusters: TAC's filter on paper and by plain loops, and probabilities of clusters."""

import numpy as np
import pytest
from blobs import DEVICES

from cluster.naming import filter_words as filtering
from cluster.naming.filter_words import filter_words
from cluster.naming.word_probabilities import cluster_means, word_probabilities
from cluster.vectors.rows import ArrayRows

RNG = np.random.default_rng(0)


def plain(centers: np.ndarray, words: np.ndarray, keep: int) -> list[int]:
    """The same, a word at a time in float64."""
    s, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (centers, words))
    found: dict[int, list[tuple[float, float, int]]] = {}
    for w, word in enumerate(t.astype(np.float64)):
        cosine = s.astype(np.float64) @ word
        share = np.exp(cosine) / np.exp(cosine).sum()
        best = int(share.argmax())
        found.setdefault(best, []).append((-share[best], -cosine[best], w))
    return sorted(w for own in found.values() for _, _, w in sorted(own)[:keep])


def test_a_worked_example_of_the_filter():
    """Centres to the right and up. Word 0 is right, 1 up, 2 between them but more right: e^.8 of
    e^.8 + e^.6 = 55 %. Word 3 is left, nearer to up: 1 / (1 + 1/e) = 73 %, as 0 is of right."""
    centers = np.array([[2, 0], [0, 1]], np.float32)
    words = np.array([[1, 0], [0, 3], [0.8, 0.6], [-1, 0]], np.float32)
    assert filter_words(centers, words, 1).tolist() == [0, 1]
    # Of equal shares the more similar word: 1, whose cosine with up is 1, not 0
    assert filter_words(centers, words, 2).tolist() == [0, 1, 2, 3]


def test_the_filter_is_that_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch):
    centers = RNG.normal(size=(7, 16)).astype(np.float32)
    words = RNG.normal(size=(300, 16)).astype(np.float32)
    expected = plain(centers, words, 5)
    assert filter_words(centers, words, 5).tolist() == expected
    assert filter_words(centers * 3, words / 7, 5).tolist() == expected, "lengths say nothing"
    monkeypatch.setattr(filtering, "BLOCK", 11)
    assert filter_words(centers, words, 5).tolist() == expected
    order = RNG.permutation(7)
    assert filter_words(centers[order], words, 5).tolist() == expected, "clusters have no order"


def test_one_cluster_keeps_the_words_that_are_most_like_it():
    words = RNG.normal(size=(50, 4)).astype(np.float32)
    center = RNG.normal(size=(1, 4)).astype(np.float32)
    cosine = (words @ center[0]) / np.linalg.norm(words, axis=1)
    assert filter_words(center, words, 3).tolist() == sorted(np.argsort(-cosine)[:3].tolist())


@pytest.mark.parametrize("words", [0, 1, 3])
def test_few_words_are_all_kept(words: int):
    found = filter_words(np.eye(2, 3, dtype=np.float32), np.ones((words, 3), np.float32), 5)
    assert found.tolist() == list(range(words))


def test_probabilities_of_a_worked_example():
    """Logits 0 and log 3: one word has three quarters. A cluster of two images has their mean, one
    of none has nothing."""
    x = np.array([[0.0], [1.0], [1.0]], np.float32)
    weight, bias = np.array([[0], [np.log(9)]], np.float32), np.array([np.log(3), 0], np.float32)
    found = word_probabilities(ArrayRows(x), np.array([0, 0, 2]), 3, weight, bias)
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 0], [0.25, 0.75]], atol=1e-6)


def test_probabilities_are_those_of_plain_sums_whatever_the_tile(monkeypatch: pytest.MonkeyPatch):
    x = RNG.normal(size=(101, 8)).astype(np.float32)
    words = RNG.normal(size=(13, 8)).astype(np.float32)
    cluster = RNG.integers(0, 4, 101)
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True).astype(np.float64) for a in (x, words)]
    logits = unit[0] @ unit[1].T / 0.05
    each = np.exp(logits - logits.max(1, keepdims=True))
    each /= each.sum(1, keepdims=True)
    expected = np.stack([each[cluster == c].mean(0) for c in range(4)])

    def found() -> np.ndarray:
        return word_probabilities(ArrayRows(x), cluster, 4, words, temperature=0.05, unit=True)

    whole = found()
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-5)
    monkeypatch.setattr("cluster.vectors.tiles.TILE", 10)
    np.testing.assert_allclose(found(), whole, atol=1e-7)


def test_the_mean_of_a_cluster_counts_directions_not_lengths():
    x = np.array([[5, 0], [0, 1], [0, 0]], np.float32)
    found = cluster_means(ArrayRows(x), np.array([0, 0, 1]), 3)
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 0], [0, 0]])


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_gives_what_a_cpu_gives(device: str):
    x = ArrayRows(RNG.normal(size=(301, 8)).astype(np.float32))
    words, bias = RNG.normal(size=(13, 8)).astype(np.float32), np.arange(13, dtype=np.float32)
    cluster = RNG.integers(0, 4, 301)
    for more in ({"bias": bias}, {"unit": True, "temperature": 0.05}):
        one = word_probabilities(x, cluster, 4, words, **more, device="cpu")
        other = word_probabilities(x, cluster, 4, words, **more, device=device)
        np.testing.assert_allclose(other, one, atol=1e-4)
    one, other = (cluster_means(x, cluster, 4, device=d) for d in ("cpu", device))
    np.testing.assert_allclose(other, one, atol=1e-6)
