"""TEMI's and SCAN's heads on a GPU: seconds an epoch, and a loss that is finite and falls."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from bench._alone import Row, row
from bench._gpu_device import once
from bench._gpu_search import features
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import Scan
from cluster.heads.scan import Settings as ScanSettings
from cluster.heads.temi import Settings as TemiSettings
from cluster.heads.temi import Temi
from cluster.heads.training import Learner
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import standardized_gather
from cluster.vectors.rows import ArrayRows
from cluster.vectors.standardize import fit_scale

NEIGHBORS = 20


def heads(
    device: str, images: int = 50_000, dim: int = 768, k: int = 10, number: int = 50,
    batch: int = 1024, epochs: int = 4,
) -> Iterator[Row]:  # fmt: skip
    """Rows of both. The first epoch, in which kernels are loaded, counts for no time."""
    x, label = features(images, dim, device, classes=k)
    rows = ArrayRows(x.cpu().numpy())
    pairs = Pairs(_of_own_class(label.cpu().numpy()), batch, 0)
    gather = standardized_gather(rows, device, 1, fit_scale(rows), training_dtype(device))
    made: dict[str, Callable[..., Learner[torch.Tensor]]] = {"TEMI": _temi, "SCAN": _scan}
    for name, make in made.items():
        learner = make(rows, k, number, gather, device)
        losses, took = [], []
        for epoch in range(epochs):
            steps = range(epoch * (images // batch), (epoch + 1) * (images // batch))
            own: list[torch.Tensor] = []
            took.append(once(partial(_learn, learner, gather, pairs, steps, own), device))
            losses.append(float(torch.stack(own).mean()))
        held = f"loss {losses[0]:.3f} → {losses[-1]:.3f}"
        if not (np.isfinite(losses).all() and losses[-1] < losses[0]):
            held += ": NOT finite and falling"
        what = f"{name}, {number} heads, {images:,} x {dim}, k = {k}, batch {batch}: an epoch"
        yield row(what, min(took[1:]), "s", held, device)


def _temi(rows: ArrayRows, k: int, number: int, gather: Callable, device: str) -> Temi:
    settings = TemiSettings(number, 512, 256, "temi", 0.6, 0.1, 0.996, 0.9, 1e-4, 0)
    watched = gather(np.arange(10))
    return Temi(
        rows.dim, k, settings, scale=fit_scale(rows), watched=watched, seed=0, device=device
    )


def _scan(rows: ArrayRows, k: int, number: int, gather: Callable, device: str) -> Scan:
    settings, watched = ScanSettings(number, 5.0, 1e-4), gather(np.arange(10))
    return Scan(
        rows.dim, k, settings, scale=fit_scale(rows), watched=watched,
        held_out=gather(np.empty((2, 0), np.int64)), seed=0, device=device,
    )  # fmt: skip


def _learn(
    learner: Learner[torch.Tensor], gather: Callable, pairs: Pairs, steps: range,
    losses: list[torch.Tensor],
) -> None:  # fmt: skip
    for step in steps:
        losses.append(learner.step(gather(pairs.at(step)), 1e-3).loss.detach())


def _of_own_class(label: np.ndarray) -> np.ndarray:
    """Neighbours as a backbone finds them, int32 [image, neighbor]: other images of the class."""
    order, of_class = np.argsort(label, kind="stable"), np.bincount(label)
    fewest = int(of_class[of_class > 0].min())
    begin, place = np.cumsum(of_class) - of_class, np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - begin[label[order]]
    step = np.arange(1, min(NEIGHBORS, fewest - 1) + 1)
    within = (place[:, None] + step) % of_class[label][:, None]
    return order[begin[label][:, None] + within].astype(np.int32)
