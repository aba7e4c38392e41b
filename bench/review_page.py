"""The review page in a browser: seconds until there is something to look at, and memory.

    python -m bench review_page PROJECT DATASET [--times N]

PROJECT is a project with a clustering of DATASET, and thumbnails that are made (the page makes
them). Headless chromium, 1200 x 800, opens the page anew N times, each time as a browser that has
never seen it: `paint`: the first thing is painted (first contentful paint); `cards`: the first
picture of the first card; `grid`: from a click on that card to its first picture in the grid, at
96 pixels. Seconds, the least and the median: other
load on the machine makes them longer. `cpu`: processor seconds of the server until
the cards are there. `memory`: the most of the server's own (RssAnon and RssShmem), the space of
suggestions included.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench._results import keep, table

PACKAGES = ("playwright", "starlette", "uvicorn")
ROOT = Path(__file__).parents[1]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"
SHOWN = "[...document.querySelectorAll('{}')].some((img) => img.complete && img.naturalWidth)"
CARD, CELL = ".cards .card img", ".grid .cell:not([hidden]) img"
OWN = re.compile(r"Rss(?:Anon|Shmem):\s+(\d+)")


def lacking() -> str:
    """It needs a project and a browser."""
    return "it needs chromium and a project: python -m bench review_page PROJECT DATASET"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench review_page", description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--times", type=int, default=7, help="%(default)s")
    asked = parser.parse_args(arguments)
    if not shutil.which("chromium"):
        raise SystemExit("review_page: no chromium on this machine")
    row = _measured(asked.project, asked.dataset, asked.times)
    print(table([row]))
    keep("review_page", PACKAGES, [row])


def _measured(project: Path, dataset: str, times: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "pages.review", dataset, "--no-open"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        found = (re.search(r"http://\S+/", line) for line in server.stdout)
        address = next((match[0] for match in found if match), None)
        if address is None:
            raise SystemExit("review_page: the server did not start")
        flags = ["--no-sandbox", "--disable-gpu"]
        with (
            sync_playwright() as play,
            play.chromium.launch(executable_path=shutil.which("chromium"), args=flags) as browser,
        ):
            opened = [_opened(browser, address, server.pid) for _ in range(times)]
        memory = _memory(server.pid)
    finally:
        server.terminate()
        server.wait()
    row: dict[str, Any] = {"dataset": dataset, "times": times}
    for name in opened[0]:
        values = [one[name] for one in opened]
        row[name] = f"{min(values):.2f}, {statistics.median(values):.2f}"
    return {**row, "memory": f"{memory / 1e9:.2f} GB"}


def _opened(browser: Any, address: str, server: int) -> dict[str, float]:
    size = {"width": 1200, "height": 800}
    context = browser.new_context(viewport=size, bypass_csp=True)  # to wait for a condition
    page = context.new_page()
    cpu, begin = _cpu(server), time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(SHOWN.format(CARD))
    cards, cpu = time.perf_counter() - begin, _cpu(server) - cpu
    paint = page.evaluate(PAINT)
    begin = time.perf_counter()
    page.locator(".cards .card a.open").first.click()
    page.wait_for_function(SHOWN.format(CELL))
    grid = time.perf_counter() - begin
    context.close()
    return {"paint": paint, "cards": cards, "cpu": cpu, "grid": grid}


def _cpu(process: int) -> float:
    """Seconds that it has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int) -> int:
    """Bytes of its own."""
    said = Path(f"/proc/{process}/status").read_text()
    return 1024 * sum(int(found) for found in OWN.findall(said))
