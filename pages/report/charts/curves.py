"""How well each number of clusters fits, by criterion: a panel each, a figure a backbone."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pages.report.charts.chart import Curve, Panel, lines
from pages.report.charts.figures import Figure
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


class Tried(NamedTuple):
    """One panel. y: float64 [seed, candidate]; pick: the k that this criterion is for, or None;
    chosen: what is recommended by all of them."""

    title: str
    k: np.ndarray
    y: np.ndarray
    pick: int | None
    chosen: int


def curve_figures(cells: Sequence[Cell], backbones: Sequence[str], *, known: bool) -> list[Figure]:
    """A figure for each cell that has an estimate, with labels too where classes are `known`; all
    but the first folded in.

    `backbones`: all of the page, so that each has one colour everywhere.
    """
    out: list[Figure] = []
    for cell in cells:
        curves = [*_by_criteria(cell), *(_by_labels(cell) if known else [])]
        if curves:
            tone = backbones.index(cell.backbone)
            chart = lines([_panel(c, tone) for c in curves], "number of clusters k", log=True)
            title = f"How many classes: {cell.backbone}"
            caption = _caption(curves) if chart.plots else ""
            out.append(Figure(title, chart, caption, folded=bool(out)))
    return out


def _by_criteria(cell: Cell) -> list[Tried]:
    said, table = cell.metric("estimate_k.json"), cell.metric("estimate_k.csv")
    if not (said.exists() and table.exists()):
        return []
    rows = read_rows(table, ("k", "seed", *(f"{name}_score" for name in TITLES)))
    if not rows:  # nothing could be tried
        return []
    with as_written(table):
        all_y = {name: _by_seed(rows, f"{name}_score") for name in TITLES}
    out: list[Tried] = []
    with as_written(said):
        found = json.loads(said.read_text())
        for name, (k, y) in all_y.items():
            if name == "coding_length":  # only differences say something
                y = (y - y[:, :1]) / 1000
            pick = found["picks"][name]
            if pick is not None and pick not in k:
                raise ValueError(f"picks.{name} is {pick}, which {table.name} has not tried")
            out.append(Tried(TITLES[name], k, y, pick, int(found["k"])))
    return out


def _by_labels(cell: Cell) -> list[Tried]:
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
    return [Tried(LABELS, k, acc * 100, best, best)]


def _by_seed(rows: Sequence[dict[str, str]], column: str) -> tuple[np.ndarray, np.ndarray]:
    """k, int64 [candidate], and the column, float64 [seed, candidate]."""
    seeds: dict[str, dict[int, float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], {})[int(row["k"])] = float(row[column] or "nan")
    k = sorted(next(iter(seeds.values())))
    return np.array(k), np.array([[own[number] for number in k] for own in seeds.values()])


def _panel(curve: Tried, tone: int) -> Panel:
    many = len(curve.y) > 1
    sd = curve.y.std(axis=0, ddof=1) if many else np.full(len(curve.k), np.nan)
    line = Curve("", tone, 0, curve.k, curve.y.mean(axis=0), sd, curve.pick)
    return Panel(curve.title, [line], chosen=curve.chosen)


def _caption(curves: Sequence[Tried]) -> str:
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
