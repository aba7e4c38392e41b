"""Block sizes of the Triton kernels, by the shared memory of the GPU.

Sizes are fixed, not tuned at run time. Triton's interpreter (TRITON_INTERPRET=1), which runs
kernels on a CPU for tests, takes small ones, since it is slow.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import triton

SPARE = 8192  # bytes of shared memory for reductions


class Blocks(NamedTuple):
    """rows and columns of a tile of products, and the dims that are loaded at once."""

    rows: int
    columns: int
    dims: int
    warps: int
    stages: int

    def launch_options(self) -> dict[str, Any]:
        """Keyword arguments of a launch."""
        names = {"BM": self.rows, "BN": self.columns, "BK": self.dims}
        if interpreting():
            # The interpreter multiplies bfloat16 wrongly
            return {**names, "UPCAST": True}
        return {**names, "UPCAST": False, "num_warps": self.warps, "num_stages": self.stages}

    def shared_bytes(self, capability: int) -> int:
        """The shared memory of a tile's operands, of 2 bytes a number. Tensor cores of capability 9
        and 10 read them there, so that a stage more is in use; others from registers."""
        stages = self.stages if capability in (9, 10) else self.stages - 1
        return 2 * stages * self.dims * (self.rows + self.columns)

    def fitted_to(self, columns: int) -> "Blocks":
        """Narrower tiles where there are few columns."""
        width = max(32, 1 << (columns - 1).bit_length())
        return self._replace(columns=min(self.columns, width))


# The first is that of the H200 (144 KiB of shared memory); consumer GPUs have 99 KiB
SIZES = (
    Blocks(128, 256, 64, 8, 3),
    Blocks(128, 128, 64, 8, 3),
    Blocks(128, 128, 64, 8, 2),
    Blocks(64, 64, 64, 4, 2),
)
INTERPRETED = Blocks(32, 32, 32, 1, 1)


def device_of(x: torch.Tensor) -> AbstractContextManager[Any]:
    """Inside, kernels are launched on the device of x: triton takes torch's current one."""
    return nullcontext() if interpreting() else torch.cuda.device(x.device)


def interpreting() -> bool:
    """Whether kernels run on a CPU."""
    return bool(triton.knobs.runtime.interpret)


def sizes(device: torch.device) -> Iterator[Blocks]:
    """Block sizes whose operands fit in the shared memory of the device, the fastest first."""
    if interpreting():
        yield INTERPRETED
        return
    facts = torch.cuda.get_device_properties(device)
    room = getattr(facts, "shared_memory_per_block_optin", 0) or 48 * 2**10
    yield from (blocks for blocks in SIZES if blocks.shared_bytes(facts.major) + SPARE <= room)
