"""Products of a linear layer with a batch, the same to the bit at any number of threads.

Libraries share a product of few outputs among threads along the sum, whose rounding then depends on
their number. So in float32 on a CPU these are batches of products of fixed size, which threads
share whole; products of bfloat16, and those of a GPU, are one.
"""

import torch

PARTS = 16  # products of a batch: as many threads can share them


def outputs(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """weight xᵀ, float32 [output, image], of weight float32 [output, dim] and x, float32 or
    bfloat16 [image, dim], whose dtype the product is of."""
    if _is_one(x):
        return (weight.to(x.dtype) @ x.T).float()
    parts = _along(x, 0)
    return _joined(torch.bmm(weight.expand(len(parts), *weight.shape), parts.mT), len(x))


def slopes(of_outputs: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The derivative by the weight of `outputs`, float32 [output, dim], from that by the outputs,
    float32 [output, image]."""
    if _is_one(x):
        return (of_outputs.to(x.dtype) @ x).float()
    parts = _along(x, 1)
    return _joined(torch.bmm(of_outputs.expand(len(parts), *of_outputs.shape), parts), x.shape[1])


def _is_one(x: torch.Tensor) -> bool:
    return x.is_cuda or x.dtype != torch.float32


def _along(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Parts of x along an axis, one after the other along a new first one, without a copy; they
    begin at equal distances, and have what is left in the end in common with the next."""
    x, size = x.contiguous(), x.shape[axis]
    count = min(PARTS, size)
    step = size // count
    shape, strides = list(x.shape), list(x.stride())
    shape[axis] = size - (count - 1) * step
    return x.as_strided([count, *shape], [step * strides[axis], *strides])


def _joined(found: torch.Tensor, size: int) -> torch.Tensor:
    """[part, output, place] → [output, size]."""
    step = size // len(found)
    out = found.new_empty(found.shape[1], size)
    shared = len(found) * step
    out[:, :shared].unflatten(1, (len(found), step)).copy_(found[..., :step].transpose(0, 1))
    out[:, shared:] = found[-1, :, step:]
    return out
