"""Ways to draw the map of the review page: what a frame costs while it is panned and zoomed.

    python -m bench map_trial [--points N ...] [--plotly plotly.min.js]

In headless chromium, 1200 x 800, each way 4 s: WebGL2 (`webgl`), a rectangle a point on a 2D canvas
(`canvas`), pixels written from JavaScript (`pixels`), and Plotly's scattergl. The page is
_map_trial.html. No GPU is used: what needs WebGL has SwiftShader, the others the browser's own
software. `cpu ms`: processor time of all processes of the browser a frame, which other load on the
machine changes little, while it does change frames a second and the time of the first paint. Bytes:
of the libraries that the page loads, unpacked. plotly.min.js lies in the wheel of plotly (`pip
download --no-deps plotly`), in plotly/package_data.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench._results import keep, table

PACKAGES = ("playwright",)
PAGE, HERE = Path(__file__).with_name("_map_trial.html"), "http://127.0.0.1/"
FLAGS = ["--no-sandbox", "--disable-frame-rate-limit", "--disable-gpu-vsync"]
WITH_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
LONGEST = 90  # seconds until a map is there
COLUMNS = ("cpu ms", "frames a second", "first paint ms", "bytes")
WAYS = {"webgl": WITH_GL, "canvas": ["--disable-gpu"], "pixels": ["--disable-gpu"]}


def lacking() -> str:
    """It needs a browser, and a library that is nobody's requirement."""
    return "it needs chromium and plotly.min.js: python -m bench map_trial --help"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench map_trial", description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[100_000])
    parser.add_argument("--plotly", type=Path, help="plotly.min.js; without it Plotly is left out")
    asked = parser.parse_args(arguments)
    if not shutil.which("chromium"):
        raise SystemExit("map_trial: no chromium on this machine")
    ways = WAYS | ({"plotly": WITH_GL} if asked.plotly else {})
    rows = [
        {"way": way, "points": count, **_measured(way, count, flags, asked.plotly)}
        for way, flags in ways.items()
        for count in asked.points
    ]
    print(table(rows))
    keep("map_trial", PACKAGES, rows)


def _measured(way: str, count: int, flags: Sequence[str], plotly: Path | None) -> dict[str, Any]:
    from playwright.sync_api import TimeoutError, sync_playwright

    with (
        sync_playwright() as play,
        play.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, *flags]
        ) as browser,
    ):
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        files = {f"{HERE}plotly.min.js": plotly}
        page.route(f"{HERE}*", lambda route: route.fulfill(path=files.get(route.request.url, PAGE)))
        page.goto(f"{HERE}?way={way}&points={count}", wait_until="commit")
        try:
            page.wait_for_function("window.measure", timeout=1000 * LONGEST, polling=200)
        except TimeoutError:
            return dict.fromkeys(COLUMNS, f"not within {LONGEST} s")
        before = _cpu_seconds()
        found = page.evaluate("window.measure()")
        spent = _cpu_seconds() - before
    cpu, rate = 1000 * spent / found["frames"], found["frames"] / found["seconds"]
    values = (round(cpu, 1), round(rate, 1), round(found["first"]), found["bytes"])
    return dict(zip(COLUMNS, values, strict=True))


def _cpu_seconds() -> float:
    """Of the browser, which is a child of a child, with all of its processes."""
    import psutil

    every = psutil.Process().children(recursive=True)
    return sum(sum(each.cpu_times()[:2]) for each in every if "chrom" in each.name())
