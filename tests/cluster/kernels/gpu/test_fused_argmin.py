"""Clusters by the fused product are those of exact arithmetic; bounds hold."""

import numpy as np
import pytest
import torch
from like_gpu import kernels

from cluster.kernels.argmin_cpu import ArgminProblem, ArgminResult, certified_argmin
from cluster.kernels.gpu.fused_argmin import fused_argmin, fused_centroids
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.low_precision import full_precision, fused_precision

N, K, DIM = 90, 50, 70


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    return torch.device(kernels(monkeypatch))


def images(kind: str, c: np.ndarray) -> np.ndarray:
    """Images that are clear, near the middle of two or of four centroids, or very near one."""
    rng = np.random.default_rng(1)
    some = c[0][rng.integers(K, size=(4, N))]
    if kind == "clear":
        return some[0] + 0.1 * rng.normal(size=(N, DIM))
    if kind == "near two":
        return some[:2].mean(0) + 1e-4 * rng.normal(size=(N, DIM))
    if kind == "near four":
        return some.mean(0) + 1e-5 * rng.normal(size=(N, DIM))
    return some[0] * (1 + 1e-7)


def problem_of(x: torch.Tensor, c: torch.Tensor, fused: bool) -> ArgminProblem:
    precision = fused_precision() if fused else full_precision("cpu")
    squares, norms = c.double().square().sum(2), x.norm(dim=1)
    longest, far = squares.amax(1).sqrt().float(), norms[:, None]
    rest_x, rest_c = precision.residual(x)[:, None], precision.residual(c.flatten(0, 1))
    rest_c = rest_c.view(squares.shape).amax(1)
    error = precision.rounding(DIM) * longest * (far + longest)
    error = error + 2 * (rest_x * longest + (far + rest_x) * rest_c)
    row = torch.arange(len(x), device=x.device)
    return ArgminProblem(squares.float().ravel(), error, x, row, norms, c, squares)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("kind", ["clear", "near two", "near four", "equal"])
def test_it_is_the_answer_of_the_cpu(
    kind: str, runs: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cluster.kernels.gpu.fused_argmin.cells_on_gpu", lambda device: 7 * K)
    rng = np.random.default_rng(0)
    c = rng.normal(size=(runs, K, DIM)).astype(np.float32)
    c[:, 31] = c[:, 4]  # a tie: the lower cluster
    c[:, 40:43] = c[:, 4:5] * np.float32(1 + 2.0**-20)
    x = images(kind, c).astype(np.float32)
    there, centroids = torch.from_numpy(x).to(device), torch.from_numpy(c).to(device)
    problem = problem_of(there, centroids, True)
    to = fused_centroids(centroids, problem.exact_squares.float())
    assert to is not None
    found = fused_argmin(padded_bf16(there), to, problem)
    own = problem_of(torch.from_numpy(x), torch.from_numpy(c), False)
    expected = ArgminResult(
        torch.empty(N, runs, dtype=torch.int64), *(torch.empty(N, runs) for _ in range(2))
    )
    products = torch.from_numpy(-2 * x @ c.reshape(-1, DIM).T)
    certified_argmin(products, own, expected)
    np.testing.assert_array_equal(found.cluster.cpu(), expected.cluster)
    exact = (
        np.square(x[:, None, None].astype(np.float64) - c).sum(3)
        - np.square(x.astype(np.float64)).sum(1)[:, None, None]
    )
    score = np.take_along_axis(exact, found.cluster.cpu().numpy()[..., None], 2)[..., 0]
    np.put_along_axis(exact, found.cluster.cpu().numpy()[..., None], np.inf, 2)
    slack = 1e-5 * np.square(x).sum(1)[:, None]
    assert (found.upper.cpu().numpy() >= score - slack).all()
    assert (found.lower.cpu().numpy() <= exact.min(2) + slack).all()


def test_numbers_that_overflow_are_in_doubt_and_compared_in_float64(device: torch.device):
    c = torch.eye(8, 64, device=device)[None] * 3e18
    x = c[0, [3, 5]] * 0.9
    problem = problem_of(x, c, True)._replace(error=torch.full((2, 1), torch.nan, device=device))
    to = fused_centroids(c, problem.exact_squares.float())
    assert to is not None
    assert fused_argmin(padded_bf16(x), to, problem).cluster.ravel().tolist() == [3, 5]
