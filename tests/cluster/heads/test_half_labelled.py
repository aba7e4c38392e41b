"""Half-labelled batches: one half of each kind, every image once a pass, reproducible steps."""

import numpy as np
import pytest

from cluster import ClusterError
from cluster.heads.half_labelled import HalfLabelled

LABEL = np.array([0, -1, 1, -1, -1, 0, -1, -1, 1, -1, -1, 0])  # 5 labelled, 7 not


def stream(batch: int = 6, seeds: tuple[int, ...] = (0,)) -> HalfLabelled:
    return HalfLabelled([LABEL] * len(seeds), batch, seeds)


def test_the_first_half_of_a_batch_is_labelled_and_the_other_is_not():
    for step in range(20):
        images, label = stream(seeds=(0, 9)).at(step)
        assert images.shape == (2, 6)
        np.testing.assert_array_equal(label, LABEL[images[:, :3]])
        assert (label >= 0).all()
        assert (LABEL[images[:, 3:]] < 0).all()


def test_each_side_comes_once_a_pass_and_in_another_order_the_next_time():
    of = stream()
    images = np.concatenate([of.at(step).images[0].reshape(2, 3) for step in range(35)], axis=1)
    for side, size in zip(images, (5, 7), strict=True):
        passes = side.reshape(-1, size)
        members = np.flatnonzero((LABEL < 0) if size == 7 else (LABEL >= 0))
        assert (np.sort(passes, axis=1) == members).all()
        assert len(np.unique(passes, axis=0)) > 10


def test_a_step_is_the_same_whatever_was_asked_before():
    in_order = [stream().at(step).images for step in range(15)]
    asked = stream()
    for step in (14, 0, 3, 4, 2, 14):
        np.testing.assert_array_equal(asked.at(step).images, in_order[step])


def test_a_seed_draws_the_same_alone_and_beside_others():
    together = stream(seeds=(3, 4, 5))
    for number, seed in enumerate((3, 4, 5)):
        alone = stream(seeds=(seed,))
        for step in (0, 7):
            np.testing.assert_array_equal(
                together.at(step).images[number], alone.at(step).images[0]
            )
    images = together.at(0).images
    assert (images[0] != images[1]).any()


def test_few_labelled_images_come_several_times_in_a_large_batch_and_others_once():
    of = stream(batch=100)
    images = of.at(0).images[0]
    assert of.half == 7
    assert np.bincount(images[:7], minlength=12).max() == 2
    assert np.array_equal(np.sort(images[7:]), np.flatnonzero(LABEL < 0))


def test_the_smallest_batch_is_one_and_one():
    assert stream(batch=1).at(5).images.shape == (1, 2)


@pytest.mark.parametrize(("label", "message"), [
    (np.zeros(4, np.int64), "4 images have a label and 0 have none"),
    (np.full(4, -1), "0 images have a label and 4 have none"),
])  # fmt: skip
def test_a_side_without_images_is_refused(label: np.ndarray, message: str):
    with pytest.raises(ClusterError, match=message):
        HalfLabelled([label], 2, [0])
