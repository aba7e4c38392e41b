"""SVG for inside the page: its fonts, its colours in light and dark, equal bytes always.

Drawn by matplotlib in stand-in colours, which then become the page's CSS variables.
"""

import io
import re
from typing import Any

COLOURS = 8  # --s0 to --s7 in page.css
INK, MUTED, GRID, PAGE = "#fd0001", "#fd0002", "#fd0003", "#fd0004"
VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--line)", PAGE: "var(--page)"}
WIDTH = 10.8  # inches; the page scales it


def new_figure(columns: int, height: float, rows: int = 1) -> tuple[Any, list[Any]]:
    """A matplotlib figure, `height` inches high, and its axes, row by row."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1 if rows > 1 else None)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes:
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.spines["bottom"].set_color(MUTED)
        axis.grid(axis="y", color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=9, length=3)
        axis.tick_params(axis="y", length=0)
        axis.xaxis.label.set_color(MUTED)
    return figure, axes


def colour(number: int) -> str:
    """What becomes the page's colour of that number."""
    return f"#fe00{number % COLOURS:02x}"


def to_svg(figure: Any, name: str) -> str:
    """The figure as SVG. `name` tells the ids of one chart from another's."""
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
    for stand_in, variable in VARIABLES.items():
        svg = svg.replace(stand_in, variable)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)  # the page's own
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg)  # HTML knows SVG
    # Several charts on one page: an id must be of one of them only.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)
