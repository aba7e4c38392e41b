"""TEMI's heads: all epochs, as a stage takes them, and a loss that is finite and falls.

Where the time does not suffice fewer epochs are taken, and the rest is what they say. The bound is
that of the matrix products of a step.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from bench._alone import Row, row
from bench._gpu_timing import Clock, ceilings, wait
from bench._gpu_vectors import Vectors, vectors
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.temi import Settings, Temi
from cluster.heads.training import History, Schedule, train
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import standardized_gather
from cluster.vectors.standardize import fit_scale

NEIGHBORS = 20


class Sizes(NamedTuple):
    images: int
    dim: int
    k: int
    heads: int
    hidden: int
    bottleneck: int
    batch: int
    epochs: int


FULL = Sizes(50_000, 768, 10, 50, 512, 256, 1024, 100)
TINY = Sizes(300, 16, 4, 3, 24, 12, 64, 10)


class _Enough(Exception):
    """No time is left."""


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    best, found = ceilings(device), list[Vectors]()
    yield from vectors(sizes.images, sizes.dim, device, found, classes=sizes.k)
    of, steps = found[0], max(1, sizes.images // sizes.batch)
    pairs = Pairs(_of_own_class(of.label.cpu().numpy()), sizes.batch, 0)
    scale = fit_scale(of.rows)
    gather = standardized_gather(of.rows, device, 1, scale, training_dtype(device))
    widths = sizes.heads, sizes.hidden, sizes.bottleneck
    settings = Settings(*widths, "temi", 0.6, 0.1, 0.996, 0.9, 1e-4, 0)
    learner = Temi(
        sizes.dim, sizes.k, settings, scale=scale, watched=gather(np.arange(10)), seed=0,
        device=device,
    )  # fmt: skip
    for step in range(3):  # kernels are loaded
        learner.step(gather(pairs.at(step)), 0.0)
    ends, losses = [0.0], list[float]()

    def progress(step: int, history: History) -> None:
        if len(history.step) < len(ends):
            return
        wait(device)
        ends.append(time.perf_counter() - begin)
        losses.append(float(history.loss[-1].mean()))
        if clock.left() < 2 * (ends[-1] - ends[-2]):
            raise _Enough

    schedule = Schedule(sizes.epochs * steps, 1e-3, 0.0, steps)
    wait(device)
    begin = time.perf_counter()
    with suppress(_Enough):
        train(
            learner, lambda step: gather(pairs.at(step)), schedule, sizes.epochs, progress=progress
        )
    made, taken = len(losses), ends[-1]
    held = f"loss {losses[0]:.3f} → {losses[-1]:.3f}"
    if not (np.isfinite(losses).all() and losses[-1] < losses[0]):
        held += ": NOT finite and falling"
    what = (
        f"{sizes.images:,} x {sizes.dim}, k = {sizes.k}, {sizes.heads} heads, batch {sizes.batch}"
    )
    if made < sizes.epochs:
        held += f"; {made} epochs took {taken:.3g} s, the rest as they did"
    floor = best.seconds(sizes.epochs * steps * _operations(sizes))
    whole = taken / made * sizes.epochs
    yield row(f"{what}: {sizes.epochs} epochs", whole, "s", held, device, floor)
    yield row(f"a step of {sizes.batch} pairs", taken / made / steps, "s", "", device)


def _operations(sizes: Sizes) -> float:
    """Of the products of a step: a teacher's and a student's outputs, and the student's gradients,
    of which the features need none."""
    first, rest = sizes.dim * sizes.hidden, sizes.bottleneck * (sizes.hidden + sizes.k)
    return 2.0 * 2 * sizes.batch * sizes.heads * (3 * first + 4 * rest)


def _of_own_class(label: np.ndarray) -> np.ndarray:
    """Neighbours as a backbone finds them, int32 [image, neighbor]: other images of the class."""
    order, of_class = np.argsort(label, kind="stable"), np.bincount(label)
    fewest = int(of_class[of_class > 0].min())
    begin, place = np.cumsum(of_class) - of_class, np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - begin[label[order]]
    step = np.arange(1, min(NEIGHBORS, fewest - 1) + 1)
    within = (place[:, None] + step) % of_class[label][:, None]
    return order[begin[label][:, None] + within].astype(np.int32)
