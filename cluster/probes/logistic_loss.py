"""The cross-entropy of a linear layer and its gradient, computed without autograd or its memory.

On a CPU, results are equal to the bit for any number of threads, since chunks have a fixed size.
"""

import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.threads import on_cores

CHUNK_ROWS = 1024  # rows that a thread processes at once
_own = threading.local()  # the buffer of each thread


class Layer(NamedTuple):
    """x → weight ((x - mean) / deviation) + bias; float32 [dim], [dim], [class, dim], [class]."""

    mean: torch.Tensor
    deviation: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor


def cross_entropy(
    tiles: Iterable[tuple[slice, torch.Tensor]], target: torch.Tensor, layer: Layer
) -> tuple[float, torch.Tensor]:
    """The sums over all images, tiles added in float64: of the loss, and of its gradient by weight
    and bias, concatenated to float64 [class, dim + 1].

    tiles: a slice of the rows, and these rows, float32 [image, dim]; target: int64 [all images].
    """
    shape = len(layer.weight), layer.weight.shape[1] + 1
    gradient = torch.zeros(shape, dtype=torch.float64, device=target.device)
    total: float | torch.Tensor = 0.0  # stays on a GPU, which then is waited for once a pass
    for here, x in tiles:
        loss, of_tile = (on_gpu if x.is_cuda else on_cpu)(x, target[here], layer)
        total = total + loss
        gradient += of_tile
    return float(total), gradient


def on_gpu(x: torch.Tensor, own: torch.Tensor, layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss (float64, scalar) and gradient of one tile, on any device; none is waited for."""
    z = (x - layer.mean) / layer.deviation
    log_p = torch.log_softmax(torch.addmm(layer.bias, z, layer.weight.T), 1)
    loss = -log_p.gather(1, own[:, None]).sum(dtype=torch.float64)
    error = log_p.exp_()
    error[torch.arange(len(own), device=x.device), own] -= 1
    return loss, torch.cat([error.T @ z, error.sum(0)[:, None]], 1)


def on_cpu(x: torch.Tensor, own: torch.Tensor, layer: Layer) -> tuple[float, torch.Tensor]:
    """The loss and gradient of one tile; many times faster than `on_gpu` on a CPU whose cores are
    busy with another program."""
    vectors, output = x.numpy(), own.numpy()
    mean, deviation, weight, bias = (each.numpy() for each in layer)
    starts = range(0, len(vectors), CHUNK_ROWS)
    losses = np.empty(len(starts))
    gradients = np.empty((len(starts), len(weight), weight.shape[1] + 1), np.float32)

    def chunk(start: int) -> None:
        x = vectors[start : start + CHUNK_ROWS]
        z = np.subtract(x, mean, out=_buffer(x.shape))
        z /= deviation
        own_class = np.arange(len(z)), output[start : start + CHUNK_ROWS]
        log_p = z @ weight.T + bias
        log_p -= log_p.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        losses[start // CHUNK_ROWS] = -log_p[own_class].sum(dtype=np.float64)
        error = np.exp(log_p, out=log_p)
        error[own_class] -= 1
        gradients[start // CHUNK_ROWS, :, :-1] = error.T @ z
        gradients[start // CHUNK_ROWS, :, -1] = error.sum(axis=0)

    on_cores(chunk, starts)
    return float(losses.sum()), torch.from_numpy(gradients.sum(axis=0, dtype=np.float64))


def _buffer(shape: tuple[int, int]) -> np.ndarray:
    """float32 of this shape; reuses memory, since new pages take longer than the arithmetic."""
    size = shape[0] * shape[1]
    if len(getattr(_own, "buffer", ())) < size:
        _own.buffer = np.empty(size, np.float32)
    return _own.buffer[:size].reshape(shape)
