"""The cross-validated accuracy of a linear model: beside scikit-learn, and where it is known."""

import numpy as np
import pytest
from conftest import one_thread
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cluster.probes.cross_validation import cross_validated_accuracy
from cluster.vectors.rows import ArrayRows

PLAIN = {"folds": 4, "penalty": 0.05, "seed": 0, "max_iter": 200}
_quick = pytest.fixture(autouse=True)(one_thread)


def vectors(n: int = 120, dim: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that overlap."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % 3
    x = np.eye(3, dim)[label] * 1.5 + rng.normal(size=(n, dim))
    return x.astype(np.float32), label


def test_it_is_that_of_scikit_learn_in_the_same_folds():
    x, label = vectors()
    order = np.lexsort([np.random.default_rng(0).random(len(x)), label])
    fold = np.empty(len(x), int)
    fold[order] = np.arange(len(x)) % 4
    right = 0
    for number in range(4):
        fitted, rest = fold != number, fold == number
        scale = StandardScaler().fit(x[fitted])
        model = LogisticRegression(C=1 / (0.05 * fitted.sum()), tol=1e-8, max_iter=1000)
        model.fit(scale.transform(x[fitted]), label[fitted])
        right += (model.predict(scale.transform(x[rest])) == label[rest]).sum()
        assert np.bincount(label[rest]).tolist() == [10, 10, 10]  # stratified
    found = cross_validated_accuracy(ArrayRows(x), label, **PLAIN)
    assert found == pytest.approx(right / len(x), abs=1.5 / len(x))


def test_clusters_with_a_margin_have_1_and_random_ones_a_share():
    x, label = vectors()
    wide = x + 40 * np.eye(3, 5, dtype=np.float32)[label]
    assert cross_validated_accuracy(ArrayRows(wide), label, **PLAIN) == 1
    drawn = np.random.default_rng(1).integers(3, size=120)
    assert cross_validated_accuracy(ArrayRows(x), drawn, **PLAIN) < 0.55


def test_one_cluster_few_images_and_a_class_of_one_image_are_no_crash():
    x, label = vectors()
    assert cross_validated_accuracy(ArrayRows(x), np.zeros(120, int), **PLAIN) == 1
    assert 0 <= cross_validated_accuracy(ArrayRows(x[:3]), label[:3], **PLAIN) <= 1
    lone = np.where(np.arange(120) == 7, 9, label)
    assert 0 <= cross_validated_accuracy(ArrayRows(x), lone, **PLAIN) < 1
