"""How doubtful a label is."""

import numpy as np
import pytest
from suggested import blobs, neighbors_of

from cluster.errors import ClusterError
from cluster.suggest.doubt import disagreement, doubt


def test_the_example_of_the_docstring():
    neighbor = np.array([[1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3]])
    label = np.array([0, 0, 0, 0, 1])
    runs = [np.array([0, 0, 0, 0, 1]), np.array([1, 0, 0, 0, 1])]
    found = doubt(neighbor, np.ones((5, 4), np.float32), label, runs)
    assert found.doubt[0] == pytest.approx(5 / 8)
    assert found.second[0] == 1
    assert found.share[0] == pytest.approx(1 / 4)


def test_it_equals_a_plain_loop():
    x, group = blobs(noise=0.6)
    label = np.where(np.arange(len(x)) % 7 == 0, -1, group)
    neighbor, similarity = neighbors_of(x, 6)
    found = doubt(neighbor, similarity, label)
    for image in range(len(x)):
        votes = np.zeros(3)
        for near, weight in zip(neighbor[image], similarity[image], strict=True):
            if label[near] >= 0:
                votes[label[near]] += max(float(weight), 0)
        share = votes / max(votes.sum(), 1e-12)
        if label[image] < 0:
            assert found.doubt[image] == 1
            continue
        own = share[label[image]]
        share[label[image]] = 0
        assert found.doubt[image] == pytest.approx((1 - (own - share.max())) / 2, abs=1e-6)
        assert found.share[image] == pytest.approx(share.max(), abs=1e-6)
        assert found.second[image] == (share.argmax() if share.any() else -1)


def test_runs_are_matched_whatever_their_clusters_are_called():
    label = np.repeat([0, 1, 2], 5)
    renamed = np.repeat([2, 0, 1], 5)
    assert (disagreement(label, [renamed]) == 0).all()
    renamed[0] = 0
    assert np.flatnonzero(disagreement(label, [renamed, label])).tolist() == [0]
    assert disagreement(label, [renamed, label])[0] == 1 / 2


def test_a_run_with_fewer_or_more_clusters_objects_to_no_whole_label():
    label = np.repeat([0, 1, 2, 3], 6)
    for run in (label // 2, np.arange(24) // 3, np.zeros(24, int)):
        assert (disagreement(label, [run]) == 0).all()
    odd = np.arange(24) // 3
    odd[0] = 7
    assert np.flatnonzero(disagreement(label, [odd])).tolist() == [0]


def test_wrong_labels_are_more_doubtful_than_right_ones():
    x, group = blobs(each=30, noise=0.25)
    label = group.copy()
    label[:6] = (group[:6] + 1) % 3
    found = doubt(*neighbors_of(x, 8), label).doubt
    assert found[:6].min() > 0.5
    assert np.median(found[6:]) < 0.2


def test_the_order_of_the_images_changes_nothing():
    x, group = blobs(noise=0.4)
    order = np.random.default_rng(1).permutation(len(x))
    one = doubt(*neighbors_of(x, 6), group, [group % 2]).doubt
    other = doubt(*neighbors_of(x[order], 6), group[order], [group[order] % 2]).doubt
    assert np.allclose(one[order], other, atol=1e-6)


def test_a_decided_image_has_no_doubt_and_an_unlabelled_one_the_most():
    x, group = blobs()
    label = np.where(np.arange(len(x)) == 1, -1, group)
    decided = np.arange(len(x)) == 0
    found = doubt(*neighbors_of(x, 4), label, decided=decided).doubt
    assert found[0] == 0
    assert found[1] == 1
    assert ((found >= 0) & (found <= 1)).all()


def test_odd_input():
    none = doubt(np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert none.doubt.shape == (0,)
    alone = doubt(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32), np.array([0]))
    assert alone.doubt.tolist() == [0.5]
    nowhere = doubt(np.array([[1], [0]]), np.ones((2, 1), np.float32), np.array([-1, -1]))
    assert nowhere.doubt.tolist() == [1, 1]
    assert nowhere.second.tolist() == [-1, -1]
    with pytest.raises(ClusterError, match="expected the same images"):
        doubt(np.zeros((2, 1), np.int32), np.zeros((2, 1), np.float32), np.array([0]))
    with pytest.raises(ClusterError, match="a run has 1 images, the labels 2"):
        disagreement(np.array([0, 1]), [np.array([0])])
