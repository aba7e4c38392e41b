"""How much memory a stage may take on this machine: `runtime.memory_gb: auto`."""

from collections.abc import Iterator
from pathlib import Path

import psutil

SHARE = 0.25  # of the free memory: vectors are copied, and other programs run
LEAST = 1.0  # GB, with which everything works
CGROUPS = Path("/sys/fs/cgroup")
MEMBER = Path("/proc/self/cgroup")


def memory_gb(cgroups: Path = CGROUPS, member: Path = MEMBER) -> float:
    """SHARE of what is free, in 1e9 bytes: on the machine, and within each limit of a container or
    a batch system (cgroups v1 and v2) that this process is under; LEAST at least."""
    free = min([psutil.virtual_memory().available, *_within_limits(cgroups, member)])
    return max(LEAST, SHARE * free / 1e9)


def _within_limits(cgroups: Path, member: Path) -> Iterator[float]:
    """Bytes that are left of each limit; the file cache counts as free."""
    try:
        lines = member.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = cgroups / "memory" if controllers else cgroups
        files = _V1 if controllers else _V2
        place = top / group.lstrip("/")
        for folder in [place, *place.parents]:
            if folder.is_relative_to(top) and (left := _left(folder, *files)) is not None:
                yield left


# Of a cgroup: its limit, what is taken, and what of that is file cache
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def _left(folder: Path, limit: str, usage: str, cache: str) -> float | None:
    """None where there is no limit."""
    try:
        most, taken = (int((folder / name).read_text()) for name in (limit, usage))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return most - taken + int(stat.get(cache, 0))
    except (OSError, ValueError):  # "max", or another system's
        return None
