"""The Poincaré ball: vectors are clipped and mapped into it, and compared and classified there.

After HypCD (Liu, He and Han, CVPR 2025, arXiv:2504.06120), which takes its layers from Ganea et al.
(hyperbolic neural networks, arXiv:1805.09112) and the clipping from Guo et al. (arXiv:2107.11472).
In the ball of curvature -c, of radius 1 / sqrt(c):

    clip   z min(1, r / |z|)                                      so that gradients do not vanish
    exp    exp0(z) = tanh(sqrt(c) |z|) z / (sqrt(c) |z|)
    dist   d(x, y) = 2 / sqrt(c) artanh(sqrt(c) |-x + y|), + that of Möbius
    linear M exp0(z), the product of Möbius, = exp0(M z)

But: distances are computed as 2 / sqrt(c) arsinh(sqrt(c |x - y|² / ((1 - c |x|²) (1 - c |y|²)))),
which is the same and exact near 0 and near the border. The linear layer has no bias, as SimGCD's
prototypes have none: exp0 keeps the order of its inputs, so that the class of an image is that of a
linear head, which every reader of heads knows. As c goes to 0, exp and linear are Euclidean, and d
is 2 |x - y|.
"""

from typing import NamedTuple

import torch

BORDER = 1e-3  # share of the radius that points keep from the border, as published
ROUNDING = 1e-6  # squared distances below this fraction of the squared lengths count as 0


class Ball(NamedTuple):
    """curvature: c, above 0; clip: r, the greatest length before vectors are mapped into it."""

    curvature: float
    clip: float


def clipped(z: torch.Tensor, length: float) -> torch.Tensor:
    """Vectors (the last axis) that are longer are scaled to `length`."""
    square = z.square().sum(-1, keepdim=True)
    longer = square > length**2
    # The square root is taken of longer ones alone: at 0 its gradient would be infinite
    return torch.where(longer, z * (length * square.where(longer, 1.0).rsqrt()), z)


def exp_map(z: torch.Tensor, curvature: float) -> torch.Tensor:
    """exp0: tangent vectors at the origin (the last axis) to points of the ball."""
    square = curvature * z.square().sum(-1, keepdim=True)
    small = square < 1e-8  # where tanh(s) / s is 1 - s² / 3
    s = square.where(~small, 1.0).sqrt()
    within = s.tanh().clamp(max=1 - BORDER)  # a share of the radius
    return z * torch.where(small, 1 - square / 3, within / s)


def into_ball(z: torch.Tensor, ball: Ball) -> torch.Tensor:
    """Clip vectors (the last axis) and map them into the ball."""
    return exp_map(clipped(z, ball.clip), ball.curvature)


def pairwise_distances(points: torch.Tensor, curvature: float) -> torch.Tensor:
    """points: [point, dim] of the ball → float32 [point, point]; distances of equal points are 0
    with gradient 0."""
    x = points.float()
    with torch.autocast(x.device.type, enabled=False):  # else products would be bfloat16
        lengths = x.square().sum(1)
        y = x - x.detach().mean(0)  # else points that lie close together lose digits
        about = y.square().sum(1)
        both = about[:, None] + about
        square = both - 2 * (y @ y.T)
        inner = (1 - curvature * lengths).clamp(min=BORDER)
        of = curvature * square / (inner[:, None] * inner)
    different = square > ROUNDING * both
    root = of.where(different, 1.0).sqrt()
    return torch.where(different, 2 / curvature**0.5 * root.asinh(), 0.0)
