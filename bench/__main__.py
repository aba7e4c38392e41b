"""`python -m bench [part ...]`: run parts (the modules of this folder), print and keep the numbers.

A part has `PACKAGES`, whose versions matter, and `run()`, which returns rows of a table and raises
when the answers differ. Numbers of different machines do not compare; ratios do, more or less.
"""

import argparse
import importlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def main() -> None:
    parts = sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(parts)}; all if none is named")
    wanted = parser.parse_args().part or parts
    if unknown := sorted(set(wanted) - set(parts)):
        parser.error(f"no part called {', '.join(unknown)}; there are: {', '.join(parts)}")
    for name in wanted:
        part = importlib.import_module(f"bench.{name}")
        rows = part.run()
        print(f"\n{name}: {part.__doc__.strip().splitlines()[0]}\n{table(rows)}")
        found = {"part": name, "machine": machine(), "versions": versions(part.PACKAGES)}
        file = FOLDER / "results" / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({**found, "rows": rows}, indent=1) + "\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of equal keys as aligned text."""
    lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def machine() -> dict[str, Any]:
    """What the numbers were measured on; nothing that tells whose it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.system(), "processor": _processor(), "cores": cores}


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions, python's among them."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
