"""The charts of one dataset: scores against k and against PCA dimensions, a line a backbone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pages.report.charts.chart import Chart, Curve, Panel, lines
from pages.report.tables import ablations
from pages.report.tables.ablations import Line
from pages.report.tables.settings import Setting


class Figure(NamedTuple):
    """folded: the page shows it when asked."""

    title: str
    chart: Chart
    caption: str
    folded: bool = False


def ablation_figures(settings: Sequence[Setting], backbones: Sequence[str]) -> list[Figure]:
    """Those of the two that have something to show: a line needs two points.

    `backbones`: all of the page, so that each has one colour everywhere. Of more than CROWD lines
    each method has panels of its own.
    """
    labelled = any(s.labelled for s in settings if s.own and s.split == "train")
    scores = ("acc", "ari") if labelled else ("silhouette", "stability")
    title = "ACC and ARI" if labelled else "Silhouette and stability"
    out = []
    for what, points, x_label, more in (
        ("k", ablations.by_k(settings), "number of clusters k", _ACC if labelled else ""),
        ("PCA dimensions", ablations.by_dims(settings), "dimensions clustered", _DIMS),
    ):
        every = ablations.lines(points)
        drawn = {key: found for key, found in every.items() if len(found) > 1}
        panels = [
            _panel(own, score, backbones, what, method)
            for method, own in _crowds(drawn).items()
            for score in scores
        ]
        chart = lines(panels, x_label, log=True)
        if chart.plots or chart.words:
            caption = f"{_spread(points)}; split train; logarithmic axis.{more}"
            if len(drawn) < len(every):
                caption += " Runs with one setting are in the tables alone."
            out.append(Figure(f"{title} against {what}", chart, caption))
    return out


CROWD = 12  # lines that can be told apart
TITLES = {
    "acc": ("ACC (%)", 100),
    "ari": ("ARI × 100", 100),
    "silhouette": ("Silhouette", 1),
    "stability": ("Stability × 100", 100),
}
_ACC = " ACC is one-to-one, so clusters beyond the number of classes count as wrong."
_DIMS = (
    " The leading principal components; a line's right end is all dimensions, without projection, "
    "where the run has that."
)


def _crowds(drawn: dict[Line, list[Setting]]) -> dict[str, dict[Line, list[Setting]]]:
    """The lines that stand in one panel, by their method; "": all of them together."""
    if len(drawn) <= CROWD:
        return {"": drawn}
    methods = sorted({method for _, method in drawn})
    return {m: {key: found for key, found in drawn.items() if key[1] == m} for m in methods}


def _panel(
    drawn: dict[Line, list[Setting]], score: str, backbones: Sequence[str], what: str, method: str
) -> Panel:
    title, scale = TITLES[score]
    title = f"{method} · {title}" if method else title
    methods = sorted({method for _, method in drawn})
    curves = []
    for (backbone, method), points in drawn.items():
        x = [s.k if what == "k" else s.dim for s in points]
        y = [s.mean[score] * scale for s in points]
        # Each seed's stability is a mean over the other seeds: its spread would say little.
        sd = [np.nan if score == "stability" else s.sd[score] * scale for s in points]
        label = backbone if len(methods) == 1 else f"{backbone} · {method}"
        look = (backbones.index(backbone), methods.index(method))
        curves.append(Curve(label, *look, np.array(x), np.array(y), np.array(sd)))
    return Panel(title, curves)


def _spread(settings: Sequence[Setting]) -> str:
    n = sorted({len(s.seeds) for s in settings})
    if n == [1]:
        return "One seed"
    return f"Mean over {' or '.join(map(str, n))} seeds, shaded ± standard deviation"
