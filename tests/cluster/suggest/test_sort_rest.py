"""The labels of the rest, from a few that are decided."""

import numpy as np
import pytest
from suggested import blobs, neighbors_of, space_of

from cluster.errors import ClusterError
from cluster.suggest import sort_rest as module
from cluster.suggest.sort_rest import class_probabilities, sort_rest, spread_labels, top_two


def few(group: np.ndarray, each: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Some decided images of each group; no name."""
    decided = np.full(len(group), -1)
    for number in range(group.max() + 1):
        decided[np.flatnonzero(group == number)[:each]] = number
    return decided, np.full(len(group), -1)


def test_two_answers_a_group_sort_the_rest():
    x, group = blobs()
    decided, named = few(group)
    found = sort_rest(space_of(x), decided, named, 0)
    assert (found.label == group).all()
    said = decided >= 0
    assert (found.margin[said] == 1).all()
    assert np.allclose(found.first_probability - found.second_probability, found.margin)
    assert (found.second != found.label).all()


def test_names_sort_too_and_a_few_answers_outweigh_them():
    x, group = blobs(noise=0.3)
    space, nobody = space_of(x), np.full(60, -1)
    assert (sort_rest(space, nobody, group, 3).label == group).mean() > 0.95
    wrong = np.where(group == 2, 1, group)  # two groups have one name
    decided, _ = few(group, each=4)
    found = sort_rest(space, decided, wrong, 2).label
    assert (found == group).mean() > 0.95


def test_spreading_is_the_closed_form(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "STEPS", 400)
    x, group = blobs(noise=0.5)
    space, target = space_of(x), np.zeros((60, 3))
    target[np.arange(9), group[:9]] = 1
    exact = np.linalg.solve(np.eye(60) - module.ALPHA * space.spread.toarray(), target)
    exact /= exact.sum(axis=1, keepdims=True)
    assert np.allclose(spread_labels(space, target), exact, atol=1e-9)


def test_the_ridge_is_the_plain_one_and_its_temperature_that_of_leaving_one_out():
    x, group = blobs(noise=0.5)
    space, fitted = space_of(x), np.arange(30)
    target = np.zeros((60, 3))
    target[fitted, group[:30]] = 1
    found = module.ridge_probabilities(space, target, fitted, fitted)
    k = space.kernel.astype(np.float64)

    def score(kept: np.ndarray) -> np.ndarray:
        prior = target[fitted].mean(axis=0)
        gram = k[kept].T @ k[kept] + module.PENALTY * np.eye(k.shape[1])
        return k @ np.linalg.solve(gram, k[kept].T @ (target[kept] - prior)) + prior

    without = np.stack([score(np.delete(fitted, each))[each] for each in fitted])

    def loss(sharp: float) -> float:
        logit = sharp * without
        logit -= np.log(np.exp(logit).sum(axis=1, keepdims=True))
        return -logit[fitted, group[:30]].mean()

    sharp = min(module.SHARPNESS, key=loss)
    plain = np.exp(sharp * score(fitted))
    assert np.allclose(found, plain / plain.sum(axis=1, keepdims=True), atol=1e-4)


def test_the_order_of_the_images_changes_nothing():
    x, group = blobs(noise=0.5)
    x, group = x[:55], group[:55]
    decided, named = few(group)
    order = np.random.default_rng(1).permutation(55)
    one = class_probabilities(space_of(x), decided, named, 0)
    other = class_probabilities(space_of(x[order]), decided[order], named[order], 0)
    assert np.allclose(one[order], other, atol=1e-3)


def test_labels_may_have_gaps():
    x, group = blobs()
    decided, named = few(group)
    found = class_probabilities(space_of(x), np.where(decided >= 0, decided * 4 + 1, -1), named, 0)
    assert found.shape == (60, 10)
    assert (found.argmax(axis=1) == group * 4 + 1).all()
    assert found[:, 0].max() == 0
    assert np.allclose(found.sum(axis=1), 1)


def test_odd_input():
    x, group = blobs()
    space, nobody = space_of(x), np.full(60, -1)
    with pytest.raises(ClusterError, match="no image has a label yet"):
        sort_rest(space, nobody, nobody, 0)
    with pytest.raises(ClusterError, match="expected 60 each"):
        sort_rest(space, nobody[1:], nobody, 0)
    one = np.where(np.arange(60) == 3, 0, -1)
    found = sort_rest(space, one, nobody, 0)
    assert (found.label == 0).all()
    assert (found.second == -1).all()
    assert (sort_rest(space, group, nobody, 0).label == group).all()
    assert top_two(np.array([[0.5, 0.5]])).label.tolist() == [0]
    copies = np.concatenate([x[:20], x[:20]])
    near, _ = neighbors_of(copies, 5)
    assert near.shape == (40, 5)
    found = sort_rest(space_of(copies), np.tile(few(group)[0][:20], 2), np.full(40, -1), 0)
    assert (found.label[:20] == found.label[20:]).all()
