"""What the tests of GCD's and SimGCD's objectives share: images, and a contrast by plain loops."""

import math

import numpy as np
import torch

from cluster.objectives import Drawn

DIM = 6
LABEL = np.array([0, -1, 1, -1, -1, 0, -1, -1, 1, -1, -1, 0])


def drawn(images: np.ndarray) -> Drawn:
    return Drawn(np.stack([images, images]), LABEL[images])


def features(images: int = 8) -> torch.Tensor:
    return torch.randn(2, images, DIM, generator=torch.Generator().manual_seed(0))


def contrast(z: np.ndarray, group: list[int], temperature: float) -> float:
    """z: [vector, width]; the mean over anchors of minus the mean log share of their group."""
    losses = []
    for i in range(len(z)):
        e = [math.exp(z[i] @ other / temperature) for other in z]
        own = [a for a in range(len(z)) if a != i and group[a] == group[i]]
        losses.append(-np.mean([math.log(e[a] / (sum(e) - e[i])) for a in own]))
    return float(np.mean(losses))
