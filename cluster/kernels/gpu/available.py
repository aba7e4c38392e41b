"""Whether the fused kernels run on a device, rightly, and where they are faster than plain torch.

Both are found out by trying, once in a process: a kernel that fails to compile, gives a wrong
answer or is slower is not used. The answers of the two ways are the same.
"""

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from cluster.kernels.low_precision import MatmulPrecision, fast_precision, fused_precision

if TYPE_CHECKING:
    from cluster.kernels.gpu.launch import Blocks

LEAST_CAPABILITY = 8  # of a GPU that multiplies bfloat16
TURNS = 3  # of which the fastest counts, after one that compiles

Work = Callable[[], torch.Tensor]

_blocks: dict[str, "Blocks | None"] = {}
_fused_wins: dict[tuple[Any, ...], bool] = {}


def fused_blocks(device: torch.device) -> "Blocks | None":
    """The block sizes of the fused kernels on a GPU, None where they cannot be used."""
    name = str(device)
    if name not in _blocks:
        _blocks[name] = _first_that_works(device)
    return _blocks[name]


def fused_is_faster(shape: tuple[Any, ...], trials: Callable[[], tuple[Work, Work]]) -> bool:
    """Whether the fused way takes less time than the plain one; measured for the first of a class
    of shapes, and remembered. trials: makes the work of both, fused and plain."""
    if shape not in _fused_wins:
        fused, plain = trials()
        _fused_wins[shape] = _seconds(fused) < _seconds(plain)
    return _fused_wins[shape]


def precision_of_rows(device: torch.device) -> MatmulPrecision:
    """The arithmetic whose residuals are kept for rows that are compared again and again."""
    return fused_precision() if fused_blocks(device) else fast_precision(device)


def size_class(count: int) -> int:
    """Numbers up to the same power of 2 are of one class."""
    return max(1, count - 1).bit_length()


def _seconds(work: Work) -> float:
    def once() -> float:
        start = time.perf_counter()
        work().ravel()[:1].cpu()  # waits for the device
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(TURNS))


def _first_that_works(device: torch.device) -> "Blocks | None":
    try:
        # Here: triton is not installed everywhere, and takes half a second to import
        from cluster.kernels.gpu import launch
    except ImportError:
        return None
    if not launch.interpreting():
        if device.type != "cuda":
            return None
        if torch.cuda.get_device_capability(device)[0] < LEAST_CAPABILITY:
            return None
    fault = "too little shared memory"
    for blocks in launch.sizes(device):
        try:
            if _is_right(blocks, device):
                return blocks
            fault = "wrong answers"
        except Exception as error:  # of the compiler, the driver or the launcher: of many kinds
            fault = (str(error).splitlines() or [type(error).__name__])[0][:200]
    warnings.warn(
        f"the fused kernels do not run on {device} ({fault}): plain torch takes their place",
        stacklevel=2,
    )
    return None


def _is_right(blocks: "Blocks", device: torch.device) -> bool:
    """Whether kernels of these block sizes find the answer of a small problem, of small integers so
    that no sum is rounded."""
    from cluster.kernels.gpu.collect import collect, empty_lists
    from cluster.kernels.gpu.nearest3 import nearest3

    rows, columns = blocks.rows + 1, 2 * blocks.columns
    drawn = torch.randint(
        -3, 4, (rows + columns, 128), generator=torch.Generator().manual_seed(0)
    ).to(device, torch.bfloat16)
    x, c = drawn[:rows].contiguous(), drawn[rows:].contiguous()
    squares = torch.zeros(1, columns, device=device)
    products = x.double() @ c.double().T
    least, which = torch.sort(products, dim=1, stable=True)
    cut, own = -least[:, 2].float(), which[:, 0].int()
    found = nearest3(x, c[None], squares, blocks)
    lists = empty_lists(rows, columns, device)
    collect(x, -c, cut, own, 0, lists, blocks)
    right = (found.score[:, 0] == least[:, :3]).all()
    right &= (found.cluster[:, 0] == which[:, :2]).all()
    reach = products <= -cut[:, None]
    reach[torch.arange(rows, device=device), own.long()] = False
    listed = torch.zeros(rows, columns + 1, dtype=torch.bool, device=device)
    place = torch.arange(columns, device=device)
    empty = place >= lists.size[:, None]
    listed.scatter_(1, lists.position.long().masked_fill(empty, columns), True)
    right &= (listed[:, :columns] == reach).all() & (lists.size == reach.sum(1)).all()
    return bool(right)
