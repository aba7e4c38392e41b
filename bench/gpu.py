"""What a GPU has to show, in six minutes: the CUDA tests, and ours beside plain torch.

Each part runs by itself (bench/_alone.py): what fails or takes too long says so in its row. The
file is written after each part. `held` says what an answer was held to. Data are made, weights
drawn: nothing is read or fetched. What is not installed is listed, with the commands that bring it
from a machine with a network; parts that can do without do so.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench import _wheels
from bench._alone import Row, row, rows_of
from bench._results import keep, table

PACKAGES = _wheels.installed()


class Part(NamedTuple):
    """limit: seconds."""

    command: Sequence[str]
    limit: float


def _of(module: str, function: str, limit: float) -> Part:
    return Part([sys.executable, "-m", "bench._alone", f"bench.{module}", function, "cuda"], limit)


PARTS = {
    "device": _of("_gpu_device", "device", 25),
    "tests": _of("_gpu_tests", "tests", 90),
    "kmeans": _of("_gpu_search", "kmeans_pass", 60),
    "neighbors": _of("_gpu_search", "neighbors", 70),
    "heads": _of("_gpu_heads", "heads", 60),
    "network": _of("_gpu_embed", "network", 20),
    "embed": _of("_gpu_embed", "embed", 35),
}


def lacking() -> str:
    """Why this cannot run here, "" if it can."""
    import torch

    if torch.cuda.is_available():
        return ""
    return "torch sees no GPU: run `python -m bench gpu` on a machine that has one"


def run() -> list[Row]:
    """The rows of all parts; kept after each."""
    said = _wheels.missing()
    print(_wheels.advice(said), flush=True)
    begin = [{"part": "python", **row("not installed", ", ".join(said) or "nothing")}]
    return every(PARTS, begin, lambda rows: keep("gpu", PACKAGES, rows))


def every(
    parts: Mapping[str, Part], begin: list[Row], told: Callable[[list[Row]], object]
) -> list[Row]:
    """`begin` and the rows of each part; told of all so far after each."""
    rows = list(begin)
    for name, part in parts.items():
        start = time.perf_counter()
        found = [{"part": name, **each} for each in rows_of(part.command, part.limit)]
        took = {"part": name, **row("all of it", round(time.perf_counter() - start, 1), "s")}
        rows += [*found, took]
        print(f"\n{table([*found, took])}", flush=True)
        told(rows)
    return rows
