"""How much fits in the memory of a GPU."""

import torch

from cluster.vectors.rows import TILE

ROWS, NUMBERS = 2**18, 2**28  # that are processed at once: 1 GB of float32
CELLS = 2**22, 2**28  # numbers in the largest arrays of a step, at least and at most
ARRAYS = 8  # of that size, of 4 bytes a number, that are in memory at once, with a margin


def fits_on_gpu(numbers: int, device: str) -> bool:
    """Whether `numbers` float32 take less than half of the free GPU memory, so that they are
    transferred once; False on a CPU."""
    if not device.startswith("cuda"):
        return False
    return numbers * 4 < _free_bytes(torch.device(device)) // 2


def cells_on_gpu(device: torch.device | str) -> int:
    """How many numbers an array of a step on the device may hold: a power of 2."""
    device, (least, most) = torch.device(device), CELLS
    if device.type != "cuda":
        return least
    room = _free_bytes(device) // (4 * ARRAYS)
    return max(least, min(most, 1 << max(0, room.bit_length() - 1)))


def _free_bytes(device: torch.device) -> int:
    """Memory that nobody uses: torch keeps what it has freed for itself."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def rows_on_gpu(dim: int) -> int:
    """How many vectors of `dim` numbers a GPU takes at once: as many as keep it busy. Independent
    of its memory, since sums depend on it."""
    return max(TILE, min(ROWS, NUMBERS // dim // TILE * TILE))
