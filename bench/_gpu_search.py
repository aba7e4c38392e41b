"""k-means and exact neighbours on a GPU, held to float64, beside what plain torch does."""

import time
from collections.abc import Iterator

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_device import once, seconds
from cluster.kernels.low_precision import fast_precision, full_precision
from cluster.kmeans.api import Fit, kmeans
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows

CELLS = 2**28  # products at once
AGREES = 1e-12  # similarity by which a neighbour may miss the true k-th


def features(images: int, dim: int, device: str, classes: int = 200) -> tuple[torch.Tensor, ...]:
    """Unit vectors like a backbone's, float32 [image, dim], and their classes, int64 [image]:
    classes that overlap, and a spectrum that decays. Made where it is fast."""
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


def kmeans_pass(
    device: str, images: int = 1_280_000, dim: int = 768, k: int = 1000, passes: int = 8
) -> Iterator[Row]:
    """Seconds of a pass beside plain torch's, and the inertia of the end beside float64."""
    x, _ = features(images, dim, device)
    rows = ArrayRows(x.cpu().numpy())
    start = np.random.default_rng(0).choice(images, k, replace=False)
    starts = rows.array[np.sort(start)][None]

    ends: list[float] = []  # of each pass
    more = {"seeds": [0], "n_init": 1, "tol": 0.0, "starts": starts, "device": device}
    more["progress"] = lambda moved: ends.append(time.perf_counter())
    kmeans(rows, k, max_iter=1, **more)  # what is compiled, and memory that is asked for once
    ends.clear()
    found: list[Fit] = []
    whole = once(lambda: found.append(kmeans(rows, k, max_iter=passes, **more)), device)
    end, made = found[0], len(ends)
    off = abs(float(end.inertia[0]) / inertia(x, end.centroids[0]) - 1)
    held = f"inertia is off by {off:.0e} of that of float64"
    yield row(f"{images:,} x {dim}, k = {k:,}: all of {made} passes", whole, "s", held, device)
    yield row("a pass, median", float(np.median(np.diff(ends))), "s", device=device)
    c = torch.from_numpy(starts[0]).to(device)
    for what, way in {"fast": fast_precision(device), "float32": full_precision(device)}.items():
        with way.applied():
            took = seconds(lambda: _plain_pass(x, c), device, 2)
        yield row(f"plain torch, {what}: a pass", took, "s", device=device)
        with way.applied():
            took = seconds(lambda: _products(x, c), device, 2)
        yield row(f"bare product, {what}", took, "s", device=device)


def neighbors(
    device: str, images: int = 300_000, dim: int = 768, k: int = 50, queries: int = 1000
) -> Iterator[Row]:
    """Seconds for all images; those of some `queries` are held to float64."""
    x, _ = features(images, dim, device)
    rows, own = ArrayRows(x.cpu().numpy()), np.arange(images)
    few = ArrayRows(rows.array[: min(images, 4 * k)])
    more = {"metric": "cosine", "device": device}
    nearest_neighbors(few, few, k, own=own[: len(few)], **more)  # what is compiled once
    found: list[np.ndarray] = []

    def search() -> None:
        found.append(nearest_neighbors(rows, rows, k, own=own, **more).neighbor)

    took = once(search, device)
    asked = np.linspace(0, images - 1, min(images, queries)).astype(np.int64)
    missed = _missed(x, asked, found[0][asked])
    held = f"{missed} of {k * len(asked):,} are no neighbours in float64"
    yield row(f"{images:,} x {dim}, the first {k}", took, "s", held, device)
    for what, way in {"fast": fast_precision(device), "float32": full_precision(device)}.items():
        with way.applied():
            took = once(lambda: _products(x, x), device)
            top = once(lambda: _products(x, x, k), device)
        yield row(f"bare product, {what}", took, "s", device=device)
        yield row(f"plain torch with topk, {what}", top, "s", device=device)


def inertia(x: torch.Tensor, centroids: np.ndarray) -> float:
    """In float64."""
    c, total = torch.from_numpy(centroids).to(x.device).double(), 0.0
    squares = c.square().sum(1)
    for part in x.split(max(1, CELLS // 4 // len(c))):
        wide = part.double()
        nearest = torch.addmm(squares, wide, c.T, alpha=-2).argmin(1)
        total += float((wide - c[nearest]).square().sum())
    return total


def _missed(x: torch.Tensor, asked: np.ndarray, neighbor: np.ndarray) -> int:
    """How many are less similar than the k-th in float64."""
    image = torch.from_numpy(asked).to(x.device)
    theirs = torch.from_numpy(neighbor.astype(np.int64)).to(x.device)
    wide = torch.nn.functional.normalize(x.double(), dim=1)
    missed = 0
    for some, said in zip(image.split(256), theirs.split(256), strict=True):
        similarity = wide[some] @ wide.T
        similarity[torch.arange(len(some), device=x.device), some] = -torch.inf
        kth = similarity.topk(said.shape[1], dim=1).values[:, -1:]
        missed += int((similarity.gather(1, said) < kth - AGREES).sum())
    return missed


def _plain_pass(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Centroids after one pass of Lloyd's, as one writes it down."""
    total, size = torch.zeros_like(c), torch.zeros(len(c), device=c.device)
    squares = c.square().sum(1)
    for part in x.split(max(1, CELLS // len(c))):
        nearest = torch.addmm(squares, part, c.T, alpha=-2).argmin(1)
        total.index_add_(0, nearest, part)
        size += torch.bincount(nearest, minlength=len(c))
    return total / size.clamp(min=1)[:, None]


def _products(x: torch.Tensor, y: torch.Tensor, k: int = 0) -> None:
    """All of them, with nothing kept but the k + 1 largest, if k."""
    for part in x.split(max(1, CELLS // len(y))):
        found = part @ y.T
        if k:
            found.topk(k + 1, dim=1)
