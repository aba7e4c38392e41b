"""Learned heads, which map a vector to the probabilities of the clusters; seeds are stacked.

The temperature is folded into the last layer and a standardisation into the first, so that a head
applies to unscaled vectors, and a reader in another language needs nothing but these arrays.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles

CELLS = 64_000_000  # outputs of a layer held at once (256 MB)


class Linear(NamedTuple):
    """x → weight x + bias: float32 [seed, cluster, dim] and [seed, cluster]."""

    weight: np.ndarray
    bias: np.ndarray


class Mlp(NamedTuple):
    """x → Linear, GELU, Linear, divided by its L2 norm, Linear without bias; all float32.

    hidden_weight [seed, hidden, dim], hidden_bias [seed, hidden], bottleneck_weight [seed,
    bottleneck, hidden], bottleneck_bias [seed, bottleneck], prototypes [seed, cluster, bottleneck].
    """

    hidden_weight: np.ndarray
    hidden_bias: np.ndarray
    bottleneck_weight: np.ndarray
    bottleneck_bias: np.ndarray
    prototypes: np.ndarray


Head = TypeVar("Head", bound=Linear | Mlp)


def stacked(heads: Sequence[Head]) -> Head:
    """Heads of the same form as one, concatenated along the first axis."""
    layers = zip(*heads, strict=True)
    return type(heads[0])(*(np.concatenate(layer) for layer in layers))


class Predicted(NamedTuple):
    """assignment: int32 [seed, image], ties: the lower cluster; probability: float32 [seed, image],
    that of the assigned cluster."""

    assignment: np.ndarray
    probability: np.ndarray


def predict(
    rows: Rows, head: Linear | Mlp, *, ensemble: bool = False, device: str = "cpu"
) -> Predicted:
    """The most probable cluster of each row by each seed's head; `ensemble`: by the mean of their
    probabilities, [1, image]."""
    layers = [torch.as_tensor(array, device=device) for array in head]
    seeds, widest = len(layers[0]), max(layer.shape[1] for layer in layers)
    n = 1 if ensemble else seeds
    out = Predicted(np.empty((n, len(rows)), np.int32), np.empty((n, len(rows)), np.float32))
    outputs = mlp if isinstance(head, Mlp) else linear
    for here, x in tiles(rows, device):
        at = here.start
        for part in x.split(max(1, CELLS // (seeds * widest))):
            probability = outputs(part, *layers).softmax(1)
            if ensemble:
                probability = probability.mean(0, keepdim=True)
            best, cluster = probability.max(1)
            out.assignment[:, at : at + len(part)] = cluster.cpu().numpy()
            out.probability[:, at : at + len(part)] = best.cpu().numpy()
            at += len(part)
    return out


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """x [image, dim] → [head, cluster, image], of the dtype of all three.

    One matrix product for all heads, which read the same x. Images are the last axis, which makes
    a softmax over few clusters several times faster.
    """
    flat = torch.addmm(bias.reshape(-1, 1), weight.flatten(0, 1), x.T)
    return flat.view(*weight.shape[:2], len(x))


def mlp(
    x: torch.Tensor,
    hidden_weight: torch.Tensor,
    hidden_bias: torch.Tensor,
    bottleneck_weight: torch.Tensor,
    bottleneck_bias: torch.Tensor,
    prototypes: torch.Tensor,
) -> torch.Tensor:
    """x [image, dim], of the dtype of the weights → logits, float32 [head, cluster, image]."""
    z = torch.nn.functional.gelu(linear(x, hidden_weight, hidden_bias))
    z = torch.baddbmm(bottleneck_bias[..., None], bottleneck_weight, z)
    # A sum of squares, since torch's norm along this axis takes up to eight times as long. The
    # logits are divided, not z, since they are fewer.
    square = (z * z).sum(1, keepdim=True, dtype=torch.float32)
    return torch.bmm(prototypes, z).float() * square.clamp(min=1e-24).rsqrt()
