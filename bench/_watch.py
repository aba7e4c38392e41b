"""What a command takes: its seconds, and the memory of it and its children at its most.

Memory is what is not backed by a file (RssAnon and RssShmem of /proc): pages of a mapped store are
the kernel's, and it drops them when it needs room. Looked at every 20 ms, so a shorter peak may be
missed.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

EVERY = 0.02  # seconds
PATIENCE = 20.0  # seconds that a command may take to end once it is asked to
OWN = ("RssAnon:", "RssShmem:")


class Taken(NamedTuple):
    """peak: bytes; stopped: whether it was ended before it was done."""

    seconds: float
    peak: int
    stopped: bool


def watch(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], stop_after: float
) -> Taken:
    """Run `command` in `folder`, `stop_after` seconds at most. SystemExit when it fails."""
    log, most, end = folder / "log.txt", [0], threading.Event()
    with log.open("w") as file:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=file, stderr=file
        )

        def look() -> None:
            while not end.wait(EVERY):
                most[0] = max(most[0], sum(_own(pid) for pid in _family(process.pid)))

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        stopped = False
        try:
            process.wait(stop_after)
        except subprocess.TimeoutExpired:
            stopped = True
            _end(process)
        except BaseException:
            _end(process)
            raise
        seconds = time.perf_counter() - begin
        end.set()
        looking.join()
    if process.returncode and not stopped:
        last = log.read_text().strip().splitlines()[-1:]
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {' '.join(last)}")
    return Taken(seconds, most[0], stopped)


def _end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def _own(pid: int) -> int:
    try:
        said = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in said if line.startswith(OWN))
