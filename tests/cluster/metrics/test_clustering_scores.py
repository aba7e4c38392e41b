"""Scores of clusterings: by hand, against scikit-learn, and what must not change them."""

import numpy as np
import pytest
from sklearn import metrics

from cluster import ClusterError
from cluster.metrics.ami import adjusted_mutual_information
from cluster.metrics.clustering import label_scores, silhouettes, size_scores, stability
from cluster.metrics.matching import (
    NO_CLASS,
    accuracy,
    contingency_table,
    learn_meaning,
    majority,
    one_to_one,
)
from cluster.metrics.mean_sd import mean_sd


def clustering(seed: int, n: int, k: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """An assignment that knows the label of some images, and the labels."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, classes, n)
    drawn = generator.integers(0, k, n)
    return np.where(generator.random(n) < 0.5, label % k, drawn), label


def scores(
    assignment: np.ndarray, label: np.ndarray, k: int = 40, classes: int = 40
) -> dict[str, float]:
    return label_scores(contingency_table(assignment, label, k, classes), None)


def test_an_example_worked_on_paper() -> None:
    # Three clusters, two classes. Cluster 0: 3 of class 0, 1 of class 1. Cluster 1: 2 of class 0.
    # Cluster 2: 1 of class 0, 2 of class 1.
    assignment = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    label = np.array([0, 0, 0, 1, 0, 0, 0, 1, 1])
    counts = contingency_table(assignment, label, 3, 2)
    assert counts.tolist() == [[3, 1], [2, 0], [1, 2]]
    assert one_to_one(counts).tolist() == [0, NO_CLASS, 1]
    assert majority(counts).tolist() == [0, 0, 1]
    found = label_scores(counts, None)
    assert found["acc"] == pytest.approx(5 / 9)  # 3 + 2; cluster 1 is left over
    assert found["majority_acc"] == found["purity"] == pytest.approx(7 / 9)
    # Pairs: 3 + 0, 1, 0 + 1 = 5 agree; 6 + 1 + 3 = 10 in clusters, 15 + 3 = 18 in classes, of 36.
    assert found["ari"] == pytest.approx((5 - 10 * 18 / 36) / ((10 + 18) / 2 - 10 * 18 / 36))
    assert found["fowlkes_mallows"] == pytest.approx(5 / np.sqrt(10 * 18))


@pytest.mark.parametrize(("k", "classes"), [(7, 7), (23, 5), (3, 11), (1, 4), (6, 1)])
def test_scores_equal_those_of_scikit_learn(k: int, classes: int) -> None:
    assignment, label = clustering(0, 500, k, classes)
    found = scores(assignment, label, k, classes)
    assert found["nmi"] == pytest.approx(metrics.normalized_mutual_info_score(label, assignment))
    assert found["v_measure"] == pytest.approx(metrics.v_measure_score(label, assignment))
    assert found["ari"] == pytest.approx(metrics.adjusted_rand_score(label, assignment))
    assert found["fowlkes_mallows"] == pytest.approx(
        metrics.fowlkes_mallows_score(label, assignment)
    )


@pytest.mark.parametrize("n", [5, 60, 3000])
@pytest.mark.parametrize(("k", "classes"), [(4, 4), (30, 3), (2, 25), (1, 5), (5, 1), (1, 1)])
def test_ami_equals_that_of_scikit_learn(n: int, k: int, classes: int) -> None:
    assignment, label = clustering(n, n, k, classes)
    expected = metrics.adjusted_mutual_info_score(label, assignment)
    found = adjusted_mutual_information(contingency_table(assignment, label, k, classes))
    assert found == pytest.approx(expected, abs=1e-9)


def test_ami_of_clusters_of_one_image_each_is_that_of_scikit_learn() -> None:
    own, other = np.arange(6), np.array([0, 0, 1, 1, 2, 2])
    for a, b in ((own, own), (own, other), (other, own)):
        expected = metrics.adjusted_mutual_info_score(b, a)
        assert adjusted_mutual_information(contingency_table(a, b, 6, 6)) == pytest.approx(
            expected, abs=1e-9
        )


@pytest.mark.parametrize(("k", "classes"), [(7, 7), (23, 5), (3, 11)])
def test_the_numbers_of_the_clusters_do_not_matter(k: int, classes: int) -> None:
    assignment, label = clustering(1, 400, k, classes)
    shuffled = np.random.default_rng(2).permutation(k)[assignment]
    before, after = scores(assignment, label), scores(shuffled, label)
    assert after == pytest.approx(before, nan_ok=True)


@pytest.mark.parametrize("k", [2, 5, 10, 40])
def test_one_to_one_is_never_above_many_to_one(k: int) -> None:
    for seed in range(10):
        found = scores(*clustering(seed, 200, k, 10))
        assert found["acc"] <= found["majority_acc"]


def test_with_fewer_clusters_than_classes_each_cluster_has_a_class_of_its_own() -> None:
    counts = contingency_table(*clustering(3, 300, 3, 11), 3, 11)
    classes = one_to_one(counts)
    assert len(set(classes.tolist())) == 3
    assert NO_CLASS not in classes
    best = max(
        counts[0, a] + counts[1, b] + counts[2, c]
        for a in range(11) for b in range(11) for c in range(11) if len({a, b, c}) == 3
    )  # fmt: skip
    assert accuracy(counts, classes) == best / 300


def test_overclustering_does_not_make_one_to_one_rise() -> None:
    # Each class falls into three clusters of equal size: leftover clusters that take their majority
    # class make it look solved, one-to-one sees a third of it.
    label = np.repeat(np.arange(10), 30)
    assignment = label * 3 + np.arange(300) % 3
    counts = contingency_table(assignment, label, 30, 10)
    matched = one_to_one(counts)
    lenient = np.where(matched == NO_CLASS, majority(counts), matched)
    assert accuracy(counts, lenient) == accuracy(counts, majority(counts)) == 1.0
    assert accuracy(counts, matched) == pytest.approx(1 / 3)


def test_a_mapping_learned_on_train_is_applied_to_test() -> None:
    train = np.array([[5, 0], [0, 5], [0, 0]])
    test = np.array([[1, 3], [0, 4], [2, 0]])
    found = label_scores(test, learn_meaning(train))
    assert found["acc_train_map"] == found["majority_acc_train_map"] == 0.5  # 1 + 4 of 10
    assert found["acc"] == 0.6  # cluster 1 is class 1, cluster 2 class 0
    assert found["majority_acc"] == 0.9
    assert np.isnan(label_scores(test, None)["acc_train_map"])


def test_a_cluster_without_training_images_stands_for_no_class() -> None:
    # There are as many clusters as classes, so the solver pairs all; an empty pair means nothing.
    train = np.array([[5, 0], [0, 0]])
    assert one_to_one(train).tolist() == majority(train).tolist() == [0, NO_CLASS]


def test_without_labels_every_label_score_is_unknown() -> None:
    assert all(np.isnan(value) for value in label_scores(np.zeros((3, 2), int), None).values())
    assert all(np.isnan(value) for value in label_scores(np.zeros((3, 0), int), None).values())


def test_a_cluster_beyond_k_is_refused() -> None:
    with pytest.raises(ClusterError, match="an image is of cluster 5, expected 0 to 4"):
        contingency_table(np.array([0, 5]), np.array([0, 0]), 5, 1)
    with pytest.raises(ClusterError, match="an image is of class -1, expected 0 to 0"):
        contingency_table(np.array([0, 1]), np.array([0, -1]), 5, 1)


def test_paper_sized_counts_are_scored_in_seconds() -> None:
    assignment, label = clustering(4, 200_000, 25_000, 1000)
    found = scores(assignment, label, 25_000, 1000)
    assert found["acc"] < found["majority_acc"]
    assert abs(found["ami"]) < 1


def test_sizes_of_equal_clusters_are_in_balance() -> None:
    assert size_scores(np.array([5, 5, 5, 5])) == {
        "live": 4, "entropy": pytest.approx(np.log(4)), "balance": pytest.approx(1),
        "largest": 5, "smallest": 5,
    }  # fmt: skip
    found = size_scores(np.array([10, 0]))
    assert (found["live"], found["balance"], found["smallest"]) == (1, 0, 0)
    assert np.isnan(size_scores(np.array([10]))["balance"])


def test_silhouettes_equal_those_of_scikit_learn() -> None:
    x = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
    assignments = np.random.default_rng(6).integers(0, 5, (3, 60))
    expected = [metrics.silhouette_score(x.astype(float), a) for a in assignments]
    assert silhouettes(x, assignments) == pytest.approx(expected, abs=1e-6)


def test_silhouettes_of_lone_and_of_equal_images_are_those_of_scikit_learn() -> None:
    x = np.repeat(np.random.default_rng(8).normal(size=(6, 3)), 5, axis=0)  # some lie at distance 0
    for assignment in (np.arange(30) // 5, np.arange(30) % 29, np.arange(30) // 10):
        expected = metrics.silhouette_score(x, assignment)
        assert silhouettes(x, assignment[None])[0] == pytest.approx(expected, abs=1e-6)


def test_equal_divisions_agree_wholly_and_pairs_may_pass_64_bits() -> None:
    own = np.arange(7)
    for assignment in (own, np.zeros(7, int), own // 2):
        assert stability(np.stack([assignment, assignment])).tolist() == [1, 1]
    found = label_scores(np.diag([2_000_000_000, 1_000_000_000]), None)
    assert found["ari"] == found["fowlkes_mallows"] == found["nmi"] == 1


def test_one_cluster_or_only_single_images_have_no_silhouette() -> None:
    x = np.random.default_rng(7).normal(size=(10, 2))
    assert np.isnan(silhouettes(x, np.stack([np.zeros(10, int), np.arange(10)]))).all()
    assert np.isnan(silhouettes(x[:0], np.zeros((2, 0), int))).all()


def test_stability_is_the_mean_agreement_of_pairs_of_seeds() -> None:
    a, b, c = (clustering(seed, 100, 6, 6)[0] for seed in range(3))
    ari = metrics.adjusted_rand_score
    found = stability(np.stack([a, b, c]))
    assert found[0] == pytest.approx((ari(a, b) + ari(a, c)) / 2)
    assert found.mean() == pytest.approx((ari(a, b) + ari(a, c) + ari(b, c)) / 3)
    assert np.isnan(stability(a[None])).all()


def test_a_single_seed_has_no_deviation() -> None:
    assert mean_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)  # n - 1
    mean, sd = mean_sd([0.5])
    assert mean == 0.5
    assert np.isnan(sd)
    assert np.isnan(mean_sd([float("nan")])).all()
