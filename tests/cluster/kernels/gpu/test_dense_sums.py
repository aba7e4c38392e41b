"""Sums of clusters on a GPU: those of float64, whatever the number of bags."""

import pytest
import torch
from blobs import DEVICES

from cluster.kernels.gpu.dense_sums import dense_sums


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("changes", "groups"), [(1, 1), (63, 5), (500, 3), (40, 200)])
def test_each_group_gets_its_vectors(changes: int, groups: int, device: str):
    generator = torch.Generator().manual_seed(changes)
    x = torch.randn(50, 6, generator=generator)
    image, group = (torch.randint(m, (changes,), generator=generator) for m in (50, groups))
    sign = torch.randint(-1, 2, (changes,), generator=generator)
    told = (each.to(device) for each in (x, image, group, sign))
    sums, count = dense_sums(*told, groups)
    expected = torch.zeros(groups, 6, dtype=torch.float64)
    expected.index_add_(0, group, x[image].double() * sign[:, None])
    assert torch.allclose(sums.cpu(), expected, atol=1e-4)
    assert (count.cpu() == torch.zeros(groups).index_add_(0, group, sign.float())).all()
