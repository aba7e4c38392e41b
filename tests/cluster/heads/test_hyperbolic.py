"""The Poincaré ball: formulas against plain ones in float64, borders, gradients, no curvature."""

import math

import numpy as np
import pytest
import torch
from conftest import one_thread

from cluster.heads.hyperbolic import Ball, clipped, exp_map, into_ball, pairwise_distances

_quick = pytest.fixture(autouse=True)(one_thread)
C = 0.1


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_exp(z: np.ndarray, c: float) -> np.ndarray:
    length = math.sqrt(c) * np.linalg.norm(z)
    return z if length == 0 else math.tanh(length) * z / length


def moebius_add(x: np.ndarray, y: np.ndarray, c: float) -> np.ndarray:
    xy, xx, yy = x @ y, x @ x, y @ y
    above = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return above / (1 + 2 * c * xy + c * c * xx * yy)


def plain_distance(x: np.ndarray, y: np.ndarray, c: float) -> float:
    return 2 / math.sqrt(c) * math.atanh(math.sqrt(c) * np.linalg.norm(moebius_add(-x, y, c)))


def moebius_times(m: np.ndarray, x: np.ndarray, c: float) -> np.ndarray:
    """The product of a matrix and a point (Ganea et al., eq. 27)."""
    mx, root = m @ x, math.sqrt(c)
    a, b = np.linalg.norm(mx), np.linalg.norm(x)
    return math.tanh(a / b * math.atanh(root * b)) * mx / (a * root)


def test_by_hand():
    """c = 1: the point of the tangent vector artanh(.5) is .5, and lies log 3 from the centre."""
    z = torch.tensor([[math.atanh(0.5), 0.0], [0.0, 0.0], [-math.atanh(0.5), 0.0]])
    points = exp_map(z, 1.0)
    np.testing.assert_allclose(points, [[0.5, 0], [0, 0], [-0.5, 0]], atol=1e-6)
    away = pairwise_distances(points, 1.0)
    expected = math.log(3) * np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    np.testing.assert_allclose(away, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("c", [0.05, 0.1, 1.0])
def test_points_distances_and_logits_are_those_of_plain_formulas_in_float64(c: float):
    z, weight = clipped(3 * normal(9, 6), 2.0), normal(4, 6, seed=1) / 2
    points = exp_map(z, c)
    exact = np.stack([plain_exp(row, c) for row in z.double().numpy()])
    np.testing.assert_allclose(points, exact, rtol=1e-5)
    away = [[plain_distance(x, y, c) for y in exact] for x in exact]
    np.testing.assert_allclose(pairwise_distances(points, c), away, rtol=2e-4, atol=2e-4)
    logits = [moebius_times(weight.double().numpy(), x, c) for x in exact]
    np.testing.assert_allclose(exp_map(z @ weight.T, c), logits, rtol=1e-4, atol=1e-6)


def test_the_layer_keeps_the_order_of_its_classes():
    linear = 5 * normal(50, 7)
    np.testing.assert_array_equal(exp_map(linear, C).argsort(1), linear.argsort(1))


def test_without_curvature_all_is_euclidean_and_distances_are_twice_as_long():
    z = normal(8, 5)
    points = exp_map(z, 1e-9)
    np.testing.assert_allclose(points, z, rtol=1e-5)
    np.testing.assert_allclose(
        pairwise_distances(points, 1e-9), 2 * torch.cdist(z, z), rtol=1e-4, atol=1e-5
    )


def test_vectors_that_are_longer_are_clipped_and_others_stay():
    z = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(clipped(z, 1.0), [[0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-6)


def test_a_direction_turned_by_a_rotation_changes_no_distance():
    points = into_ball(normal(7, 5), Ball(C, 2.0))
    turn = torch.linalg.qr(normal(5, 5, seed=3))[0]
    np.testing.assert_allclose(
        pairwise_distances(points @ turn, C), pairwise_distances(points, C), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-12, 1e-4, 1.0, 1e3, 1e15])
def test_gradients_are_finite_in_the_centre_at_the_border_and_between(length: float):
    z = (torch.nn.functional.normalize(normal(5, 4), dim=1) * length).requires_grad_()
    for points in (exp_map(z, C), into_ball(z, Ball(C, 2.0)), exp_map(clipped(z, 50.0), C)):
        assert (points.norm(dim=1) < C**-0.5).all()
        away = pairwise_distances(points, C)
        assert away.isfinite().all()
        (gradient,) = torch.autograd.grad(away.sum() + points.sum(), z, retain_graph=True)
        assert gradient.isfinite().all()


def test_equal_points_lie_at_distance_0_with_gradient_0():
    point = into_ball(normal(1, 4), Ball(C, 2.0)).expand(3, 4).clone().requires_grad_()
    away = pairwise_distances(point, C)
    assert (away == 0).all()
    away.sum().backward()
    assert (point.grad == 0).all()


def test_points_close_together_near_the_border_keep_their_distance():
    a = np.array([2.9, 0.4, 0.1])
    b = a + np.array([0.0, 1e-3, 0.0])
    points = torch.from_numpy(np.stack([a, b])).float()
    found = float(pairwise_distances(points, C)[0, 1])
    assert found == pytest.approx(plain_distance(a, b, C), rel=5e-3)
