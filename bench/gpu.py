"""What a GPU has to show, in six minutes: the CUDA tests, and ours beside plain torch and others.

    python -m bench gpu [--only PART ...] [--device cpu] [--tiny]

Each part runs by itself (bench/_alone.py) for the seconds that it is given: it takes fewer rounds
rather than more time, and says so; what fails or hangs says so in its row. The file is written
after each part. `held` says what an answer was held to, `bound` what bytes and operations permit,
at the rates that the part measures first, and `share` how near that is. Data are made, weights
drawn: nothing is read or fetched. What is not installed is listed, with the commands that bring it
from a machine with a network; parts that can do without do so. --tiny: at sizes that show only that
it runs, on a CPU too (--device cpu), with nothing kept.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from bench import _results, _wheels
from bench._alone import Row, row, rows_of
from bench._results import keep, table

PACKAGES = _wheels.installed()
COLUMNS = ("part", "what", "value", "unit", "bound", "share", "held")  # of the summary
UNITS = ("times", "tests", "TB/s")  # of rows that are in it whatever else
WIDTH = 64  # letters of a cell there


class Part(NamedTuple):
    """limit: seconds; lines: of the summary."""

    command: Sequence[str]
    limit: float
    lines: int


# Seconds and lines of each; tests come last, when what they compare with is compiled
LIMITS = {
    "device": (16, 3), "kmeans": (82, 7), "neighbors": (60, 3), "temi": (34, 2), "embed": (45, 4),
    "adapt": (40, 3), "tests": (80, 5),
}  # fmt: skip


def parts(device: str = "cuda", size: str = "full") -> dict[str, Part]:
    start = [sys.executable, "-m", "bench._alone", "bench.gpu", "measure"]
    return {
        name: Part([*start, name, device, size, str(limit)], limit, lines)
        for name, (limit, lines) in LIMITS.items()
    }


def measure(name: str, device: str, size: str, limit: str) -> Iterator[Row]:
    """The rows of one part, in the process that is its own."""
    from bench._gpu_timing import Clock

    module = importlib.import_module(f"bench._gpu_{name}")
    yield from module.rows(device, getattr(module, size.upper()), Clock(float(limit)))


def lacking() -> str:
    """Why this cannot run here, "" if it can."""
    import torch

    if torch.cuda.is_available():
        return ""
    return "torch sees no GPU: run `python -m bench gpu` on a machine that has one"


def run() -> list[Row]:
    """The rows of all parts; kept after each."""
    return _run(parts(), lambda rows: keep("gpu", PACKAGES, rows))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    said = f"of {', '.join(LIMITS)}; the file keeps the others, if it is of this machine"
    parser.add_argument(
        "--only", nargs="+", choices=LIMITS, metavar="PART", default=list(LIMITS), help=said
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu with --tiny")
    parser.add_argument("--tiny", action="store_true", help="show only that it runs; keep nothing")
    given = parser.parse_args(arguments)
    if given.device == "cpu" and not given.tiny:
        parser.error("--device cpu needs --tiny: these sizes are a GPU's")
    if given.device != "cpu" and (why := lacking()):
        raise SystemExit(f"gpu: {why}")
    asked = parts(given.device, "tiny" if given.tiny else "full")
    asked = {name: part for name, part in asked.items() if name in given.only}
    others = [] if given.tiny else before(set(LIMITS) - set(asked))
    rows = _run(asked, lambda rows: given.tiny or keep("gpu", PACKAGES, rows + others))
    print(f"\n{summary(rows)}")


def before(names: set[str]) -> list[Row]:
    """The rows of these parts in the file, if it is of this machine and these versions."""
    try:
        found = json.loads((_results.FOLDER / "gpu.json").read_text())
    except (OSError, ValueError):
        return []
    here = {"machine": _results.machine(), "versions": _results.versions(PACKAGES)}
    if any(found.get(key) != value for key, value in here.items()):
        return []
    return [each for each in found["rows"] if each["part"] in names]


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


def summary(rows: Sequence[Row]) -> str:
    """At most 30 lines: of each part what failed, then what has a bound or is compared."""

    def rank(each: Row) -> int:
        if each["what"].startswith("error") or "NOT" in each["held"]:
            return 0
        named = each["what"] in ("name", "bfloat16 product") or each["unit"] in UNITS
        return 1 if named or each["share"] != "" else 2

    lines: list[Row] = []
    for name, (_, most) in LIMITS.items():
        own = [each for each in rows if each["part"] == name and each["what"] != "all of it"]
        lines += sorted(own, key=rank)[:most]
    seconds = sum(each["value"] for each in rows if each["what"] == "all of it")
    short = [{key: _cut(each[key]) for key in COLUMNS} for each in lines]
    return f"{table(short)}\n{seconds:.0f} s" if short else "no part was run"


def _run(asked: Mapping[str, Part], told: Callable[[list[Row]], object]) -> list[Row]:
    said = _wheels.missing()
    print(_wheels.advice(said), flush=True)
    begin = [{"part": "python", **row("not installed", ", ".join(said) or "nothing")}]
    with _compiling() if "tests" in asked else nullcontext():
        return every(asked, begin, told)


@contextmanager
def _compiling() -> Iterator[None]:
    """Meanwhile the loops of a CPU are compiled, if they are not: tests compare with them."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cluster"], cwd=_wheels.ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _cut(value: object) -> object:
    return value[: WIDTH - 1] + "…" if isinstance(value, str) and len(value) > WIDTH else value
