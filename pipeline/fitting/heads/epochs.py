"""The log of a training of heads: a table of epochs, and a warning when heads collapse."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.heads.model import Linear, Mlp
from cluster.heads.training import History
from pipeline.io.whole import whole_text

STAY = 0.98  # share of the clusters once in use below which a head counts as collapsing
COLUMNS = ("k", "dims", "seed", "epoch", "step", "head", "loss", "criterion", "entropy", "live")


class Fitted(NamedTuple):
    """One seed: the selected head, its last criterion, and its history."""

    seed: int
    head: Linear | Mlp
    loss: float
    history: History


def write_epochs(
    path: Path, settings: Sequence[tuple[int, int]], fits: Sequence[Sequence[Fitted]]
) -> None:
    """A table of all epochs for `dvc plots`: loss, criterion, entropy of the cluster sizes (nats)
    and live clusters of the best head of that epoch, and the loss of each head. fits: [setting,
    seed]."""
    heads = fits[0][0].history.loss.shape[1]
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *(f"loss_head_{head}" for head in range(heads))])
        for (k, dims), of_seeds in zip(settings, fits, strict=True):
            for seed, _, _, history in of_seeds:
                for epoch, row in enumerate(zip(*history[:5], strict=True), 1):
                    loss, criterion, entropy, live, step = row
                    h = int(criterion.argmin())
                    best = [f"{each[h]:.6g}" for each in (loss, criterion, entropy)]
                    every = [f"{each:.6g}" for each in loss]
                    writer.writerow([k, dims, seed, epoch, step, h, *best, live[h], *every])


def warn_if_collapsed(setting: str, fitted: Fitted, k: int, advice: str) -> None:
    """Print a line when the selected head has lost more clusters than fluctuate by chance, or never
    used half of the `k` clusters."""
    history, name = fitted.history, f"{setting} seed={fitted.seed}"
    live = history.live[:, int(history.criterion[-1].argmin())]
    if live[-1] < STAY * live.max():
        print(
            f"{name}: {live[-1]} of {k} clusters are in use, {live.max()} were: the head is "
            f"collapsing; {advice}"
        )
    elif live.max() < k / 2:
        print(f"{name}: only {live.max()} of {k} clusters were ever in use")
