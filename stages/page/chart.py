"""Charts as SVG for inside the page: its fonts, its colours in light and dark, equal bytes always.

Drawn by matplotlib in stand-in colours, which then become the page's CSS variables.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

COLOURS = 8  # --s0 to --s7 in page.css
INK, MUTED, GRID, PAGE = "#fd0001", "#fd0002", "#fd0003", "#fd0004"
VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAGE: "var(--page)"}
MARKERS = "osD^vPX*"
WIDTH = 10.8  # inches; the page scales it
LEGEND = 4  # columns
TICKS_APART = 0.045  # of the axis
BINS = 60  # of a histogram


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
    title: str
    curves: Sequence[Curve]


def lines(panels: Sequence[Panel], x_label: str, name: str) -> str:
    """Panels side by side with one legend. `name` tells the ids of one chart from another's."""
    labels = {curve.label for panel in panels for curve in panel.curves}
    figure, axes = _figure(len(panels), height=2.9 + 0.2 * math.ceil(len(labels) / LEGEND))
    all_x = sorted({float(x) for panel in panels for curve in panel.curves for x in curve.x})
    for axis, panel in zip(axes, panels, strict=True):
        for curve in panel.curves:
            bars = None if np.isnan(curve.spread).all() else np.nan_to_num(curve.spread)
            look = _look(curve.colour, curve.dash)
            axis.errorbar(curve.x, curve.y, bars, label=curve.label, **look)
        axis.set_title(panel.title, loc="left", fontsize=10, color=INK, pad=10, weight="bold")
        axis.set_xlabel(x_label, fontsize=9)
        axis.set_xscale("log")
        ticks = _ticks(all_x)
        axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axis.set_xticks([], minor=True)
    pairs = [pair for axis in axes for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    known = {label: handle for handle, label in reversed(pairs)}  # each once, as first drawn
    figure.legend(
        list(known.values())[::-1], list(known)[::-1],
        loc="outside upper left", ncols=LEGEND, frameon=False, labelcolor=INK, fontsize=9,
    )  # fmt: skip
    return _svg(figure, name)


def sizes(counts: np.ndarray, colour: int, name: str) -> str:
    """Images a cluster, int [cluster], largest first, with the size of equal clusters."""
    figure, (axis,) = _figure(1, height=2.0)
    counts, edges = np.sort(counts)[::-1], np.arange(len(counts) + 1) + 0.5
    if len(counts) <= 100:
        axis.bar(
            edges[:-1] + 0.5,
            counts,
            1,
            color=_colour(colour),
            edgecolor=PAGE,
            linewidth=1.5,
            alpha=0.8,
        )
    else:  # a step a cluster would be finer than the screen, and megabytes
        at = np.unique(np.linspace(0, len(counts) - 1, 800).round().astype(int))
        axis.fill_between(at + 1, counts[at], color=_colour(colour), linewidth=0, alpha=0.8)
    mean = counts.mean()
    axis.axhline(mean, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axis.annotate(
        f"equal clusters: {mean:.0f}" if mean >= 10 else f"equal clusters: {mean:.1f}",
        (1, mean), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="right", va="bottom", color=MUTED, fontsize=9,
    )  # fmt: skip
    axis.set_xlim(0.5, len(counts) + 0.5)
    axis.set_xlabel("clusters, largest first", fontsize=9)
    axis.set_title("Images a cluster", loc="left", fontsize=10, color=INK, pad=10, weight="bold")
    axis.xaxis.get_major_locator().set_params(integer=True)
    return _svg(figure, name)


def histogram(series: Mapping[str, np.ndarray], x_label: str, colour: int, name: str) -> str:
    """Shares of each series (float [value]) over bins that all have in common; medians dashed."""
    figure, (axis,) = _figure(1, height=2.4)
    every = np.concatenate(list(series.values())).astype(np.float64)
    low, high = float(every.min()), float(every.max())
    if high - low < 1e-3:  # a step where all is one value
        low, high = low - 5e-4, high + 5e-4
    for number, (label, values) in enumerate(series.items()):
        counts, edges = np.histogram(values.astype(np.float64), BINS, (low, high))
        tone, shares = _colour(colour + number), counts / len(values) * 100
        axis.stairs(shares, edges, fill=True, color=tone, alpha=0.25)
        axis.stairs(shares, edges, color=tone, linewidth=1.5, label=label)
        median = float(np.median(values))
        axis.axvline(median, color=tone, linewidth=1.2, linestyle=(0, (4, 3)))
    axis.set_xlim(low, high)
    axis.set_xlabel(x_label, fontsize=9)
    title = "Pairs in %; dashed: the median" if len(series) > 1 else "Targets in %; dashed: median"
    axis.set_title(title, loc="left", fontsize=10, color=INK, pad=10, weight="bold")
    figure.legend(
        loc="outside upper right", ncols=LEGEND, frameon=False, labelcolor=INK, fontsize=9
    )
    return _svg(figure, name)


def _figure(n: int, height: float) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.12))
    axes = list(figure.subplots(1, n, squeeze=False)[0])
    for axis in axes:
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.spines["bottom"].set_color(MUTED)
        axis.grid(axis="y", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=9, length=3)
        axis.tick_params(axis="y", length=0)
        axis.xaxis.label.set_color(MUTED)
    return figure, axes


def _look(colour: int, dash: int) -> dict[str, Any]:
    return {
        "color": _colour(colour),
        "marker": MARKERS[(colour + colour // COLOURS) % len(MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.7,
        "linestyle": ("-", (0, (4, 2)), (0, (1, 1.5)))[dash % 3],
        "elinewidth": 1.1,
        "capsize": 2.5,
    }


def _colour(number: int) -> str:
    return f"#fe00{number % COLOURS:02x}"


def _ticks(values: Sequence[float]) -> list[float]:
    """As many of the values, from the lowest on, as a logarithmic axis has room for."""
    span = math.log(values[-1] / values[0]) or 1
    out = [values[0]]
    for value in values[1:]:
        digits = len(f"{value:.0f}") + len(f"{out[-1]:.0f}")
        if math.log(value / out[-1]) / span > TICKS_APART / 2 + digits * 0.009:
            out.append(value)
    return out


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    out = io.StringIO()
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": "cairn"}
    with matplotlib.rc_context(options):
        figure.savefig(
            out,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#fe00(\w\w)", lambda found: f"var(--s{int(found[1], 16)})", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)  # the page's own
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg)  # HTML knows SVG
    # Several charts on one page: an id must be of one of them only.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)
