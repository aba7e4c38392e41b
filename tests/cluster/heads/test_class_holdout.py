"""Known classes held out as new: which labels are hidden, and the accuracy on them."""

import numpy as np
import pytest

from cluster import ClusterError
from cluster.heads.class_holdout import ClassHoldout, hidden_accuracy, hold_out_classes

LABEL = np.repeat(np.arange(5), (20, 30, 7, 2, 1))


def test_two_of_five_classes_are_hidden_and_half_of_each_other_class():
    for holdout in hold_out_classes(LABEL, 20, 0):
        seen, truth = holdout
        assert set(seen.tolist()) == {-1, 0, 1, 2}
        assert (seen[truth >= 3] == -1).all()
        assert ((seen == -1) | (seen == truth)).all()
        for known in range(3):
            of = seen[truth == known]
            assert (of >= 0).sum() == max(1, round(len(of) / 2))


def test_classes_are_renumbered_and_none_is_mixed():
    _, truth = hold_out_classes(LABEL, 1, 3)[0]
    pairs = np.unique(np.stack([LABEL, truth]), axis=1)
    assert sorted(pairs[1].tolist()) == [0, 1, 2, 3, 4]


def test_other_classes_are_hidden_each_time_and_the_same_by_the_same_seed():
    hidden = {tuple(np.unique(LABEL[p.truth >= 3])) for p in hold_out_classes(LABEL, 20, 0)}
    assert len(hidden) > 5
    for one, other in zip(
        hold_out_classes(LABEL, 3, 0), hold_out_classes(LABEL, 3, 0), strict=True
    ):
        np.testing.assert_array_equal(one.label, other.label)


def test_accuracy_is_of_hidden_images_and_a_cluster_of_two_classes_counts_once():
    holdout = ClassHoldout(np.array([0, -1, -1, -1, -1, -1]), np.array([0, 0, 1, 1, 2, 2]))
    assert hidden_accuracy(np.array([2, 0, 1, 1, 2, 2]), holdout, 3) == 1
    assert hidden_accuracy(np.array([0, 0, 1, 1, 1, 1]), holdout, 3) == 0.6
    assert hidden_accuracy(np.array([0, 5, 1, 3, 2, 2]), holdout, 6) == 0.8


def test_a_single_class_cannot_be_hidden():
    with pytest.raises(ClusterError, match="one class is known, so none can be held out as new"):
        hold_out_classes(np.zeros(9, np.int64), 1, 0)


def test_a_method_that_gives_up_new_classes_is_seen_though_labelled_images_are_right():
    """What the accuracy on labelled images, by which PIM's authors choose, does not see."""
    for holdout in hold_out_classes(LABEL, 5, 0):
        visible, classes = holdout.label >= 0, int(holdout.truth.max()) + 1
        first_new = int(holdout.label.max()) + 1
        gives_up = np.minimum(holdout.truth, first_new)  # one cluster for all new classes
        shown = holdout.label[visible]
        assert (gives_up[visible] == shown).all()
        assert hidden_accuracy(holdout.truth, holdout, classes) == 1
        assert hidden_accuracy(gives_up, holdout, classes) < 1
