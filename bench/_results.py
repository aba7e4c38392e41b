"""The table of a part, and the file in which it is kept: numbers, where, and of which versions."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def keep(name: str, packages: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of the part `name` to results/, in place of those of before."""
    found = {"part": name, "machine": machine(), "versions": versions(packages)}
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps({**found, "rows": rows}, indent=1) + "\n")


def processor_class() -> str:
    """The instructions that decide how fast matrix products are: amx, avx512_bf16, avx512 or avx2.
    ATEN_CPU_CAPABILITY=avx2 with ONEDNN_MAX_CPU_ISA=AVX2 imitates the last."""
    import torch
    from llvmlite import binding

    from cluster.kernels.low_precision import has_amx

    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return "avx2"
    if has_amx():
        return "amx"
    return "avx512_bf16" if binding.get_host_cpu_features().get("avx512bf16") else "avx512"


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
