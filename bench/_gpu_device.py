"""What a GPU is, and what its bare arithmetic gives: the ceilings of the other parts."""

import time
from collections.abc import Callable, Iterator

import torch

from bench._alone import Row, row
from cluster.kernels.low_precision import fast_precision, full_precision


def device(name: str, size: int = 8192, numbers: int = 2**30) -> Iterator[Row]:
    """Rates of products of [size, size] matrices and of a copy of so many float32."""
    if name.startswith("cuda"):
        facts = torch.cuda.get_device_properties(name)
        yield row("name", facts.name)
        yield row("compute capability", f"{facts.major}.{facts.minor}")
        yield row("CUDA of torch", torch.version.cuda)
        yield row("memory", facts.total_memory / 1e9, "GB")
    yield row("float32 products are by default", torch.get_float32_matmul_precision())
    x = torch.randn(size, size, device=name)
    short = x.bfloat16()
    ways = {"fast": fast_precision(name), "float32": full_precision(name)}
    for what, way in ways.items():
        with way.applied():
            took = seconds(lambda: x @ x, name)
        kind = f"{what} product" + f" ({way.precision})" * bool(way.precision)
        yield row(kind, 2e-12 * size**3 / took, "TFLOP/s", device=name)
    took = seconds(lambda: short @ short, name)
    yield row("bfloat16 product", 2e-12 * size**3 / took, "TFLOP/s", device=name)
    source = torch.zeros(numbers, device=name)
    to = torch.empty_like(source)
    took = seconds(lambda: to.copy_(source), name)
    yield row("copy, read and written", 8e-12 * numbers / took, "TB/s", device=name)


def seconds(work: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Of one call, after one that counts for nothing."""
    work()
    _wait(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        work()
    _wait(device)
    return (time.perf_counter() - begin) / repeats


def once(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
