"""k-means beside plain torch, faiss and flash-kmeans: the same vectors, starts and passes.

`a pass` of ours is the median of all but the first, which also uploads; of others the whole over
the passes. A bound is a product in bfloat16, or the vectors read once in bfloat16 and once in
float32, for the sums.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from bench._alone import Row, failed, row
from bench._gpu_peers import peers
from bench._gpu_timing import Ceilings, Clock, ceilings, once
from bench._gpu_vectors import Vectors, inertia, vectors
from cluster.kmeans.api import Fit, kmeans


class Case(NamedTuple):
    """share: of the time that is left, for ours and for all others together."""

    images: int
    k: int
    runs: int
    passes: int
    share: float


class Sizes(NamedTuple):
    dim: int
    cases: tuple[Case, ...]


FULL = Sizes(768, (
    Case(1_280_000, 1000, 1, 10, 0.3),
    Case(1_280_000, 25_000, 1, 5, 0.7),
    Case(50_000, 10, 10, 10, 1.0),
))  # fmt: skip
TINY = Sizes(16, (Case(900, 10, 1, 4, 0.4), Case(900, 50, 1, 3, 0.6), Case(500, 4, 3, 4, 1.0)))


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    best, found = ceilings(device), list[Vectors]()
    for case in sizes.cases:
        if not found or len(found[0].x) != case.images:
            found.clear()
            yield from vectors(case.images, sizes.dim, device, found)
        yield from _case(device, case, found[0], best, clock)


def _case(device: str, case: Case, of: Vectors, best: Ceilings, clock: Clock) -> Iterator[Row]:
    end = clock.left() * (1 - case.share)  # seconds that are to be left for other cases
    starts = _starts(of, case)
    what = f"{case.images:,} x {of.rows.dim}, k = {case.k:,}" + f", {case.runs} starts" * (
        case.runs > 1
    )
    _, ends = _ours(of, starts, 2, device)  # what is compiled, and memory that is asked for once
    each = ends[-1] - ends[0] if len(ends) > 1 else ends[0]
    passes = clock.rounds(case.passes, each, (1 - end / max(clock.left(), 1e-9)) / 3, least=3)
    fits: list[tuple[Fit, list[float]]] = []
    whole = once(lambda: fits.append(_ours(of, starts, passes, device)), device)
    fit, ends = fits[0]
    each = float(np.median(np.diff(ends))) if len(ends) > 1 else whole
    true = inertia(of.x, fit.centroids[0])
    made = f"{len(ends)} passes" + f" of the {case.passes} that are wanted" * (passes < case.passes)
    held = f"inertia is off by {abs(float(fit.inertia[0]) / true - 1):.0e} of that of float64"
    work = 2.0 * case.runs * case.images * case.k * of.rows.dim
    floor = best.seconds(work, 6.0 * case.images * of.rows.dim)
    yield row(f"{what}: a pass", each, "s", held, device, floor)
    yield row(f"{what}: all of {made}, with the upload", whole, "s", "", device)
    beside: dict[str, float] = {}
    for name, peer in peers(device).items():
        took = 2.0 * passes * max([each, *beside.values()])
        if clock.left() - end < took:
            yield row(f"{what}: {name}", "", "", "left out: no time is left")
            continue
        try:
            with np.errstate(all="ignore"):
                peer(of.x, starts, 1)  # what is compiled
                made_by: list[torch.Tensor] = []
                took = once(lambda p=peer, m=made_by: m.append(p(of.x, starts, passes)), device)
                own = min(inertia(of.x, each_run) for each_run in made_by[0])
        except Exception as error:  # theirs, whatever it is
            yield {**failed(f"{type(error).__name__}: {error}"), "what": f"{what}: {name}"}
            continue
        beside[name] = took / passes
        held = f"inertia {own / true - 1:+.0e} of ours"
        yield row(f"{what}: {name}: a pass", took / passes, "s", held, device)
    ratios = {name: took / each for name, took in beside.items()}
    if ratios:
        said = ", ".join(
            f"{name.partition(', with')[0]} {ratio:.2g}" for name, ratio in ratios.items()
        )
        yield row(f"{what}: the fastest of others over ours", min(ratios.values()), "times", said)


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
