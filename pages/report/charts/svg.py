"""One panel of a chart as SVG for inside the page: its font, its colours in light and dark.

Written without matplotlib: its figures take 40 ms and 20 KB each, and a page of many runs has
hundreds. Units are CSS pixels where a panel is as narrow as the page allows; it only grows from
there, so that text is never smaller than page.css says.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

COLOURS = 8  # --s0 to --s7 in page.css
WIDTH, HEIGHT = 300, 190  # page.css has the width too
TOP, RIGHT, BOTTOM = 10, 12, 40  # around what is drawn
LETTER = 6.6  # width of a digit
DASHES = ("", "6 3", "1.5 2.5")
# Around a point, by steps from it
MARKERS = (
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.8-2.8h5.6v5.6h-5.6z",
    "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z",
    "m0-3.6l3.5 6.2h-7z",
    "m0 3.6l3.5-6.2h-7z",
    "m-3.6-1.2h2.4v-2.4h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4z",
    "m-3.4-2l1.4-1.4l2 2l2-2l1.4 1.4l-2 2l2 2l-1.4 1.4l-2-2l-2 2l-1.4-1.4l2-2z",
)


class Scale(NamedTuple):
    """From values, low to high, to pixels, start to end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        """float64, of the shape of `values`."""
        of = np.log if self.log else np.asarray
        low, high = of(self.low), of(self.high)
        return self.start + (of(values) - low) / (high - low) * (self.end - self.start)


class Axes(NamedTuple):
    """ticks: values that are marked; grid lines are at those of y."""

    x: Scale
    y: Scale
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]


def axes(
    x: tuple[float, float], y: tuple[float, float], x_ticks: Sequence[float], *, log: bool = False
) -> Axes:
    """For values in these limits; of `x_ticks` as many in them as there is room for."""
    y_ticks = [tick for tick in round_values(*y) if y[0] <= tick <= y[1]]
    left = 12 + LETTER * max((len(number(tick)) for tick in y_ticks), default=0)
    across = Scale(*x, left, WIDTH - RIGHT, log)
    ticks = _apart([tick for tick in x_ticks if x[0] <= tick <= x[1]], across)
    return Axes(across, Scale(*y, HEIGHT - BOTTOM, TOP), ticks, y_ticks)


def round_values(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Some round values about the limits; whole: whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(5, integer=whole, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks]


def panel(on: Axes, x_label: str, marks: Sequence[str]) -> str:
    """The whole SVG."""
    left, right, bottom = on.x.start, on.x.end, on.y.start
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">']
    for tick in on.y_ticks:
        at = float(on.y(tick))
        out.append(_path(f"M{left:.1f} {at:.1f}H{right}", 'stroke="var(--line)"'))
        out.append(text(left - 6, at + 4, number(tick), "end"))
    out.append(_path(f"M{left:.1f} {bottom}H{right}", 'stroke="var(--muted)"'))
    for tick in on.x_ticks:
        at = float(on.x(tick))
        out.append(_path(f"M{at:.1f} {bottom}v4", 'stroke="var(--muted)"'))
        out.append(text(at, bottom + 17, number(tick), "middle"))
    out.append(text((left + right) / 2, HEIGHT - 6, x_label, "middle"))
    return "".join([*out, *marks, "</svg>"])


def line(x: np.ndarray, y: np.ndarray, tone: int, dash: int = 0) -> str:
    """x, y: pixels [point]."""
    kind = DASHES[dash % len(DASHES)]
    dashed = f' stroke-dasharray="{kind}"' if kind else ""
    return _path(f"M{_points(x, y)}", f'stroke="{colour(tone)}" stroke-width="1.7"{dashed}')


def area(x: np.ndarray, low: np.ndarray, high: np.ndarray, tone: int, opacity: float) -> str:
    """What lies between two lines; all in pixels [point]."""
    around = f"M{_points(x, high)}L{_points(x[::-1], low[::-1])}z"
    return f'<path d="{around}" fill="{colour(tone)}" fill-opacity="{opacity}"/>'


def markers(x: np.ndarray, y: np.ndarray, tone: int) -> str:
    """A mark at each point, in pixels; tones of one colour differ in its form."""
    form = MARKERS[(tone + tone // COLOURS) % len(MARKERS)]
    d = "".join(f"M{a:.1f} {b:.1f}{form}" for a, b in zip(x, y, strict=True))
    return f'<path d="{d}" fill="{colour(tone)}"/>'


def dot(x: float, y: float, tone: int) -> str:
    """A large mark at one point, in pixels."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour(tone)}"/>'


def across(on: Axes, y: float) -> str:
    """A dashed line at a value of y."""
    return _dashed(f"M{on.x.start:.1f} {float(on.y(y)):.1f}H{on.x.end}", "var(--muted)")


def upright(on: Axes, x: float, tone: int | None = None) -> str:
    """A dashed line at a value of x."""
    stroke = "var(--muted)" if tone is None else colour(tone)
    return _dashed(f"M{float(on.x(x)):.1f} {on.y.start}V{on.y.end}", stroke)


def text(x: float, y: float, said: str, anchor: str = "start", kind: str = "") -> str:
    """Nothing that users named: it is not escaped. kind: a class of page.css."""
    known = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{known}>{said}</text>'


def key(tone: int, dash: int, *, marked: bool) -> str:
    """A piece of a line for the legend."""
    middle = np.array([17.0]), np.array([6.0])
    drawn = line(np.array([1, 33]), np.array([6, 6]), tone, dash)
    drawn += markers(*middle, tone) if marked else ""
    return f'<svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">{drawn}</svg>'


def colour(tone: int) -> str:
    """The page's colour of that number."""
    return f"var(--s{tone % COLOURS})"


def number(value: float) -> str:
    """As short as it can be."""
    return f"{value:.6g}".replace("-", "−")


def _apart(ticks: Sequence[float], scale: Scale) -> list[float]:
    """As many of the values, from the lowest on, as their texts leave room for."""
    out: list[float] = []
    for tick in ticks:
        room = LETTER * (len(number(tick)) + len(number(out[-1]))) / 2 + 8 if out else 0
        if not out or float(scale(tick) - scale(out[-1])) >= room:
            out.append(tick)
    return out


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _path(d: str, look: str) -> str:
    return f'<path d="{d}" fill="none" {look}/>'


def _dashed(d: str, stroke: str) -> str:
    return _path(d, f'stroke="{stroke}" stroke-dasharray="4 3"')
