"""Work in a process of its own with a limit of seconds, so that what fails, hangs or runs out of
memory ends in one line and stops nothing else.

`python -m bench._alone MODULE FUNCTION [ARGUMENT ...]` calls the function, whose rows come out as
lines of JSON at once: what was measured before an end is kept.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

BEGAN = time.perf_counter()  # of a process that does work: this is the first file that it reads
ROOT = Path(__file__).parents[1]
LONGEST = 300  # letters of an error
GRACE = 10.0  # seconds that a process has to end when it is killed
Row = dict[str, Any]


def row(
    what: str, value: Any, unit: str = "", held: str = "", device: str = "cpu", bound: float = 0.0
) -> Row:
    """A row of the table. held: what the answer was held to, and how far off it is, or an error;
    peak_gb: what torch took of the GPU at its most since the row before. bound: the fewest seconds,
    or the highest rate, that bytes, operations or other halves of the work permit (0: none is
    known), and share: how near that is."""
    near = (bound / value if unit == "s" else value / bound) if bound and value else 0.0
    return {
        "what": what, "value": _short(value), "unit": unit, "held": held,
        "peak_gb": _peak(device), "bound": _short(bound or ""), "share": round(near, 3) or "",
    }  # fmt: skip


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def failed(reason: str) -> Row:
    return row("error", "", held=reason[:LONGEST])


def rows_of(command: Sequence[str], limit: float) -> list[Row]:
    """What a command says before it ends, or after `limit` seconds is ended with all that it began;
    in the last row why, if it did not end well."""
    with (
        TemporaryFile("w+", errors="replace") as out,
        TemporaryFile("w+", errors="replace") as said,
    ):
        to = {"stdout": out, "stderr": said}
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **to)
        try:
            process.wait(limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            with suppress(subprocess.TimeoutExpired):  # a driver may not let go of it
                process.wait(GRACE)
            return [*_last_of_each(_read(out)), failed(f"stopped after {limit:g} s")]
        rows, lines = _last_of_each(_read(out)), _read(said).split("\n")
    if process.returncode and not any(each["what"] == "error" for each in rows):
        last = [line.strip() for line in lines if line.strip()][-1:]
        return [*rows, failed(": ".join([f"ended with {process.returncode}", *last]))]
    return rows


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _last_of_each(out: str) -> list[Row]:
    """Rows among lines, a later one in place of an earlier one of the same name."""
    rows: dict[str, Row] = {}
    for line in out.splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # what a library printed, or half a line
            continue
        if isinstance(found, dict) and "what" in found:
            rows[found["what"]] = found
    return list(rows.values())


def _peak(device: str) -> float | str:
    if not device.startswith("cuda"):
        return ""
    import torch

    most = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return round(most / 1e9, 2)


def main() -> None:
    module, function, *arguments = sys.argv[1:]
    try:
        for found in getattr(importlib.import_module(module), function)(*arguments):
            print("\n" + json.dumps(found), flush=True)
    except BaseException as error:
        first = " ".join(str(error).split())  # of CUDA's errors the first words say which it is
        print("\n" + json.dumps(failed(f"{type(error).__name__}: {first}")), flush=True)
        raise


if __name__ == "__main__":
    main()
