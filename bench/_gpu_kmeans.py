"""k-means beside plain torch, faiss and flash-kmeans: the same vectors, starts and passes.

`a pass` of ours is the median of all but the first, which also uploads; of others the whole over
the passes. A bound is a product in bfloat16, or the vectors read once in bfloat16 and once in
float32, for the sums.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from bench._alone import Row, failed, row
from bench._gpu_peers import peers
from bench._gpu_timing import Ceilings, Clock, ceilings, once
from bench._gpu_vectors import Vectors, inertia, vectors
from cluster.kmeans.api import Fit, kmeans


class Case(NamedTuple):
    """share: of the time that is left, for ours. Others follow when all of ours is measured."""

    images: int
    k: int
    runs: int
    passes: int
    share: float


class Sizes(NamedTuple):
    dim: int
    cases: tuple[Case, ...]


class Measured(NamedTuple):
    """what: the case in words; of ours: passes, seconds of each, and inertia in float64."""

    what: str
    of: Vectors
    starts: np.ndarray
    passes: int
    each: float
    inertia: float


FULL = Sizes(768, (
    Case(1_280_000, 1000, 1, 10, 0.1),
    Case(1_280_000, 25_000, 1, 5, 0.3),
    Case(50_000, 10, 10, 10, 0.2),
))  # fmt: skip
TINY = Sizes(16, (Case(900, 10, 1, 4, 0.1), Case(900, 50, 1, 3, 0.3), Case(500, 4, 3, 4, 0.2)))


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    best, found, measured = ceilings(device), list[Vectors](), list[Measured]()
    for case in sizes.cases:
        if not found or len(found[-1].x) != case.images:
            yield from vectors(case.images, sizes.dim, device, found)
        yield from _measure(device, case, found[-1], best, clock, measured)
    for each in measured:
        yield from _compare(device, each, clock)


def _measure(
    device: str, case: Case, of: Vectors, best: Ceilings, clock: Clock, measured: list[Measured]
) -> Iterator[Row]:
    """Ours alone."""
    starts = _starts(of, case)
    what = f"{case.images:,} x {of.rows.dim}, k = {case.k:,}"
    what += f", {case.runs} starts" * (case.runs > 1)
    _, ends = _ours(of, starts, 2, device)  # what is compiled, and memory that is asked for once
    passes = clock.rounds(case.passes, _median(ends), case.share, least=3)
    fits: list[tuple[Fit, list[float]]] = []
    whole = once(lambda: fits.append(_ours(of, starts, passes, device)), device)
    fit, ends = fits[0]
    each, true = _median(ends), inertia(of.x, fit.centroids[0])
    made = f"{len(ends)} passes" + f" of the {case.passes} that are wanted" * (passes < case.passes)
    held = f"inertia is off by {abs(float(fit.inertia[0]) / true - 1):.0e} of that of float64"
    work = 2.0 * case.runs * case.images * case.k * of.rows.dim
    floor = best.seconds(work, 6.0 * case.images * of.rows.dim)
    yield row(f"{what}: a pass", each, "s", held, device, floor)
    yield row(f"{what}: all of {made}, with the upload", whole, "s", "", device)
    measured.append(Measured(what, of, starts, passes, each, true))


def _compare(device: str, ours: Measured, clock: Clock) -> Iterator[Row]:
    """Others after as many passes from the same starts."""
    beside: dict[str, float] = {}
    for name, peer in peers(device).items():
        what = f"{ours.what}: {name}"
        if clock.left() < 2 * ours.passes * max(ours.each, *beside.values(), 0.0):
            yield row(what, "", "", "left out: no time is left")
            continue
        made: list[torch.Tensor] = []
        work = partial(peer, ours.of.x, ours.starts)
        try:
            work(1)  # what is compiled
            took = once(lambda w=work, m=made: m.append(w(ours.passes)), device) / ours.passes
            least = min(inertia(ours.of.x, run) for run in made[0])
        except Exception as error:  # theirs, whatever it is
            yield {**failed(f"{type(error).__name__}: {error}"), "what": what}
            continue
        beside[name.partition(", with")[0]] = took
        yield row(f"{what}: a pass", took, "s", f"inertia {least / ours.inertia - 1:+.0e} of ours",
                  device)  # fmt: skip
    ratios = {name: took / ours.each for name, took in beside.items()}
    if ratios:
        said = ", ".join(f"{name} {ratio:.2g}" for name, ratio in ratios.items())
        what = f"{ours.what}: the fastest of others over ours"
        yield row(what, min(ratios.values()), "times", said)


def _median(ends: list[float]) -> float:
    """Seconds of a pass; the first also uploads."""
    return float(np.median(np.diff(ends))) if len(ends) > 1 else ends[0]


def _ours(of: Vectors, starts: np.ndarray, passes: int, device: str) -> tuple[Fit, list[float]]:
    """The fit, and the seconds at the end of each pass."""
    ends: list[float] = []
    begin = time.perf_counter()
    fit = kmeans(
        of.rows, starts.shape[1], seeds=[0], n_init=len(starts), max_iter=passes, tol=0.0,
        starts=starts, device=device,
        progress=lambda moved: ends.append(time.perf_counter() - begin),
    )  # fmt: skip
    return fit, ends


def _starts(of: Vectors, case: Case) -> np.ndarray:
    """float32 [run, cluster, dim]: vectors drawn by chance."""
    rng = np.random.default_rng(0)
    drawn = [np.sort(rng.choice(case.images, case.k, replace=False)) for _ in range(case.runs)]
    return np.stack([of.rows.take(each) for each in drawn])
