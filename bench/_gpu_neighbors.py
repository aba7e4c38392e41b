"""Exact neighbours beside the bare product and plain torch, held to float64.

A tenth of the queries goes first; all of them follow where the time is there, else the tenth says
what all take. The bound is one product of all pairs in bfloat16; a search that uses their symmetry
may pass it.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_timing import Clock, ceilings, once
from bench._gpu_vectors import Vectors, vectors
from cluster.kernels.low_precision import fast_precision, full_precision
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows

CELLS = 2**29  # products at once
AGREES = 1e-12  # similarity by which a neighbour may miss the true k-th


class Sizes(NamedTuple):
    """asked: queries whose answer is held to float64."""

    images: int
    dim: int
    k: int
    asked: int


FULL, TINY = Sizes(1_280_000, 768, 50, 1000), Sizes(500, 16, 5, 40)


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    best, made = ceilings(device), list[Vectors]()
    yield from vectors(sizes.images, sizes.dim, device, made)
    of, k = made[0], sizes.k
    few = ArrayRows(of.rows.array[: min(sizes.images, 4 * k)])
    _search(few, few, k, device)  # what is compiled once
    part, found = sizes.images // 10, list[np.ndarray]()
    tenth = ArrayRows(of.rows.array[:part])
    took = once(lambda: found.append(_search(tenth, of.rows, k, device)), device)
    what = f"{sizes.images:,} x {sizes.dim}, the first {k}"
    bound = best.seconds(2.0 * sizes.images**2 * sizes.dim, 4.0 * sizes.images * sizes.dim)
    held = _held(of.x, found[0], sizes.asked)
    yield row(f"{what}, of a tenth of the images", took, "s", held, device, bound / 10)
    if 10 * took < 0.6 * clock.left():
        found.clear()
        took = once(lambda: found.append(_search(of.rows, of.rows, k, device)), device)
        yield row(what, took, "s", _held(of.x, found[0], sizes.asked), device, bound)
    else:
        yield row(what, 10 * took, "s", "ten times that of a tenth: no time for all", device, bound)
    for name, way in {"fast": fast_precision(device), "float32": full_precision(device)}.items():
        for kind, top in (("bare product", 0), ("product and topk", k)):
            if clock.left() < (5 if sizes is FULL else 0):
                yield row(f"plain torch, {name}: {kind}", "", "", "left out: no time is left")
                continue
            with way.applied():
                took = 10 * once(partial(products, of.x[:part], of.x, top), device)
            yield row(f"plain torch, {name}: {kind}", took, "s", "ten times a tenth", device)


def products(x: torch.Tensor, y: torch.Tensor, k: int) -> None:
    """All of them, with nothing kept but the k + 1 largest, if k."""
    for part in x.split(max(1, CELLS // len(y))):
        found = part @ y.T
        if k:
            found.topk(k + 1, dim=1)


def _search(queries: ArrayRows, among: ArrayRows, k: int, device: str) -> np.ndarray:
    own = np.arange(len(queries))
    found = nearest_neighbors(queries, among, k, metric="cosine", own=own, device=device)
    return found.neighbor


def _held(x: torch.Tensor, neighbor: np.ndarray, queries: int) -> str:
    asked = np.linspace(0, len(neighbor) - 1, min(len(neighbor), queries)).astype(np.int64)
    missed = _missed(x, asked, neighbor[asked])
    said = f"{missed} of {neighbor.shape[1] * len(asked):,} are no neighbours in float64"
    return said + ": NOT exact" * bool(missed)


def _missed(x: torch.Tensor, asked: np.ndarray, neighbor: np.ndarray) -> int:
    """How many are less similar than the k-th in float64."""
    image = torch.from_numpy(asked).to(x.device)
    theirs = torch.from_numpy(neighbor.astype(np.int64)).to(x.device)
    wide = torch.nn.functional.normalize(x.double(), dim=1)
    missed = 0
    for some, said in zip(image.split(128), theirs.split(128), strict=True):
        similarity = wide[some] @ wide.T
        similarity[torch.arange(len(some), device=x.device), some] = -torch.inf
        kth = similarity.topk(said.shape[1], dim=1).values[:, -1:]
        missed += int((similarity.gather(1, said) < kth - AGREES).sum())
    return missed
