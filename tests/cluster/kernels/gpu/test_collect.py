"""The lists hold every target whose product reaches the cut, whatever the shapes."""

import pytest
import torch
from like_gpu import kernels

from cluster.kernels.gpu.available import fused_blocks
from cluster.kernels.gpu.padding import padded_bf16


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    return torch.device(kernels(monkeypatch))


@pytest.mark.parametrize(("n", "count", "dim"), [(1, 1, 1), (33, 70, 64), (70, 133, 100)])
def test_what_reaches_the_cut_is_listed_with_its_product(
    n: int, count: int, dim: int, device: torch.device
):
    from cluster.kernels.gpu.collect import collect, empty_lists

    generator = torch.Generator().manual_seed(n)
    q, t = (padded_bf16(torch.randn(m, dim, generator=generator).to(device)) for m in (n, count))
    t[count // 2] = t[0]  # equal ones are both listed
    exact = q.double() @ t.double().T
    cut = exact.quantile(0.7, dim=1).float() + 1e-3
    cut[::7] = -torch.inf
    first, blocks = 1000, fused_blocks(device)
    assert blocks is not None
    own = torch.arange(n, dtype=torch.int32, device=device) + first
    lists = empty_lists(n, count, device)
    half = count // 2
    for low, some in ((0, t[:half]), (half, t[half:])):
        collect(q, some.contiguous(), cut, own, first + low, lists, blocks)
    for i in range(n):
        reach = exact[i] >= cut[i]
        if i < count:
            reach[i] = False
        size = int(lists.size[i])
        position, order = lists.position[i, :size].sort()
        assert position.tolist() == (torch.nonzero(reach).ravel() + first).tolist()
        assert torch.allclose(lists.value[i, :size][order].double(), exact[i][reach], atol=1e-3)


def test_what_is_lost_is_counted(device: torch.device):
    from cluster.kernels.gpu.collect import collect, empty_lists

    blocks = fused_blocks(device)
    assert blocks is not None
    q = padded_bf16(torch.ones(40, 8, device=device))
    t = padded_bf16(torch.ones(50, 8, device=device))
    lists = empty_lists(40, 16, device)
    cut, own = torch.zeros(40, device=device), torch.full((40,), -1, device=device).int()
    collect(q, t, cut, own, 0, lists, blocks)
    assert (lists.size == 50).all()
    assert (lists.value == 8).all()
    assert all(len(set(row)) == 16 for row in lists.position.tolist())
