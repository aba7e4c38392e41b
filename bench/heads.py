"""Learned heads beside a plain PyTorch loop over heads, and beside their matrix products alone.

10,000 images of 1,280 dims, batches of 1,024 pairs, 10 clusters. `ours` is a step as a stage takes
it: the draw, the vectors, loss, gradient, optimiser. `loop` is the same step in the usual way, in
float32: a module a head, all vectors of the batch standardised anew, autograd. `products` are the
products of matrices of such a step alone, all heads in one, in float32 or bfloat16, whichever is
faster here. All take some steps on end, by turns; seconds are medians. The losses of ours and of
the loop in the first step, from the same weights and batch, must agree.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import _plain_heads as plain
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.pim import Pim
from cluster.heads.pim import Settings as PimSettings
from cluster.heads.scan import Scan
from cluster.heads.scan import Settings as ScanSettings
from cluster.heads.selflabel import SelfLabel
from cluster.heads.selflabel import Settings as SelfLabelSettings
from cluster.heads.simgcd import Batch, SimGcd
from cluster.heads.simgcd import Settings as SimGcdSettings
from cluster.heads.temi import Settings as TemiSettings
from cluster.heads.temi import Temi
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import fit_scale

PACKAGES = ("numpy", "torch")
IMAGES, DIM, K, BATCH, NEIGHBORS = 10_000, 1280, 10, 1024, 20
SEEDS = (0, 1, 2)
RATE = 1e-3
TURNS = 4
SAME = 0.02  # by which the losses may differ, where products are rounded to bfloat16


class Case(NamedTuple):
    """ours and loop take the step of a number and return its losses; products: pairs of shapes
    that are multiplied in a step."""

    name: str
    heads: int
    ours: Callable[[int], torch.Tensor]
    loop: Callable[[int], torch.Tensor]
    products: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]


def run() -> list[dict[str, Any]]:
    """One row a method."""
    x, label = _data()
    dtype, table = training_dtype("cpu"), []
    for make, steps in ((_scan, 20), (_selflabel, 20), (_simgcd, 20), (_pim, 4), (_temi, 3)):
        case = make(x, label, dtype)
        ways: dict[str, Callable[[int], object]] = {"ours": case.ours, "loop": case.loop}
        ways |= {
            str(kind): _products(case.products, kind) for kind in (torch.float32, torch.bfloat16)
        }
        first, second = case.ours(0), case.loop(0)
        if not torch.allclose(first, second, rtol=SAME, atol=SAME):
            raise SystemExit(f"{case.name}: losses {first.tolist()}, by a loop {second.tolist()}")
        took = _by_turns(ways, steps)
        kind = min(("torch.float32", "torch.bfloat16"), key=took.__getitem__)
        table.append({
            "method": case.name, "heads": case.heads, "ours_ms": _ms(took["ours"]),
            "loop_ms": _ms(took["loop"]), "products_ms": _ms(took[kind]),
            "in": str(dtype).removeprefix("torch."), "fastest": kind.removeprefix("torch."),
            "ours/loop": round(took["ours"] / took["loop"], 2),
            "ours/products": round(took["ours"] / took[kind], 2),
        })  # fmt: skip
    return table


def _by_turns(ways: dict[str, Callable[[int], object]], steps: int) -> dict[str, float]:
    """Each way takes some steps on end, in turn; the first of them counts for no time."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name, way in ways.items():
            for step in range(1 + turn * steps, 1 + (turn + 1) * steps):
                begin = time.perf_counter()
                way(step)
                if step > 1 + turn * steps:
                    seconds[name].append(time.perf_counter() - begin)
    return {name: median(each) for name, each in seconds.items()}


def _products(
    shapes: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], dtype: torch.dtype
) -> Callable[[int], object]:
    pairs = [tuple(torch.randn(shape).to(dtype) for shape in pair) for pair in shapes]

    def step(number: int) -> None:
        for left, right in pairs:
            left @ right

    return step


def _scan(x: np.ndarray, label: np.ndarray, dtype: torch.dtype) -> Case:
    heads, rows = 10, ArrayRows(x)
    pairs, scale = Pairs(_table(label), BATCH, 0), fit_scale(rows)
    gather = standardized_gather(rows, "cpu", 1, scale, dtype)
    ours = Scan(
        DIM, K, ScanSettings(heads, 5.0, 1e-4), scale=scale, watched=gather(np.arange(10)),
        held_out=gather(np.empty((2, 0), np.int64)), seed=0,
    )  # fmt: skip
    loop = plain.Scan(x, scale, ours.state(), 5.0, 1e-4)
    columns = heads * K
    return Case(
        "SCAN", heads, lambda n: ours.step(gather(pairs.at(n)), RATE).loss,
        lambda n: loop.step(pairs.at(n), RATE),
        [((columns, DIM), (DIM, 2 * BATCH)), ((columns, 2 * BATCH), (2 * BATCH, DIM))],
    )  # fmt: skip


