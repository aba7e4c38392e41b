"""The charts of one dataset: scores against k and against PCA dimensions, a line a backbone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pages.report.charts.chart import Curve, Panel, lines
from pages.report.tables import ablations
from pages.report.tables.ablations import Line
from pages.report.tables.settings import Setting


class Figure(NamedTuple):
    title: str
    svg: str
    caption: str


def ablation_figures(
    settings: Sequence[Setting], backbones: Sequence[str], name: str
) -> list[Figure]:
    """Those of the two that have something to show: a line needs two points.

    `backbones`: all of the page, so that each has one colour everywhere. `name`: see chart.
    """
    labelled = any(s.labelled for s in settings if s.own and s.split == "train")
    scores = ("acc", "ari") if labelled else ("silhouette", "stability")
    title = "ACC and ARI" if labelled else "Silhouette and stability"
    out = []
    for what, points, x_label, more in (
        ("k", ablations.by_k(settings), "number of clusters k", _ACC if labelled else ""),
        ("PCA dimensions", ablations.by_dims(settings), "dimensions clustered", _DIMS),
    ):
        drawn = {key: found for key, found in ablations.lines(points).items() if len(found) > 1}
        panels = [_panel(drawn, score, backbones, what) for score in scores]
        panels = [panel for panel in panels if panel.curves]
        if panels:
            caption = f"{_spread(points)}; split train; logarithmic axis.{more}"
            svg = lines(panels, x_label, f"{name}-{what[0]}")
            out.append(Figure(f"{title} against {what}", svg, caption))
    return out


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


def _panel(
    drawn: dict[Line, list[Setting]], score: str, backbones: Sequence[str], what: str
) -> Panel:
    title, scale = TITLES[score]
    methods = sorted({method for _, method in drawn})
    curves = []
    for (backbone, method), points in drawn.items():
        known = [s for s in points if np.isfinite(s.mean[score])]
        x = [s.k if what == "k" else s.dim for s in known]
        y = [s.mean[score] * scale for s in known]
        # Each seed's stability is a mean over the other seeds: its spread would say little.
        sd = [np.nan if score == "stability" else s.sd[score] * scale for s in known]
        label = backbone if len(methods) == 1 else f"{backbone} · {method}"
        look = (backbones.index(backbone), methods.index(method))
        if known:
            curves.append(Curve(label, *look, np.array(x), np.array(y), np.array(sd)))
    return Panel(title, curves)


def _spread(settings: Sequence[Setting]) -> str:
    n = sorted({len(s.seeds) for s in settings})
    if n == [1]:
        return "One seed"
    return f"Mean ± standard deviation over {' or '.join(map(str, n))} seeds"
