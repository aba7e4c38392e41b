"""Low-precision products stay within their bound, and change no answer."""

import numpy as np
import pytest
import torch
from blobs import DEVICES, blobs

from cluster.kernels import low_precision as module
from cluster.kernels.low_precision import BFLOAT16, MatmulPrecision, fast_precision
from cluster.kmeans.api import kmeans
from cluster.kmeans.nearest import nearest, prepare_centroids
from cluster.vectors.rows import ArrayRows


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().float()


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of bfloat16 on any processor, as on those with AMX."""
    precision = MatmulPrecision(2 * BFLOAT16 + BFLOAT16**2, "bf16", torch.backends.mkldnn.matmul)
    for user in ("kmeans.nearest", "kernels.norms"):
        monkeypatch.setattr(f"cluster.{user}.fast_precision", lambda device: precision)
    monkeypatch.setattr("cluster.kmeans.nearest.FEWEST_COLUMNS", 1)
    monkeypatch.setattr("cluster.kmeans.nearest.FEWEST_DIMS", 1)


def products(
    precision: MatmulPrecision, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """x·y in low precision, and how much of it is the rounding of the results."""
    if precision.precision == "bf16":
        found = (x.bfloat16() @ y.bfloat16().T).float()
        return found, BFLOAT16 * found.abs()
    with precision.applied():
        found = x @ y.T
    return found, torch.zeros_like(found)


def exact(x: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.square(x[:, None].astype(np.float64) - c).sum(2).argmin(1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_error_stays_within_its_bound(device: str, scale: float):
    generator = torch.Generator().manual_seed(0)
    x = scale * torch.randn(512, 768, generator=generator).to(device)
    y = torch.rand(256, 768, generator=generator).to(device) ** 8  # most of it in few dims
    precision = fast_precision(device)
    found, rounding = products(precision, x, y)
    off = (found.double() - x.double() @ y.double().T).abs() - rounding
    left, right = x.norm(dim=1)[:, None], y.norm(dim=1)
    residuals = precision.residual(x)[:, None], precision.residual(y)
    bound = residuals[0] * right + (left + residuals[0]) * residuals[1] + 1e-5 * left * right
    assert (off <= bound).all()
    assert (bound <= (precision.error + 1e-5) * left * right * 1.0001).all()


@pytest.mark.parametrize("device", DEVICES)
def test_the_bound_holds_for_numbers_that_round_worst(device: str):
    x = torch.full((64, 768), 1 + 2.0**-8 - 2.0**-20, device=device)
    precision = fast_precision(device)
    found, rounding = products(precision, x, x)
    off = (found.double() - x.double() @ x.double().T).abs() - rounding
    off = off.max() / x[0].square().sum()
    assert off <= precision.error + 1e-5
    if device == "cpu" and precision.error:
        assert off > precision.error / 3  # or the test shows nothing


def test_the_precision_is_restored():
    switch = torch.backends.mkldnn.matmul
    before = switch.fp32_precision
    precision = MatmulPrecision(0.1, "bf16", switch)

    def fail() -> None:
        with precision.applied():
            raise KeyError(switch.fp32_precision)

    with pytest.raises(KeyError, match="bf16"):
        fail()
    assert switch.fp32_precision == before


def test_a_processor_without_it_uses_full_precision(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: False)
    assert fast_precision("cpu").error == 0


@pytest.mark.parametrize(("speed_up", "fast"), [(4.0, True), (1.2, False)])
def test_what_is_fast_is_measured(speed_up: float, fast: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_speed_up", lambda x, y: speed_up)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert module.bfloat16_is_fast.__wrapped__() == fast
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not module.bfloat16_is_fast.__wrapped__()


def test_times_are_those_of_products_in_both_arithmetics():
    assert 0.01 < module._speed_up(torch.ones(64, 64), torch.ones(32, 64)) < 100


@pytest.mark.usefixtures("amx")
def test_float64_decides_what_low_precision_cannot():
    rng = np.random.default_rng(0)
    c = rng.normal(size=(300, 64)).astype(np.float32)
    near = c[rng.integers(300, size=2000)] + c[rng.integers(300, size=2000)]
    x = (near / 2 + 1e-4 * rng.normal(size=near.shape)).astype(np.float32)
    rough = np.square(c).sum(1) - 2 * (rounded(torch.tensor(x)) @ torch.tensor(c).T).numpy()
    assert (rough.argmin(1) != exact(x, c)).mean() > 0.1  # or the test shows nothing
    rows = torch.from_numpy(x)
    found = nearest(rows, rows.norm(dim=1), prepare_centroids(torch.from_numpy(c[None])))
    np.testing.assert_array_equal(found.cluster[:, 0], exact(x, c))


@pytest.mark.usefixtures("amx")
def test_bounds_hold_after_low_precision_products():
    rng = np.random.default_rng(1)
    x, c = (rng.normal(size=(n, 40)).astype(np.float32) for n in (500, 60))
    rows = torch.from_numpy(x)
    found = nearest(rows, rows.norm(dim=1), prepare_centroids(torch.from_numpy(c[None])))
    distance = np.sort(np.linalg.norm(x[:, None].astype(np.float64) - c, axis=2), axis=1)
    assert (found.upper[:, 0].numpy() >= distance[:, 0]).all()
    assert (found.lower[:, 0].numpy() <= distance[:, 1]).all()


def test_low_precision_finds_the_same_clusters(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    rows, settings = ArrayRows(blobs(2000, spread=3.0)), {"seeds": [0, 1], "n_init": 2}
    monkeypatch.setattr(module, "bfloat16_is_fast", lambda: False)
    plain = kmeans(rows, 60, **settings, max_iter=50, tol=0)
    request.getfixturevalue("amx")
    low = kmeans(rows, 60, **settings, max_iter=50, tol=0)
    np.testing.assert_array_equal(plain.centroids, low.centroids)
    np.testing.assert_array_equal(plain.iterations, low.iterations)