def _selflabel(x: np.ndarray, label: np.ndarray, dtype: torch.dtype) -> Case:
    rows, rng = ArrayRows(x), np.random.default_rng(0)
    pairs, scale = Pairs(_table(label), BATCH, 0), fit_scale(rows)
    gather = standardized_gather(rows, "cpu", 1, scale, dtype)
    begin = Linear(rng.normal(size=(1, K, DIM)).astype("f4") * 0.3, np.zeros((1, K), "f4"))
    ours = SelfLabel(
        begin, SelfLabelSettings(0.9, True, 1e-4), scale=scale, watched=gather(np.arange(10))
    )
    loop = plain.SelfLabel(x, scale, ours.state(), 0.9, 1e-4)
    return Case(
        "self-labelling", 1, lambda n: ours.step(gather(pairs.at(n)), RATE).loss,
        lambda n: loop.step(pairs.at(n), RATE),
        [((K, DIM), (DIM, 2 * BATCH)), ((K, BATCH), (BATCH, DIM))],
    )  # fmt: skip


def _temi(x: np.ndarray, label: np.ndarray, dtype: torch.dtype) -> Case:
    heads, hidden, bottleneck, rows = 16, 512, 256, ArrayRows(x)
    pairs, scale = Pairs(_table(label), BATCH, 0), fit_scale(rows)
    gather = standardized_gather(rows, "cpu", 1, scale, dtype)
    settings = TemiSettings(heads, hidden, bottleneck, "temi", 0.6, 0.1, 0.996, 0.9, 1e-4, 0)
    ours = Temi(DIM, K, settings, scale=scale, watched=gather(np.arange(10)), seed=0)
    loop = plain.Temi(x, scale, ours.state(), settings)
    n, wide = 2 * BATCH, heads * hidden
    forward = [
        ((wide, DIM), (DIM, n)), ((heads, bottleneck, hidden), (heads, hidden, n)),
        ((heads, K, bottleneck), (heads, bottleneck, n)),
    ]  # fmt: skip
    backward = [
        ((wide, n), (n, DIM)), ((heads, bottleneck, n), (heads, n, hidden)),
        ((heads, hidden, bottleneck), (heads, bottleneck, n)),
        ((heads, K, n), (heads, n, bottleneck)), ((heads, bottleneck, K), (heads, K, n)),
    ]  # fmt: skip
    return Case(
        "TEMI", heads, lambda n: ours.step(gather(pairs.at(n)), RATE).loss,
        lambda n: loop.step(pairs.at(n), RATE), [*forward, *forward, *backward],
    )  # fmt: skip


def _simgcd(x: np.ndarray, label: np.ndarray, dtype: torch.dtype) -> Case:
    weights, known = (0.5, 1.0, 2.0, 4.0), _known(label)
    heads, rows = len(SEEDS) * len(weights), ArrayRows(x)
    stream, scale = HalfLabelled([known] * len(SEEDS), 256, SEEDS), rms_scale(rows, center=True)
    gather = standardized_gather(rows, "cpu", 1, scale, dtype)
    settings = SimGcdSettings(0.35, 0.1, 0.07, 0.04, 200, 5e-5)
    ours = SimGcd(DIM, K, settings, known=K // 2, scale=scale, entropy_weights=weights, seeds=SEEDS)
    loop = plain.SimGcd(x, scale, ours.state(), settings, weights)

    def step(number: int) -> torch.Tensor:
        drawn = stream.at(number)
        batch = Batch(gather(drawn.images)[None], torch.from_numpy(drawn.label))
        return ours.step(batch, 0.1).loss

    seeds, columns, n = len(SEEDS), len(weights) * K, 2 * stream.half
    return Case(
        "SimGCD", heads, step, lambda n: loop.step(stream.at(n), 0.1),
        [((seeds, columns, DIM), (seeds, DIM, n)), ((seeds, columns, n), (seeds, n, DIM))],
    )  # fmt: skip


def _pim(x: np.ndarray, label: np.ndarray, dtype: torch.dtype) -> Case:
    rows, known, settings = ArrayRows(x), _known(label), PimSettings(25.0, 1e-2)
    rng, scale = np.random.default_rng(0), rms_scale(rows, center=False)
    starts = x[rng.integers(IMAGES, size=(len(SEEDS), K))]
    weight = np.full(len(SEEDS), 0.5)
    ours = Pim(rows, known, starts, weight, settings, scale=scale, dtype=dtype)
    loop = plain.Pim(x, scale, ours.state(), known, 0.5, settings)
    columns = len(SEEDS) * K
    return Case(
        "PIM, a step of all images", len(SEEDS), lambda n: ours.step(None, RATE).loss.float(),
        lambda n: loop.step(RATE),
        [((columns, DIM), (DIM, IMAGES)), ((columns, IMAGES), (IMAGES, DIM))],
    )  # fmt: skip


def _data() -> tuple[np.ndarray, np.ndarray]:
    """Vectors about ten points, and which; spread as those of a network are."""
    rng, label = np.random.default_rng(0), np.arange(IMAGES) % K
    points = rng.normal(size=(K, DIM)) * 0.5
    return (np.abs(points[label] + rng.normal(size=(IMAGES, DIM)))).astype(np.float32), label


def _table(label: np.ndarray) -> np.ndarray:
    """Neighbours: the next images of the class, int32 [image, neighbor]."""
    step = K * np.arange(1, NEIGHBORS + 1)
    return ((np.arange(len(label))[:, None] + step) % len(label)).astype(np.int32)


def _known(label: np.ndarray) -> np.ndarray:
    """Half of the images of half of the classes have a label, int64 [image]."""
    labelled = (label < K // 2) & (np.arange(len(label)) // K % 2 == 0)
    return np.where(labelled, label, -1).astype(np.int64)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
