"""How the heads came to their clusters: loss, accuracy and balance after each epoch."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pages.report.charts.chart import Curve, Panel, lines
from pages.report.charts.figures import Figure
from pages.report.charts.svg import COLOURS
from pages.report.tables.rows import read_rows
from pages.report.tables.settings import Setting, headlines
from pipeline.io.cell import Cell
from pipeline.io.whole import as_written


class Training(NamedTuple):
    """The first setting of one run. Float [seed, epoch]: loss, acc (in %; no rows: not known) and
    balance (entropy of the cluster sizes over log k); live: clusters in use at the end, the fewest
    of any seed; watched: images that acc is of."""

    backbone: str
    run: str
    k: int
    loss: np.ndarray
    acc: np.ndarray
    balance: np.ndarray
    live: int
    watched: int


def read_trainings(settings: Sequence[Setting]) -> list[Training]:
    """Those of one dataset, of runs that were fitted on it and have epochs."""
    out, accuracies = [], functools.cache(_accuracies)  # a table has all runs of its cell
    for s in headlines(settings):
        cell = Cell(s.dataset, s.backbone, s.run)
        if s.own and s.split == "train" and cell.table.exists():
            out.append(_read(cell.table, s, accuracies(cell.metric("epochs.csv"))))
    return out


def training_figure(trainings: Sequence[Training], backbones: Sequence[str]) -> list[Figure]:
    """One figure, panels run by run, a line a backbone; none where nothing was trained.

    `backbones`: all of the page, so that each has one colour everywhere.
    """
    if not trainings:
        return []
    labelled = any(len(t.acc) for t in trainings)
    panels = []
    for run in sorted({t.run for t in trainings}):
        here = [t for t in trainings if t.run == run]
        panels += [
            _panel(f"{run} · loss", here, "loss", backbones),
            *([_panel(f"{run} · ACC (%)", here, "acc", backbones)] if labelled else []),
            _panel(f"{run} · balance", here, "balance", backbones)._replace(limits=(0, 1.05)),
        ]
    chart = lines(panels, "epoch", log=False)
    return [Figure("Training", chart, _caption(trainings, labelled))]


def _accuracies(path: Path) -> dict[str, tuple[np.ndarray, int]]:
    """Of each run its first setting: float [seed, epoch], and images that were watched."""
    rows: dict[str, list[dict[str, str]]] = {}
    with as_written(path):
        if path.exists():
            for row in read_rows(path, ("run", "setting", "seed", "labelled", "acc")):
                if row["setting"] == "0":
                    rows.setdefault(row["run"], []).append(row)
        return {run: (_by_seed(own, "acc"), int(own[0]["labelled"])) for run, own in rows.items()}


def _read(path: Path, s: Setting, accuracies: dict[str, tuple[np.ndarray, int]]) -> Training:
    with as_written(path):
        rows = [
            row
            for row in read_rows(path, ("k", "dims", "seed", "loss", "entropy", "live"))
            if (int(row["k"]), int(row["dims"])) == (s.k, s.dims)
        ]
        live, loss, entropy = (_by_seed(rows, name) for name in ("live", "loss", "entropy"))
    acc, watched = accuracies.get(s.run, (np.zeros(0), 0))
    return Training(
        s.backbone,
        s.run,
        s.k,
        loss,
        acc * 100,
        entropy / (math.log(s.k) if s.k > 1 else math.nan),
        int(live[:, -1].min()) if live.size else 0,
        watched,
    )


def _by_seed(rows: Sequence[dict[str, str]], column: str) -> np.ndarray:
    seeds: dict[str, list[float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(float(row[column]))
    return np.array(list(seeds.values()))


def _panel(title: str, trainings: Sequence[Training], what: str, backbones: Sequence[str]) -> Panel:
    curves = []
    for t in trainings:
        y = getattr(t, what)
        if y.size:
            colour = backbones.index(t.backbone)
            sd = y.std(axis=0, ddof=1) if len(y) > 1 else np.full(y.shape[1], np.nan)
            x = np.arange(1, y.shape[1] + 1)
            curves.append(Curve(t.backbone, colour, colour // COLOURS, x, y.mean(axis=0), sd))
    return Panel(title, curves)


def _caption(trainings: Sequence[Training], labelled: bool) -> str:
    n = sorted({len(t.loss) for t in trainings})
    over = "One seed" if n == [1] else (
        f"Mean over {' or '.join(map(str, n))} seeds, shaded ± standard deviation")  # fmt: skip
    said = [
        f"{over}; the first setting of each run, of its heads the one that was best then. "
        "Losses of different runs do not compare. Balance: entropy of the cluster sizes over log k."
    ]
    if labelled:
        watched = max(t.watched for t in trainings)
        said.append(
            f"ACC is one-to-one on {watched:,} images of train, matched anew after each epoch: it "
            "is shown, and no training and no choice has seen it."
        )
    for t in trainings:
        if t.live < t.k:
            said.append(f"{t.backbone} · {t.run}: {t.live} of {t.k} clusters are left at the end.")
    return " ".join(said)
