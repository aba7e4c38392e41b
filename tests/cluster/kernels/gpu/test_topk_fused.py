"""Lists by the fused kernel hold what comes near the k-th product, or say that they do not."""

from typing import Any

import pytest
import torch
from like_gpu import kernels

from cluster.kernels.gpu.padding import padded_bf16

K, MARGIN = 2, 0.01


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of queries of each tile that the kernel took."""
    kernels(monkeypatch)
    from cluster.kernels.gpu import topk_fused

    for name, size in (("TARGETS", 64), ("FIRST", 16), ("SECOND", 32), ("CAPACITY", 16)):
        monkeypatch.setattr(topk_fused, name, size)
    taken: list[int] = []
    collect = topk_fused.collect

    def counted(query: torch.Tensor, *more: Any) -> None:
        taken.append(len(query))
        collect(query, *more)

    monkeypatch.setattr(topk_fused, "collect", counted)
    return taken


def vectors(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.nn.functional.normalize(torch.randn(n, 70, generator=generator) + 0.5, dim=1)


def check(query: torch.Tensor, target: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Find candidates, and compare those that did not overflow with float64: which overflowed, and
    how many calls of progress there were."""
    from cluster.kernels.gpu.topk_fused import fused_candidates

    device, calls = "cuda" if torch.cuda.is_available() else "cpu", list[None]()
    q, t = padded_bf16(query).to(device), padded_bf16(target).to(device)
    margin = torch.full((len(q),), MARGIN, device=device)
    found = fused_candidates(q, t, own.to(device), margin, K, lambda: calls.append(None))
    products = (q.double() @ t.double().T).cpu()
    mine = own >= 0
    products[mine.nonzero().ravel(), own[mine]] = -9
    kth = products.topk(K, dim=1).values[:, -1]
    for i in torch.nonzero(~found.overflowed.cpu()).ravel().tolist():
        size = int(found.size[i])
        near = products[i] >= kth[i] - MARGIN - 1e-6
        clear = products[i] >= kth[i] - MARGIN + 1e-6
        listed = set(found.position[i, :size].tolist())
        assert len(listed) == size
        assert set(clear.nonzero().ravel().tolist()) <= listed
        assert listed <= set(near.nonzero().ravel().tolist())
    assert (found.size[found.overflowed] == 0).all()
    return found.overflowed.cpu(), len(calls)


@pytest.mark.parametrize("n", [5, 40, 300])
def test_nothing_near_is_missed(n: int, tiles: list[int]):
    target = vectors(n)
    own = torch.arange(0, n, 4)
    query = target[own]
    own[::3] = -1
    overflowed, calls = check(query, target, own)
    assert not overflowed.any()
    assert calls == -(-n // 64)


def test_a_query_whose_list_is_full_takes_the_tile_again(tiles: list[int]):
    """Neighbours that follow one another, and which no spaced target foretells."""
    target = vectors(256)
    far = torch.zeros(256, dtype=torch.bool)
    far[::8] = True  # a multiple of these is what finds the first cuts
    target[far] -= 1.5
    query = target[~far][:40]
    overflowed, _ = check(query, target, torch.full((40,), -1))
    assert not overflowed.any()
    assert any(0 < count < 40 for count in tiles) or tiles.count(40) > 5


def test_too_many_that_are_alike_overflow(tiles: list[int]):
    target = vectors(100)
    target[10:60] = target[10]
    query = target[[0, 10, 70]]
    overflowed, _ = check(query, target, torch.full((3,), -1))
    assert overflowed.tolist() == [False, True, False]
