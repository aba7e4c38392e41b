"""What a GPU is, and what its bare arithmetic gives: the ceilings of the other parts."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

from bench._alone import Row, row
from bench._gpu_timing import Clock, seconds
from cluster.kernels.low_precision import fast_precision, full_precision


class Sizes(NamedTuple):
    """Of matrices [size, size], and how many float32 are copied."""

    size: int
    numbers: int


FULL, TINY = Sizes(8192, 2**30), Sizes(64, 1000)


def rows(device: str, sizes: Sizes, clock: Clock) -> Iterator[Row]:
    if device.startswith("cuda"):
        facts = torch.cuda.get_device_properties(device)
        yield row("name", facts.name)
        yield row("compute capability", f"{facts.major}.{facts.minor}")
        yield row("CUDA of torch", torch.version.cuda)
        yield row("memory", facts.total_memory / 1e9, "GB")
    yield row("float32 products are by default", torch.get_float32_matmul_precision())
    x = torch.randn(sizes.size, sizes.size, device=device)
    short = x.bfloat16()
    ways = {"fast": fast_precision(device), "float32": full_precision(device)}
    for what, way in ways.items():
        with way.applied():
            took = seconds(lambda: x @ x, device)
        kind = f"{what} product" + f" ({way.precision})" * bool(way.precision)
        yield row(kind, 2e-12 * sizes.size**3 / took, "TFLOP/s", device=device)
    took = seconds(lambda: short @ short, device)
    yield row("bfloat16 product", 2e-12 * sizes.size**3 / took, "TFLOP/s", device=device)
    source = torch.zeros(sizes.numbers, device=device)
    to = torch.empty_like(source)
    took = seconds(lambda: to.copy_(source), device)
    yield row("copy, read and written", 8e-12 * sizes.numbers / took, "TB/s", device=device)
    host = torch.zeros(sizes.numbers // 4)
    took = seconds(lambda: source[: len(host)].copy_(host), device, 1)
    yield row("upload from pages that are not pinned", 4e-9 * len(host) / took, "GB/s")
