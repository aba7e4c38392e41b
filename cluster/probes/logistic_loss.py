"""The cross-entropy of a linear layer and its gradient, written out: nothing of an image is kept.

On a CPU the same to the bit at any number of threads: each core takes parts of fixed size.
"""

import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.threads import on_cores

PART = 1024  # rows that a core takes at once
_own = threading.local()  # each thread's room for one part


class Layer(NamedTuple):
    """x → weight ((x - mean) / deviation) + bias; float32 [dim], [dim], [class, dim], [class]."""

    mean: torch.Tensor
    deviation: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor


def cross_entropy(
    tiles: Iterable[tuple[slice, torch.Tensor]], target: torch.Tensor, layer: Layer
) -> tuple[float, torch.Tensor]:
    """Summed over all images, in float64 over the tiles: the loss, and its gradient by weight and
    bias side by side, float64 [class, dim + 1].

    tiles: which rows, and those rows, float32 [image, dim]; target: int64 [all images].
    """
    total, slope = (
        0.0,
        torch.zeros(
            len(layer.weight), layer.weight.shape[1] + 1, dtype=torch.float64, device=target.device
        ),
    )
    for here, x in tiles:
        loss, part = (on_gpu if x.is_cuda else on_cpu)(x, target[here], layer)
        total += loss
        slope += part
    return total, slope


def on_gpu(x: torch.Tensor, own: torch.Tensor, layer: Layer) -> tuple[float, torch.Tensor]:
    """Of one tile, on any device."""
    z = (x - layer.mean) / layer.deviation
    share = torch.log_softmax(torch.addmm(layer.bias, z, layer.weight.T), 1)
    loss = -float(share.gather(1, own[:, None]).sum(dtype=torch.float64))
    excess = share.exp_()
    excess[torch.arange(len(own), device=x.device), own] -= 1
    return loss, torch.cat([excess.T @ z, excess.sum(0)[:, None]], 1)


def on_cpu(x: torch.Tensor, own: torch.Tensor, layer: Layer) -> tuple[float, torch.Tensor]:
    """Of one tile; many times faster than the above when another program is busy too."""
    vectors, output = x.numpy(), own.numpy()
    mean, deviation, weight, bias = (each.numpy() for each in layer)
    starts = range(0, len(vectors), PART)
    losses = np.empty(len(starts))
    slopes = np.empty((len(starts), len(weight), weight.shape[1] + 1), np.float32)

    def part(start: int) -> None:
        x = vectors[start : start + PART]
        z = np.subtract(x, mean, out=_room(x.shape))
        z /= deviation
        hit = np.arange(len(z)), output[start : start + PART]
        share = z @ weight.T + bias
        share -= share.max(axis=1, keepdims=True)
        share -= np.log(np.exp(share).sum(axis=1, keepdims=True))
        losses[start // PART] = -share[hit].sum(dtype=np.float64)
        excess = np.exp(share, out=share)
        excess[hit] -= 1
        slopes[start // PART, :, :-1] = excess.T @ z
        slopes[start // PART, :, -1] = excess.sum(axis=0)

    on_cores(part, starts)
    return float(losses.sum()), torch.from_numpy(slopes.sum(axis=0, dtype=np.float64))


def _room(shape: tuple[int, int]) -> np.ndarray:
    """float32 of this shape, the same memory at each call: new pages cost more than the sums."""
    size = shape[0] * shape[1]
    if len(getattr(_own, "room", ())) < size:
        _own.room = np.empty(size, np.float32)
    return _own.room[:size].reshape(shape)
