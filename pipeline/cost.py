"""What a stage cost: seconds and the most memory it held, for the report."""

import resource
import sys
import time

SINCE = time.perf_counter()  # imported first of all by stages
MEGABYTE = 1 << 20


def cost() -> dict[str, float | int]:
    """Seconds of this process since its first import, and its peak memory in MB; that of the GPU
    where torch has used one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    found: dict[str, float | int] = {
        "seconds": round(time.perf_counter() - SINCE, 2),
        "peak_memory_mb": peak // MEGABYTE,
    }
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        found["gpu_peak_memory_mb"] = torch.cuda.max_memory_reserved() // MEGABYTE
    return found
