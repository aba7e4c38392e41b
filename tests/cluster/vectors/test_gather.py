"""Rows at hand for training: standardised, kept or read anew, and the views that a step sees."""

import numpy as np
import pytest
import torch
from blobs import DEVICES

from cluster.vectors.gather import random_view_gather, standardized_gather, two_view_gather
from cluster.vectors.rows import TILE, ArrayRows
from cluster.vectors.standardize import fit_scale


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_does_not_change_the_vectors_and_they_leave_the_rows_as_they_are(
    dtype: torch.dtype, device: str
):
    x = np.random.default_rng(0).normal(size=(TILE + 50, 5)).astype(np.float32) * [1, 9, 1, 1, 1]
    rows = ArrayRows(x + 30)
    before, scale = rows.array.copy(), fit_scale(rows)
    kept, read = (standardized_gather(rows, device, room, scale, dtype) for room in (1, 0))
    index = np.random.default_rng(1).integers(len(x), size=(2, 40))
    assert kept(index).dtype == dtype
    assert torch.equal(kept(index), read(index))
    expected = torch.from_numpy((before[index] - scale.mean) / scale.deviation)
    torch.testing.assert_close(kept(index).cpu(), expected.to(dtype))
    kept(index)[:] = 0  # a batch is nobody else's
    assert torch.equal(kept(index), read(index))
    np.testing.assert_array_equal(rows.array, before)


def views(number: int) -> list:
    """Each view of a row is the row and the view's number."""
    return [
        lambda index, v=v: torch.from_numpy(np.stack([index, np.full(index.shape, v)], -1))
        for v in range(number)
    ]


def test_each_image_is_seen_in_two_views_that_differ():
    index = np.arange(600).reshape(2, 300)
    for number in (2, 5):
        seen = two_view_gather(views(number), seed=3)(7, index)
        assert seen.shape == (2, 2, 300, 2)
        assert (seen[..., 0] == torch.from_numpy(index)).all()
        first, second = seen[..., 1]
        assert (first != second).all()
        pairs = {(int(a), int(b)) for a, b in zip(first.ravel(), second.ravel(), strict=True)}
        assert len(pairs) == number * (number - 1)


def test_views_are_drawn_by_seed_and_step():
    index = np.arange(50)
    for draw in (random_view_gather, two_view_gather):
        one = draw(views(3), seed=0)
        assert torch.equal(one(4, index), draw(views(3), seed=0)(4, index))
        assert not torch.equal(one(4, index), one(5, index))
        assert not torch.equal(one(4, index), draw(views(3), seed=1)(4, index))
