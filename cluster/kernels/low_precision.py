"""Low-precision matrix products of float32 numbers, with a bound on their error.

Processors multiply 8-bit significands (bfloat16: CPUs with AMX, some with avx512_bf16, and the
fused kernels of GPUs) or 11-bit ones (TF32 on GPUs) several times faster than float32. Whether a
CPU does is measured. Exact searches use these products to decide the clear cases and recompute the
others. The bound holds for any numbers; it does not guess how rounding errors spread. On a machine
without such arithmetic the products are those of float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

from cluster.kernels.threads import on_one_core

# Relative error of a number that is rounded to bfloat16; of one that is truncated to TF32.
BFLOAT16, TF32 = 2.0**-8, 2.0**-10
# The rounding errors of a dot product of n float32 add up like a random walk: to at most a few
# times this, times √n.
ROUNDING = 16 * 2.0**-24
# A product whose time is measured, how often, and how much faster bfloat16 has to be
MEASURED_ROWS, MEASURED_COLUMNS, MEASURED_DIMS, MEASURED_TIMES, FASTER = 256, 128, 768, 8, 1.5
TF32_MASK = -(2**13)  # the bits of a float32 that TF32 keeps


class MatmulPrecision(NamedTuple):
    """The arithmetic of a matrix product, and its error.

    error: |product - x·y| <= error |x||y| for norms between 1e-15 and 1e18, besides the rounding of
    sums in float32, and of results to bfloat16 where the numbers are of that dtype; 0 in float32.
    precision: "bf16", "int8", "tf32", or the float32 of the device. switch: torch's setting, None
    on CPUs.
    """

    error: float
    precision: str
    switch: Any

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, torch multiplies float32 matrices of a GPU in this arithmetic, in all threads. On
        a CPU the caller has to convert them to bfloat16.

        Every float32 product on a GPU with a guaranteed answer is computed inside, also those of
        full precision. Outside, torch.set_float32_matmul_precision and
        TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, which NVIDIA's containers set, decide; heads and probes
        guarantee no digit and are trained outside. Inside, torch's older setting may contradict
        this newer one; reading it then raises a RuntimeError: allow_tf32,
        get_float32_matmul_precision, and PYTORCH_TUNABLEOP_ENABLED=1.
        """
        if self.switch is None:
            yield
            return
        before = self.switch.fp32_precision
        self.switch.fp32_precision = self.precision
        try:
            yield
        finally:
            self.switch.fp32_precision = before

    def rounding(self, dim: int) -> float:
        """The error of the sums in a product of vectors of `dim` numbers: where scores are -2 x·c,
        at most this times |c|(|x| + |c|); for x·y, this times |x||y|.

        But: tensor cores truncate, so that terms of one sign drift one way, in proportion to the
        dims. They align each term with the sum and keep at least one bit below its last: a term
        loses up to 2^-24 of the largest sum, 2|x||c|, and each step of at least 4 terms 2^-23.
        """
        if self.error and self.switch is torch.backends.cuda.matmul:
            return (0.75 * dim + 16) * 2.0**-22
        return ROUNDING * dim**0.5

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """The norm of x - x', where x' is what is multiplied in place of x [image, dim], at most:
        float32 [image]. |product - x·y| is at most residual(x)|y| + (|x| + residual(x))
        residual(y), which is about half of `error` for vectors of many dims."""
        if self.precision == "bf16":
            return (x - x.bfloat16()).norm(dim=1)
        if self.precision == "tf32":  # hardware that rounds instead of truncating is no worse
            return (x - (x.view(torch.int32) & TF32_MASK).view(torch.float32)).norm(dim=1)
        return torch.zeros(len(x), device=x.device)


def fast_precision(device: torch.device | str) -> MatmulPrecision:
    """The fastest arithmetic of `device` whose error is known."""
    device = torch.device(device)
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device)[0] >= 8:
            return MatmulPrecision(_product_error(TF32), "tf32", torch.backends.cuda.matmul)
    elif bfloat16_is_fast():
        return MatmulPrecision(_product_error(BFLOAT16), "bf16", None)
    return full_precision(device)


def fused_precision() -> MatmulPrecision:
    """That of the fused kernels of a GPU, bfloat16, whatever torch's setting: `applied` is not
    for it."""
    return MatmulPrecision(_product_error(BFLOAT16), "bf16", torch.backends.cuda.matmul)


def full_precision(device: torch.device | str) -> MatmulPrecision:
    """float32, whatever other code or the environment allows torch to use on a GPU."""
    if torch.device(device).type == "cuda":
        return MatmulPrecision(0.0, "ieee", torch.backends.cuda.matmul)
    return MatmulPrecision(0.0, "", None)


def bits_of(products: torch.Tensor) -> tuple[np.ndarray, np.int32, np.float32]:
    """float32 or bfloat16 numbers as integers, how many bits to shift those left to get a float32,
    and the relative rounding error of a number: so that one compiled loop reads both dtypes."""
    if products.dtype == torch.bfloat16:
        return products.view(torch.int16).numpy(), np.int32(16), np.float32(BFLOAT16)
    return products.view(torch.int32).numpy(), np.int32(0), np.float32(0)


@cache
def bfloat16_is_fast() -> bool:
    """Whether this processor multiplies matrices of bfloat16 faster than float32, by more than the
    conversion costs: measured, which takes some milliseconds. Processors of one instruction set
    differ: with avx512_bf16 Zen 5 is four times as fast as in float32, Sapphire Rapids without AMX
    slower. No result depends on it."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False  # torch would take a slow loop
    x, y = torch.ones(MEASURED_ROWS, MEASURED_DIMS), torch.ones(MEASURED_COLUMNS, MEASURED_DIMS)
    return on_one_core(lambda: _speed_up(x, y)) > FASTER


def _speed_up(x: torch.Tensor, y: torch.Tensor) -> float:
    """How much faster the product is in bfloat16: by the shortest of several times, in turns."""
    ways = ((x, y), (x.bfloat16(), y.bfloat16()))
    shortest = [float("inf")] * len(ways)
    for turn in range(1 + MEASURED_TIMES):
        for at, (left, right) in enumerate(ways):
            begin = perf_counter()
            torch.mm(left, right.T)
            if turn:  # the first prepares
                shortest[at] = min(shortest[at], perf_counter() - begin)
    return shortest[0] / shortest[1]


def has_amx() -> bool:
    """Whether this processor multiplies matrices of bfloat16 (AMX), and torch uses it."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported and supported() and torch.backends.mkldnn.is_available())


def _product_error(error: float) -> float:
    """Relative error of a product of two numbers, each of relative error `error`."""
    return 2 * error + error**2
