"""Vectors like a backbone's, made where they are used, and what is true of them in float64."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_timing import once
from cluster.vectors.rows import ArrayRows

CELLS = 2**28  # products at once
CLASSES = 200


class Vectors(NamedTuple):
    """The same vectors on the device, float32 [image, dim], and in RAM; class: int64 [image]."""

    x: torch.Tensor
    rows: ArrayRows
    label: torch.Tensor


def vectors(images: int, dim: int, device: str, found: list[Vectors], classes: int = CLASSES
            ) -> Iterator[Row]:  # fmt: skip
    """Put them in `found`; rows of what the copies take, which counts for no other row."""
    made: list[tuple[torch.Tensor, torch.Tensor]] = []
    took = once(lambda: made.append(features(images, dim, device, classes)), device)
    (x, label), host = made[0], list[np.ndarray]()
    copied = once(lambda: host.append(x.cpu().numpy()), device)
    found.append(Vectors(x, ArrayRows(host[0]), label))
    sent = once(lambda: torch.from_numpy(host[0]).to(device), device)
    said = f"{took:.2g} s to make them, {copied:.2g} s to copy them to RAM; ours starts there"
    yield row(f"{images:,} x {dim}: the upload alone", sent, "s", said, device)


def features(images: int, dim: int, device: str, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors, float32 [image, dim], and their classes, int64 [image]: classes that overlap,
    and a spectrum that decays."""
    generator = torch.Generator(device).manual_seed(0)
    scale = torch.arange(1, dim + 1, device=device) ** -0.5
    centre = torch.randn(classes, dim, device=device, generator=generator) * scale
    label = torch.randint(classes, (images,), device=device, generator=generator)
    square = torch.randn(dim, dim, device=device, generator=generator)
    rotation = torch.linalg.qr(square.cpu())[0].to(device)
    x = torch.randn(images, dim, device=device, generator=generator)
    for part, own in zip(x.split(2**16), label.split(2**16), strict=True):
        part.mul_(scale).add_(centre[own])
        part.copy_(torch.nn.functional.normalize(part @ rotation, dim=1))
    return x, label


def inertia(x: torch.Tensor, centroids: np.ndarray | torch.Tensor) -> float:
    """In float64, which also decides which centroid [cluster, dim] is the nearest."""
    c, total = torch.as_tensor(centroids).to(x.device).double(), 0.0
    squares = c.square().sum(1)
    for part in x.split(max(1, CELLS // 4 // len(c))):
        wide = part.double()
        nearest = torch.addmm(squares, wide, c.T, alpha=-2).argmin(1)
        total += float((wide - c[nearest]).square().sum())
    return total
