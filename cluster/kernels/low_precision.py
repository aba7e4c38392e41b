"""Products of float32 matrices in the fast arithmetic of this machine, and how far off they can be.

Processors multiply 8-bit significands (bfloat16 on CPUs with AMX) or 11-bit ones (TF32 on GPUs)
several times faster than float32. Whoever needs exact answers takes these products to tell what
is clear, and looks again where it is not: with a bound that holds for any numbers, not with a
guess of how rounding errors spread. Where a machine has no such arithmetic the products are plain.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

# Relative error of a number that is rounded to bfloat16; of one that is cut to TF32.
BFLOAT16, TF32 = 2.0**-8, 2.0**-10
# Errors of a dot product of n float32 add up like a random walk: to a few times this, times √n.
ROUNDING = 16 * 2.0**-24
CUT = -(2**13)  # a mask of the bits that TF32 keeps


class Coarse(NamedTuple):
    """error: |product - x·y| is at most this times |x||y|, of norms between 1e-15 and 1e18, beside
    the rounding of sums in float32, and of results to bfloat16 where the numbers are of that dtype;
    0 where products are plain."""

    error: float
    precision: str
    switch: Any

    @contextmanager
    def products(self) -> Iterator[None]:
        """Inside, torch multiplies float32 matrices of a GPU in this arithmetic, in all threads. On
        a CPU who multiplies makes bfloat16 of them.

        Products of float32 on a GPU whose answer is promised are taken in here, plain ones too
        (what heads and probes learn is promised to no digit, and they learn outside): outside,
        torch.set_float32_matmul_precision and TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, which
        NVIDIA's containers set, decide. Inside, torch's older switch may contradict this newer
        one, and then raises a RuntimeError for whoever reads it: allow_tf32,
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

    def rest(self, x: torch.Tensor) -> torch.Tensor:
        """How far each of x [image, dim] is, at most, from what is multiplied in its place: float32
        [image]. By this |product - x·y| is at most rest(x)|y| + (|x| + rest(x)) rest(y), which is
        about half of `error` for vectors of many dims."""
        if self.precision == "bf16":
            return (x - x.bfloat16()).norm(dim=1)
        if self.precision == "tf32":  # rounding, where that is what is done, is no worse
            return (x - (x.view(torch.int32) & CUT).view(torch.float32)).norm(dim=1)
        return torch.zeros(len(x), device=x.device)


def coarse(device: torch.device | str) -> Coarse:
    """What `device` has."""
    device = torch.device(device)
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device)[0] >= 8:
            return Coarse(_of_pair(TF32), "tf32", torch.backends.cuda.matmul)
    elif has_amx():
        return Coarse(_of_pair(BFLOAT16), "bf16", None)
    return plain(device)


def plain(device: torch.device | str) -> Coarse:
    """float32, whatever other code or the environment allows torch to do on a GPU."""
    if torch.device(device).type == "cuda":
        return Coarse(0.0, "ieee", torch.backends.cuda.matmul)
    return Coarse(0.0, "", None)


def bits_of(products: torch.Tensor) -> tuple[np.ndarray, np.int32, np.float32]:
    """float32 or bfloat16 as integers, how far left these stand in the bits of a float32, and the
    share of itself by which a number is rounded: so one compiled loop reads both."""
    if products.dtype == torch.bfloat16:
        return products.view(torch.int16).numpy(), np.int32(16), np.float32(BFLOAT16)
    return products.view(torch.int32).numpy(), np.int32(0), np.float32(0)


def has_amx() -> bool:
    """Whether this processor multiplies matrices of bfloat16, and torch makes use of it."""
    asked = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(asked and asked() and torch.backends.mkldnn.is_available())


def _of_pair(error: float) -> float:
    return 2 * error + error**2
