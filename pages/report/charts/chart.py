"""The kinds of chart: lines, bands over epochs, sizes of clusters, histograms."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pages.report.charts.bins import Binned
from pages.report.charts.svg import COLOURS, INK, MUTED, PAGE, colour, new_figure, to_svg

MARKERS = "osD^vPX*"
LEGEND = 4  # columns
TICKS_APART = 0.045  # of the axis


class Curve(NamedTuple):
    """One line of a panel: x and y [point], the spread of y [point] (nan: none). Lines of one
    colour differ in their dash."""

    label: str
    colour: int
    dash: int
    x: np.ndarray
    y: np.ndarray
    spread: np.ndarray


class Panel(NamedTuple):
    """limits: lowest and highest y; None: what the curves need."""

    title: str
    curves: Sequence[Curve]
    limits: tuple[float, float] | None = None


def lines(panels: Sequence[Panel], x_label: str, name: str) -> str:
    """Panels side by side with one legend. `name` tells the ids of one chart from another's."""
    labels = {curve.label for panel in panels for curve in panel.curves}
    figure, axes = new_figure(len(panels), height=2.9 + 0.2 * math.ceil(len(labels) / LEGEND))
    all_x = sorted({float(x) for panel in panels for curve in panel.curves for x in curve.x})
    for axis, panel in zip(axes, panels, strict=True):
        for curve in panel.curves:
            bars = None if np.isnan(curve.spread).all() else np.nan_to_num(curve.spread)
            look = _look(curve.colour, curve.dash)
            axis.errorbar(curve.x, curve.y, bars, label=curve.label, **look)
        _title(axis, panel.title)
        axis.set_xlabel(x_label, fontsize=9)
        axis.set_xscale("log")
        ticks = _ticks(all_x)
        axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axis.set_xticks([], minor=True)
    _legend(figure, axes)
    return to_svg(figure, name)


def bands(rows: Sequence[Sequence[Panel]], x_label: str, name: str) -> str:
    """Rows of equally many panels, each line with its spread as a band; one legend for all."""
    labels = {curve.label for panels in rows for panel in panels for curve in panel.curves}
    height = 1.9 * len(rows) + 0.5 + 0.2 * math.ceil(len(labels) / LEGEND)
    figure, axes = new_figure(len(rows[0]), height, len(rows))
    panels = [panel for row in rows for panel in row]
    for number, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        axis.set_visible(bool(panel.curves))  # an empty one fills a row
        for curve in panel.curves:
            look = {key: _look(curve.colour, curve.dash)[key] for key in ("color", "linestyle")}
            lone = {"marker": "o", "markersize": 4.5} if len(curve.x) == 1 else {}
            axis.plot(curve.x, curve.y, label=curve.label, linewidth=1.5, **look, **lone)
            low, high = curve.y - curve.spread, curve.y + curve.spread
            tone = colour(curve.colour)
            axis.fill_between(curve.x, low, high, color=tone, alpha=0.18, linewidth=0)
        _title(axis, panel.title)
        if panel.limits:
            axis.set_ylim(*panel.limits)
        if number >= len(panels) - len(rows[0]):
            axis.set_xlabel(x_label, fontsize=9)
        axis.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, axes)
    return to_svg(figure, name)


def sizes(counts: np.ndarray, tone: int, name: str) -> str:
    """Images a cluster, int [cluster], largest first, with the size of equal clusters."""
    figure, (axis,) = new_figure(1, height=2.0)
    counts, edges = np.sort(counts)[::-1], np.arange(len(counts) + 1) + 0.5
    if len(counts) <= 100:
        axis.bar(
            edges[:-1] + 0.5,
            counts,
            1,
            color=colour(tone),
            edgecolor=PAGE,
            linewidth=1.5,
            alpha=0.8,
        )
    else:  # a step a cluster would be finer than the screen, and megabytes
        at = np.unique(np.linspace(0, len(counts) - 1, 800).round().astype(int))
        axis.fill_between(at + 1, counts[at], color=colour(tone), linewidth=0, alpha=0.8)
    mean = counts.mean()
    axis.axhline(mean, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axis.annotate(
        f"equal clusters: {mean:.0f}" if mean >= 10 else f"equal clusters: {mean:.1f}",
        (1, mean), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="right", va="bottom", color=MUTED, fontsize=9,
    )  # fmt: skip
    axis.set_xlim(0.5, len(counts) + 0.5)
    axis.set_xlabel("clusters, largest first", fontsize=9)
    _title(axis, "Images a cluster")
    axis.xaxis.get_major_locator().set_params(integer=True)
    return to_svg(figure, name)


def histogram(series: Mapping[str, Binned], x_label: str, first: int, name: str) -> str:
    """Shares of each series over bins that all have in common; medians dashed."""
    figure, (axis,) = new_figure(1, height=2.4)
    for number, (label, (counts, edges, median)) in enumerate(series.items()):
        tone, shares = colour(first + number), counts / counts.sum() * 100
        axis.stairs(shares, edges, fill=True, color=tone, alpha=0.25)
        axis.stairs(shares, edges, color=tone, linewidth=1.5, label=label)
        axis.axvline(median, color=tone, linewidth=1.2, linestyle=(0, (4, 3)))
        axis.set_xlim(edges[0], edges[-1])
    axis.set_xlabel(x_label, fontsize=9)
    title = "Pairs in %; dashed: the median" if len(series) > 1 else "Targets in %; dashed: median"
    _title(axis, title)
    figure.legend(
        loc="outside upper right", ncols=LEGEND, frameon=False, labelcolor=INK, fontsize=9
    )
    return to_svg(figure, name)


def _title(axis: Any, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=10, color=INK, pad=10, weight="bold")


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    pairs = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    known = {label: handle for handle, label in reversed(pairs)}  # each once, as first drawn
    figure.legend(
        list(known.values())[::-1], list(known)[::-1],
        loc="outside upper left", ncols=LEGEND, frameon=False, labelcolor=INK, fontsize=9,
        handlelength=3.2,  # a dash has to be seen as one
    )  # fmt: skip


def _look(tone: int, dash: int) -> dict[str, Any]:
    return {
        "color": colour(tone),
        "marker": MARKERS[(tone + tone // COLOURS) % len(MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.7,
        "linestyle": ("-", (0, (4, 2)), (0, (1, 1.5)))[dash % 3],
        "elinewidth": 1.1,
        "capsize": 2.5,
    }


def _ticks(values: Sequence[float]) -> list[float]:
    """As many of the values, from the lowest on, as a logarithmic axis has room for."""
    span = math.log(values[-1] / values[0]) or 1
    out = [values[0]]
    for value in values[1:]:
        digits = len(f"{value:.0f}") + len(f"{out[-1]:.0f}")
        if math.log(value / out[-1]) / span > TICKS_APART / 2 + digits * 0.009:
            out.append(value)
    return out
