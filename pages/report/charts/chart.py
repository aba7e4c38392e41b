"""The kinds of chart: lines in panels, sizes of clusters, histograms."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pages.report.charts import svg
from pages.report.charts.bins import Binned
from pages.report.charts.svg import number

FEW = 20  # points of a line that are marked
ROUND = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10000)
BARS = 100  # of more clusters a step each would be finer than the screen


class Curve(NamedTuple):
    """One line of a panel: x and y [point], the spread of y [point] (nan: none). Lines of one
    colour differ in their dash and marks. pick: the x of a point that is named, or None."""

    label: str
    colour: int
    dash: int
    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray
    pick: int | None = None


class Panel(NamedTuple):
    """limits: lowest and highest y; None: what the curves need. chosen: an x with a dashed line."""

    title: str
    curves: Sequence[Curve]
    limits: tuple[float, float] | None = None
    chosen: int | None = None


class Key(NamedTuple):
    """An entry of the legend; svg: how its line looks."""

    label: str
    svg: str


class Plot(NamedTuple):
    """A panel as it is drawn."""

    title: str
    svg: str


class Chart(NamedTuple):
    """Panels, which the page sets side by side, with one legend; words: what cannot be drawn."""

    keys: list[Key]
    plots: list[Plot]
    words: str


def lines(panels: Sequence[Panel], x_label: str, *, log: bool) -> Chart:
    """Lines with their spread as a band. Points without a value are left out; a line of one point
    is none, and is said in words."""
    known = [panel._replace(curves=[_known(c) for c in panel.curves]) for panel in panels]
    drawn = [p._replace(curves=[c for c in p.curves if len(c.x) > 1]) for p in known]
    drawn = [panel for panel in drawn if panel.curves]
    keys = {c.label: c for panel in drawn for c in panel.curves if c.label}
    legend = [
        Key(label, svg.key(c.colour, c.dash, marked=len(c.x) <= FEW)) for label, c in keys.items()
    ]
    plots = [Plot(panel.title, _lines(panel, x_label, log)) for panel in drawn]
    return Chart(legend, plots, _lone(known, x_label))


def sizes(counts: np.ndarray, tone: int) -> Chart:
    """Images a cluster, int [cluster], largest first, with the size of equal clusters."""
    k, mean = len(counts), counts.mean()
    if k == 1:
        return Chart([], [], f"All {counts[0]:,} images lie in one cluster.")
    x, high = (0.5, k + 0.5), float(counts.max()) * 1.08 or 1.0
    on = svg.axes(x, (0, high), svg.round_values(*x, whole=True))
    y = on.y(np.sort(counts)[::-1])
    if k <= BARS:
        left, right = on.x(np.arange(k) + 0.5), on.x(np.arange(k) + 1.5)
        gap = min(1.5, (right[0] - left[0]) / 4)
        at, tops = np.stack([left, left, right - gap, right - gap], 1), np.stack([y, y, y, y], 1)
        tops[:, [0, 3]] = on.y.start
        at, tops = at.ravel(), tops.ravel()
    else:
        some = np.unique(np.linspace(0, k - 1, svg.WIDTH).round().astype(int))
        at, tops = on.x(some + 1), y[some]
    bars = svg.area(at, np.full(len(at), on.y.start), tops, tone, 0.8)
    said = f"equal clusters: {mean:.0f}" if mean >= 10 else f"equal clusters: {mean:.1f}"
    named = svg.text(on.x.end, float(on.y(mean)) - 4, said, "end", "ink")
    marks = [bars, svg.across(on, mean), named]
    return Chart(
        [], [Plot("Images a cluster", svg.panel(on, "clusters, largest first", marks))], ""
    )


def histogram(series: Mapping[str, Binned], x_label: str, first: int) -> Chart:
    """Shares of each series over bins that all have in common; medians dashed."""
    if all((counts > 0).sum() == 1 for counts, _, _ in series.values()):
        return Chart([], [], "All lie in one bin.")
    shares = {label: counts / counts.sum() * 100 for label, (counts, _, _) in series.items()}
    edges = next(iter(series.values())).edges
    limits, high = (float(edges[0]), float(edges[-1])), max(s.max() for s in shares.values())
    on = svg.axes(limits, (0, float(high) * 1.08), svg.round_values(*limits))
    marks, keys = [], []
    x = np.repeat(on.x(edges), 2)[1:-1]
    for tone, (label, share) in enumerate(shares.items(), first):
        y = np.repeat(on.y(share), 2)
        marks.append(svg.area(x, np.full(len(x), on.y.start), y, tone, 0.25))
        marks += [svg.line(x, y, tone), svg.upright(on, series[label].median, tone)]
        keys.append(Key(label, svg.key(tone, 0, marked=False)))
    what = "Pairs in %; dashed: the median" if len(series) > 1 else "Targets in %; dashed: median"
    return Chart(keys, [Plot(what, svg.panel(on, x_label, marks))], "")


def _known(curve: Curve) -> Curve:
    """The points that have a value."""
    there = np.isfinite(curve.y)
    return curve._replace(x=curve.x[there], y=curve.y[there], spread=curve.spread[there])


def _lines(panel: Panel, x_label: str, log: bool) -> str:
    every = sorted({float(x) for curve in panel.curves for x in curve.x})
    also = [*every, panel.chosen or every[0]]
    limits = (min(also), max(also))
    if log:
        ticks = (
            every if len(every) <= FEW // 2 else [t for t in ROUND if limits[0] <= t <= limits[1]]
        )
    else:
        ticks = [t for t in svg.round_values(*limits, whole=True) if limits[0] <= t <= limits[1]]
    on = svg.axes(limits, panel.limits or _limits(panel.curves), ticks, log=log)
    marks = [] if panel.chosen is None else [svg.upright(on, panel.chosen)]
    for curve in panel.curves:
        marks += _curve(curve, on)
    return svg.panel(on, x_label, marks)


def _curve(curve: Curve, on: svg.Axes) -> list[str]:
    x, y, out = on.x(curve.x), on.y(curve.y), []
    if not np.isnan(curve.spread).all():
        spread = np.nan_to_num(curve.spread)
        # No higher than the limits, where these are given
        low, high = (np.clip(curve.y + way * spread, on.y.low, on.y.high) for way in (-1, 1))
        out.append(svg.area(x, on.y(low), on.y(high), curve.colour, 0.16))
    out.append(svg.line(x, y, curve.colour, curve.dash))
    if len(x) <= FEW:
        out.append(svg.markers(x, y, curve.colour))
    for at in np.flatnonzero(curve.x == curve.pick):
        out.append(svg.dot(x[at], y[at], curve.colour))
        end = x[at] > (on.x.start + on.x.end) / 2
        beside = x[at] + (-7 if end else 7)
        out.append(svg.text(beside, y[at] - 7, str(curve.pick), "end" if end else "start", "ink"))
    return out


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Of all points and bands, with some room."""
    low = min(float((c.y - np.nan_to_num(c.spread)).min()) for c in curves)
    high = max(float((c.y + np.nan_to_num(c.spread)).max()) for c in curves)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _lone(panels: Sequence[Panel], x_label: str) -> str:
    """Lines of one point: panel by panel, what is at which x."""
    found: dict[str, list[str]] = {}
    for panel in panels:
        for curve in panel.curves:
            if len(curve.x) == 1:
                where = f"{panel.title} at {x_label} {number(curve.x[0])}"
                found.setdefault(where, []).append(f"{curve.label} {curve.y[0]:.3g}".strip())
    said = [f"{where}: {', '.join(values)}" for where, values in found.items()]
    return f"One point is no curve. {'; '.join(said)}." if said else ""
