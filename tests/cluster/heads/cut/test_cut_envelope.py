"""The factors of clusters: against scipy, a plain loop, and by hand."""

import numpy as np
import pytest
import torch
from scipy.special import hyp2f1

from cluster.heads.cut.envelope import (
    degree_bins,
    hypergeometric,
    hypergeometric_bins,
    inverse_share,
)

SHARES = torch.tensor([1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 1 - 1e-6], dtype=torch.float64)


@pytest.mark.parametrize("m", [1, 2, 17, 512])
def test_the_closed_form_is_that_of_scipy(m: int):
    expected = hyp2f1(-m, 1, 2, SHARES.numpy())
    np.testing.assert_allclose(hypergeometric(SHARES, m), expected, rtol=1e-9)


def test_by_hand_it_is_the_mean_of_1_over_1_and_a_binomial_number():
    """m = 2, a = 1/2: X is 0, 1, 2 with 1/4, 1/2, 1/4: 1/4 + 1/4 + 1/12."""
    assert hypergeometric(torch.tensor([0.5]).double(), 2).item() == pytest.approx(7 / 12)


def test_shares_of_0_and_1_are_finite_and_so_are_their_slopes():
    for of in (inverse_share, lambda a: hypergeometric(a, 512)):
        share = torch.tensor([0.0, 1.0], requires_grad=True)
        factor = of(share)
        (slope,) = torch.autograd.grad(factor.sum(), share)
        assert torch.isfinite(factor).all()
        assert torch.isfinite(slope).all()
    assert hypergeometric(torch.tensor([0.0]), 512).item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("m", [3, 512])
def test_the_factors_of_bins_are_products_of_scipys(m: int):
    degree = np.array([0.5, 0.6, 2, 2.5, 40])
    bins = degree_bins(degree, 16)
    share = torch.tensor([[0.02, 0.3], [0.5, 0.18]]).double()
    found = hypergeometric_bins(share, m, *map(torch.from_numpy, bins[1:]))
    for b, mean in enumerate(bins.mean):
        expected = np.ones((2, 2))
        for least, weight in zip(bins.least, bins.share, strict=True):
            expected *= hyp2f1(-m, 1, mean / least + 1, share.numpy()) ** weight
        np.testing.assert_allclose(found[b], expected, rtol=1e-9)


def test_equal_degrees_make_one_bin_whose_factor_is_that_of_the_ratio_cut():
    bins = degree_bins(np.full(9, 3.0), 16)
    assert (bins.mean.tolist(), bins.least.tolist(), bins.share.tolist()) == ([3], [3], [1])
    found = hypergeometric_bins(SHARES, 512, *map(torch.from_numpy, bins[1:]))
    np.testing.assert_allclose(found[0], hypergeometric(SHARES, 512), rtol=1e-9)


def test_the_slopes_of_the_factors_are_finite_differences():
    bins = degree_bins(np.array([1.0, 2, 3, 9]), 4)
    for of in (
        inverse_share,
        lambda a: hypergeometric(a, 50),
        lambda a: hypergeometric_bins(a, 50, *map(torch.from_numpy, bins[1:])),
    ):
        share = torch.tensor([0.05, 0.4, 0.7]).double().requires_grad_()
        assert torch.autograd.gradcheck(of, (share,))


def test_bins_have_equal_width_in_log_degree_and_empty_ones_are_dropped():
    degree = np.array([1, 1.5, 10, 12, 100.0])  # three bins: [1, 4.6), [4.6, 21), [21, 100]
    bins = degree_bins(degree, 3)
    assert bins.bin.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(bins.mean, [1.25, 11, 100])
    assert bins.least.tolist() == [1, 10, 100]
    np.testing.assert_allclose(bins.share, [0.4, 0.4, 0.2])
    assert degree_bins(np.array([1.0, 100.0]), 3).bin.tolist() == [0, 1]
