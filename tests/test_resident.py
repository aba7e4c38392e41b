"""Rows at hand for training: the views that a step sees."""

import numpy as np
import torch

from cluster.resident import of_any_view, of_two_views


def views(number: int) -> list:
    """Each view of a row is the row and the view's number."""
    return [
        lambda index, v=v: torch.from_numpy(np.stack([index, np.full(index.shape, v)], -1))
        for v in range(number)
    ]


def test_each_image_is_seen_in_two_views_that_differ():
    index = np.arange(600).reshape(2, 300)
    for number in (2, 5):
        seen = of_two_views(views(number), seed=3)(7, index)
        assert seen.shape == (2, 2, 300, 2)
        assert (seen[..., 0] == torch.from_numpy(index)).all()
        first, second = seen[..., 1]
        assert (first != second).all()
        pairs = {(int(a), int(b)) for a, b in zip(first.ravel(), second.ravel(), strict=True)}
        assert len(pairs) == number * (number - 1)


def test_views_are_drawn_by_seed_and_step():
    index = np.arange(50)
    for draw in (of_any_view, of_two_views):
        one = draw(views(3), seed=0)
        assert torch.equal(one(4, index), draw(views(3), seed=0)(4, index))
        assert not torch.equal(one(4, index), one(5, index))
        assert not torch.equal(one(4, index), draw(views(3), seed=1)(4, index))
