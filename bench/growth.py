"""How the time and memory of every stage grow with the number of images: 10,000 to 1,000,000.

`time` and `memory` are exponents, fitted to logarithms (least squares): of the number of images
beyond 4,000, what a stage takes beyond what it takes for these. 1 is linear, 2 is all pairs. Empty:
too little grows to be told. Vectors of 64 dims, one seed, few starts, passes and steps
(bench/_cases.py). A stage that may compare all pairs is left out from where it would take a minute.
CAIRN_BENCH_IMAGES is the most images. CAIRN_BENCH_STAGES="kmeans; spectral" measures these alone
and keeps the other rows. What is made for more images (FURTHER) is measured with 3,000,000, too.
"""

import os
import tempfile
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from bench._cases import CASES, FEW_CASES, FIRST, SECTIONS, STORED, command, forget
from bench._project import BIG, FEW, environment, lay_out, write_tables
from bench._some_rows import merged, named
from bench._watch import Taken, watch

PACKAGES = ("numpy", "torch", "h5py", "scipy", "pyarrow")
SIZES, SMALLEST, DIM = (10_000, 30_000, 100_000, 300_000, 1_000_000), 4000, 64
FURTHER = dict.fromkeys(("index", "neighbors, compressed", "kmeans, hierarchical"), 3_000_000)
TARGETS = 1000
LONGEST, MINUTE = 600.0, 60.0  # seconds
SECONDS, BYTES = 0.3, 30e6  # of less growth nothing is said
ONE: dict[str, Any] = {"dims": [0], "seeds": [0]}
ALONE = {
    name: {**changed, **(ONE if name in ("kmeans", "overcluster", "scan", "temi") else {})}
    for name, changed in SECTIONS.items()
}


def run() -> list[dict[str, Any]]:
    """A row a stage."""
    most = int(os.environ.get("CAIRN_BENCH_IMAGES", max(FURTHER.values())))
    only = named()
    sizes = [size for size in sorted({*SIZES, *FURTHER.values()}) if size <= most]
    taken: dict[str, dict[int, Taken]] = {case.name: {} for case in CASES}
    for images in (SMALLEST, *sizes):
        with tempfile.TemporaryDirectory() as name:
            _measure(Path(name), images, only or taken.keys(), taken)
    measured = {name: _row(name, found, sizes) for name, found in taken.items() if found}
    return merged("growth", measured, only)


def _measure(folder: Path, images: int, only: Set[str], taken: dict[str, dict[int, Taken]]) -> None:
    wanted = {name for name in only if images <= FURTHER.get(name, SIZES[-1])}
    if images > SIZES[-1]:
        wanted &= FURTHER.keys()
    if not wanted:
        return
    lay_out(folder, images, DIM, TARGETS, ALONE)
    for case in CASES:
        if case.name not in wanted | FIRST:
            continue
        found = taken[case.name]
        long = case.long and case.name not in FURTHER
        if long and _expected(found, images) > MINUTE:
            continue
        longest = LONGEST * (5 if case.name in FURTHER else 1)
        now = watch(command(case, BIG), folder, environment(), longest)
        print(f"{case.name}, {images}: {now.seconds:.1f} s", flush=True)
        if now.stopped:
            raise SystemExit(f"{case.name} takes more than {longest} s for {images} images")
        if case.name in wanted:
            found[images] = now
        forget(case, folder)
        if case.name == STORED:
            write_tables(folder)
            for few in FEW_CASES:
                watch(command(few, FEW), folder, environment(), LONGEST)


def _expected(found: dict[int, Taken], images: int) -> float:
    """Seconds for so many, if all pairs are what takes the time."""
    if not found:
        return 0.0
    last = max(found)
    return (found[last].seconds - found[SMALLEST].seconds) * (images / last) ** 2


def _row(name: str, found: dict[int, Taken], sizes: Sequence[int]) -> dict[str, Any]:
    none = found[SMALLEST]
    there = [size for size in sizes if size in found]
    seconds = [found[size].seconds - none.seconds for size in there]
    memory = [float(found[size].peak - none.peak) for size in there]
    of_size = {
        f"{size // 1000}k_s": round(found[size].seconds - none.seconds, 1) if size in found else ""
        for size in sizes
    }
    return {
        "stage": name,
        **of_size,
        "time": _exponent(there, seconds, SECONDS),
        "memory": _exponent(there, memory, BYTES),
        "most_gb": round(found[there[-1]].peak / 1e9, 2),
    }


def _exponent(sizes: Sequence[int], values: Sequence[float], least: float) -> float | str:
    """Of the values that are `least` or more; "" of fewer than two."""
    kept = [(size, value) for size, value in zip(sizes, values, strict=True) if value >= least]
    if len(kept) < 2:
        return ""
    size, value = np.log(np.subtract(kept, [SMALLEST, 0])).T
    return round(float(np.polyfit(size, value, 1)[0]), 2)
