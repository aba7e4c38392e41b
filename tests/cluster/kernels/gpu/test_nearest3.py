"""The three lowest scores are those of float64, up to rounding; of ties the lower is first."""

import pytest
import torch
from like_gpu import kernels

from cluster.kernels.gpu.available import fused_blocks
from cluster.kernels.gpu.padding import padded_bf16


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    return torch.device(kernels(monkeypatch))


def found(x: torch.Tensor, c: torch.Tensor, squares: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The kernel's answer, and scores in float64, of x [image, dim] and c [run, cluster, dim]."""
    from cluster.kernels.gpu.nearest3 import nearest3

    k, blocks = c.shape[1], fused_blocks(x.device)
    assert blocks is not None
    blocks = blocks.fitted_to(k)
    more = -k % blocks.columns
    left, right = padded_bf16(x), padded_bf16(torch.nn.functional.pad(-2 * c, (0, 0, 0, more)))
    padded = torch.nn.functional.pad(squares, (0, more), value=torch.inf)
    index, score = nearest3(left, right, padded, blocks)
    products = torch.einsum("nd,rkd->nrk", left.double(), right[:, :k].double())
    return index, score, products + squares.double()


def drawn(n: int, runs: int, k: int, dim: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(n + k)
    x = torch.randn(n, dim, generator=generator).to(device)
    c = torch.randn(runs, k, dim, generator=generator).to(device)
    return x, c, c.square().sum(2)


@pytest.mark.parametrize(
    ("n", "runs", "k", "dim"),
    [(1, 1, 1, 1), (33, 2, 2, 64), (70, 3, 45, 100), (31, 1, 130, 200)],
)
def test_it_agrees_with_float64(n: int, runs: int, k: int, dim: int, device: torch.device):
    index, score, exact = found(*drawn(n, runs, k, dim, device))
    value, which = torch.sort(exact, dim=2, stable=True)
    most = min(k, 3)
    assert (score[..., :most] - value[..., :most]).abs().max() < 1e-3
    assert (score[..., most:] == torch.inf).all()
    assert (index[..., : min(k, 2)] == which[..., : min(k, 2)]).all()


def test_of_equal_centroids_the_lower_comes_first(device: torch.device):
    x, c, squares = drawn(40, 2, 70, 96, device)
    for other in (40, 41, 69):  # of the same tile, and of others
        c[:, other], squares[:, other] = c[:, 5], squares[:, 5]
    x[:20] = c[0, 5]
    index, score, _ = found(x, c, squares)
    assert (index[:20, 0] == torch.tensor([5, 40], device=device)).all()
    assert (score[:20, 0] == score[:20, 0, :1]).all()


def test_centroids_of_infinite_squares_are_never_nearest(device: torch.device):
    x, c, squares = drawn(40, 1, 40, 64, device)
    squares[:, ::2] = torch.inf
    index, score, exact = found(x, c, squares)
    assert (index % 2 == 1).all()
    assert torch.allclose(score.double(), exact.sort(2).values[..., :3], atol=1e-3)
    squares[:] = torch.inf
    _, score, _ = found(x, c, squares)
    assert (score == torch.inf).all()
