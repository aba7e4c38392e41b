"""How well each number of clusters fits, by criterion: small panels, a figure a backbone."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pages.report.charts.figures import Figure
from pages.report.charts.svg import INK, MUTED, colour, new_figure, to_svg
from pages.report.tables.rows import read_rows
from pipeline.io.cell import Cell
from pipeline.io.whole import as_written

TITLES = {
    "silhouette": "Silhouette, all dims",
    "silhouette_reduced": "Silhouette, reduced",
    "stability": "Seeds agree",
    "halves": "Halves agree",
    "elbow": "Bend of the inertia",
    "coding_length": "Coding length, kbit saved",
}
LABELS = "With labels: ACC (%)"
COLUMNS = 4
TICKS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10000)


class Curve(NamedTuple):
    """One panel. y: float64 [seed, candidate]; pick: the k that this criterion is for, or None;
    chosen: what is recommended by all of them."""

    title: str
    k: np.ndarray
    y: np.ndarray
    pick: int | None
    chosen: int


def curve_figures(
    cells: Sequence[Cell], backbones: Sequence[str], name: str, *, known: bool
) -> list[Figure]:
    """A figure for each cell that has an estimate, with labels too where classes are `known`.

    `backbones`: all of the page, so that each has one colour everywhere. `name`: see chart.
    """
    out = []
    for number, cell in enumerate(cells):
        curves = [*_by_criteria(cell), *(_by_labels(cell) if known else [])]
        if curves:
            svg = _draw(curves, backbones.index(cell.backbone), f"{name}-h{number}")
            out.append(Figure(f"How many classes: {cell.backbone}", svg, _caption(curves)))
    return out


def _by_criteria(cell: Cell) -> list[Curve]:
    said, table = cell.metric("estimate_k.json"), cell.metric("estimate_k.csv")
    if not (said.exists() and table.exists()):
        return []
    rows = read_rows(table, ("k", "seed", *(f"{name}_score" for name in TITLES)))
    if not rows:  # nothing could be tried
        return []
    with as_written(table):
        all_y = {name: _by_seed(rows, f"{name}_score") for name in TITLES}
    out: list[Curve] = []
    with as_written(said):
        found = json.loads(said.read_text())
        for name, (k, y) in all_y.items():
            if name == "coding_length":  # only differences say something
                y = (y - y[:, :1]) / 1000
            pick = found["picks"][name]
            if pick is not None and pick not in k:
                raise ValueError(f"picks.{name} is {pick}, which {table.name} has not tried")
            out.append(Curve(TITLES[name], k, y, pick, int(found["k"])))
    return out


def _by_labels(cell: Cell) -> list[Curve]:
    said = cell.metric("estimate_k_by_labels.json")
    table = cell.metric("estimate_k_by_labels.csv")
    if not (said.exists() and table.exists()):
        return []
    rows = read_rows(table, ("k", "seed", "acc"))
    with as_written(table):
        if not rows:
            raise ValueError("no row")
        k, acc = _by_seed(rows, "acc")
    with as_written(said):
        best = json.loads(said.read_text())["k"]
        if best not in k:
            raise ValueError(f"k is {best}, which {table.name} has not tried")
    return [Curve(LABELS, k, acc * 100, best, best)]


def _by_seed(rows: Sequence[dict[str, str]], column: str) -> tuple[np.ndarray, np.ndarray]:
    """k, int64 [candidate], and the column, float64 [seed, candidate]."""
    seeds: dict[str, dict[int, float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[int(row["k"])] = float(row[column] or "nan")
    k = sorted(next(iter(seeds.values())))
    return np.array(k), np.array([[own[number] for number in k] for own in seeds.values()])


def _draw(curves: Sequence[Curve], tone: int, name: str) -> str:
    columns = min(COLUMNS if len(curves) > 6 else 3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure, axes = new_figure(columns, 2.1 * rows + 0.4, rows)
    for axis, curve in zip(axes, curves, strict=False):
        _panel(axis, curve, colour(tone))
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    return to_svg(figure, name)


def _panel(axis: Any, curve: Curve, tone: str) -> None:
    mean = curve.y.mean(axis=0)
    lone = {"marker": "o", "markersize": 4} if len(curve.k) < 20 else {}
    axis.plot(curve.k, mean, color=tone, linewidth=1.5, **lone)
    if len(curve.y) > 1:
        sd = curve.y.std(axis=0, ddof=1)
        axis.fill_between(curve.k, mean - sd, mean + sd, color=tone, alpha=0.18, linewidth=0)
    axis.axvline(curve.chosen, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    if curve.pick is not None:
        height = mean[curve.k.tolist().index(curve.pick)]
        axis.plot([curve.pick], [height], color=tone, marker="o", markersize=8, linestyle="")
        axis.annotate(
            str(curve.pick), (curve.pick, height), (6, 4), textcoords="offset points",
            ha="left", va="bottom", color=INK, fontsize=9,
        )  # fmt: skip
    axis.margins(y=0.2)
    axis.set_title(curve.title, loc="left", fontsize=10, color=INK, pad=8, weight="bold")
    axis.set_xlabel("number of clusters k", fontsize=9)
    axis.set_xscale("log")
    ticks = [tick for tick in TICKS if curve.k[0] <= tick <= curve.k[-1]]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)


def _caption(curves: Sequence[Curve]) -> str:
    seeds = len(curves[0].y)
    over = f"Mean over {seeds} seeds, shaded ± standard deviation" if seeds > 1 else "One seed"
    said = [f"{over}; logarithmic axis. Large dot: the number that the curve is for."]
    plain = [curve for curve in curves if curve.title != LABELS]
    if plain:
        said.append(
            f"Dashed: the recommended {plain[0].chosen}, the median of all votes, without labels. "
            "Silhouettes and agreement: by how much they exceed those of images without groups."
        )
    if len(plain) < len(curves):
        said.append(
            "With labels: the accuracy on the images of known classes, which is a search apart; "
            "only some numbers were tried."
        )
    return " ".join(said)
