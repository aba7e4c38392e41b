"""Standardising: the statistics, dims without any deviation, and layers that take it in."""

import numpy as np
import pytest
import torch

from cluster.vectors.rows import ArrayRows, Subset
from cluster.vectors.standardize import fit_scale, fold_scale, identity_scale


def some(n: int = 9001, dim: int = 5) -> np.ndarray:
    """More than a tile of rows, dims far from 0."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, dim)) * [1, 0.01, 30, 2, 1] + [0, 50, 1000, -3, 0]).astype("f4")


def test_it_is_numpys_mean_and_deviation_in_float64():
    x = some()
    scale = fit_scale(ArrayRows(x))
    np.testing.assert_allclose(scale.mean, x.astype(np.float64).mean(0), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(scale.deviation, x.astype(np.float64).std(0), rtol=1e-6)
    assert scale.mean.dtype == scale.deviation.dtype == np.float32


def test_a_worked_example():
    scale = fit_scale(ArrayRows(np.array([[1, 7], [3, 7], [5, 7], [7, 7]], np.float32)))
    assert scale.mean.tolist() == [4, 7]
    assert scale.deviation.tolist() == [np.float32(5**0.5), 1]


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4, 3e7])
def test_a_dim_that_never_changes_has_deviation_one(value: float):
    x = some(100)
    x[:, 2] = value
    scale = fit_scale(ArrayRows(x))
    assert scale.deviation[2] == 1
    assert scale.mean[2] == np.float32(value)


def test_a_dim_that_differs_by_rounding_alone_is_not_blown_up():
    x = some(100)
    x[:, 2] = 1000
    x[::2, 2] = np.nextafter(np.float32(1000), np.float32(2000))
    assert fit_scale(ArrayRows(x)).deviation[2] == 1


def test_a_single_image_has_no_deviation():
    scale = fit_scale(ArrayRows(some(1)))
    assert (scale.deviation == 1).all()


def test_scaled_rows_have_mean_0_and_deviation_1():
    x = some()
    scale = fit_scale(Subset(ArrayRows(x), np.arange(1000, 8000)))
    y = ((x - scale.mean) / scale.deviation)[1000:8000]
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-3)


def test_a_layer_takes_the_scale_in():
    x, scale = some(50), fit_scale(ArrayRows(some()))
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 3, 5, generator=generator).double()
    bias = torch.randn(2, 3, generator=generator).double()
    plain_weight, plain_bias = fold_scale(weight, bias, scale)
    wide, mean, deviation = (torch.from_numpy(each).double() for each in (x, *scale))
    expected = ((wide - mean) / deviation) @ weight.mT + bias[:, None]
    found = wide @ plain_weight.mT + plain_bias[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_no_scale_changes_nothing():
    weight, bias = torch.randn(1, 3, 5), torch.randn(1, 3)
    same = fold_scale(weight, bias, identity_scale(5))
    assert torch.equal(same[0], weight)
    assert torch.equal(same[1], bias)


def test_a_dim_of_the_rounding_of_float16_is_constant():
    """Between two numbers that float16 has, some rows take the one and some the other."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=500), 3.0009 + 1e-5 * rng.normal(size=500)], axis=1)
    x = x.astype(np.float16).astype(np.float32)
    x[::2, 1] = np.nextafter(np.float16(3), np.float16(4))
    assert fit_scale(ArrayRows(x), "float16").deviation[1] == 1
    assert fit_scale(ArrayRows(x), "float32").deviation[1] < 1e-2


def test_one_deviation_keeps_the_proportions_of_the_dims():
    """Of deviations 3 and 4 and a constant dim: the root of (9 + 16 + 0) / 3."""
    x = np.array([[3, 4, 7], [-3, 4, 7], [3, -4, 7], [-3, -4, 7]], np.float32)
    scale = fit_scale(ArrayRows(x), each_dim=False)
    np.testing.assert_allclose(scale.deviation, np.full(3, np.sqrt(25 / 3)), rtol=1e-6)
    np.testing.assert_allclose(scale.mean, [0, 0, 7], atol=1e-6)
    assert (fit_scale(ArrayRows(x[:1]), each_dim=False).deviation == 1).all()
