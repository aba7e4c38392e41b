"""Peak memory of every stage that reads features, on 2,000,000 x 768 (3 GB).

`peak_gb` is what a stage's process holds beyond mapped pages, at its most. The first row is what
the libraries take by themselves. Settings are those of params.yaml but for fewer starts, passes and
steps (bench/_cases.py), so seconds say little, and for `runtime.memory_gb`, which is 1, the least
that `auto` takes: what more there is would be used. What may take hours is stopped once it has been
at it for a while: `stopped` says so. CAIRN_BENCH_IMAGES tries it on fewer. `python -m bench.memory`
prints the table of docs/benchmarks.md. CAIRN_BENCH_STAGES="kmeans; spectral" measures these alone
and keeps the other rows; stages whose results they read have to be named, too.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench._cases import CASES, FEW_CASES, FIRST, SECTIONS, STORED, command, forget
from bench._project import BIG, FEW, environment, lay_out, write_tables
from bench._some_rows import merged, named
from bench._watch import Taken, watch

PACKAGES = ("numpy", "torch", "h5py", "scipy", "pyarrow")
IMAGES, DIM, TARGETS = 2_000_000, 768, 1000
LONG = 30.0  # seconds after which a stage that may take hours is stopped
LONGEST = 400.0  # any other, in case
IMPORTS = "import stages.scan, stages.kmeans, stages.spectral, stages.evaluate, stages.probes"
RESULTS = Path(__file__).parent / "results" / "memory.json"


def run() -> list[dict[str, Any]]:
    """A row a stage."""
    images, only = int(os.environ.get("CAIRN_BENCH_IMAGES", IMAGES)), named()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, images, DIM, TARGETS, {**SECTIONS, "runtime": {"memory_gb": 1}})
        nothing = watch([sys.executable, "-c", IMPORTS], folder, environment(), LONGEST)
        rows, lacking = [_row("(libraries alone)", images, nothing)], False
        for case in CASES:
            if only and case.name not in only | FIRST:
                continue
            most = LONG if case.long else LONGEST
            try:
                taken = watch(command(case, BIG), folder, environment(), most)
            except SystemExit as error:
                if not lacking:
                    raise
                print(f"{case.name} is left out, maybe for want of what was stopped: {error}")
                continue
            lacking |= taken.stopped
            rows.append(_row(case.name, images, taken))
            forget(case, folder)
            if case.name == STORED:
                write_tables(folder)
                for few in FEW_CASES:
                    watch(command(few, FEW), folder, environment(), LONGEST)
    return merged("memory", {row["stage"]: row for row in rows}, only)


def _row(name: str, images: int, taken: Taken) -> dict[str, Any]:
    peak, seconds = round(taken.peak / 1e9, 2), round(taken.seconds, 1)
    print(f"{name}: {peak} GB, {seconds} s{', stopped' * taken.stopped}", flush=True)
    return {
        "stage": name, "images": images, "peak_gb": peak, "seconds": seconds,
        "stopped": taken.stopped,
    }  # fmt: skip


def markdown() -> str:
    """The table of docs/benchmarks.md, of the numbers that are kept."""
    rows = json.loads(RESULTS.read_text())["rows"]
    lines = ["| stage | peak, GB |", "|---|---|"]
    for row in sorted(rows, key=lambda row: -row["peak_gb"]):
        note = f" (stopped after {row['seconds']:.0f} s)" * row["stopped"]
        lines.append(f"| {row['stage']}{note} | {row['peak_gb']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
