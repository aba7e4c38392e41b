"""Matrix products of a linear layer in blocks: bit-identical at any number of threads.

BLAS libraries split a product with few outputs among threads along the summed axis, so its rounding
depends on their number. In float32 on a CPU the product is therefore a batch of products of fixed
size, each computed by one thread; in bfloat16, and on a GPU, it is a single product.
"""

import torch

BLOCKS = 16  # products in a batch: an upper bound on the threads that can share the work


def linear_outputs(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """weight xᵀ, float32 [output, image], of weight float32 [output, dim] and x, float32 or
    bfloat16 [image, dim]. The product is computed in the dtype of x."""
    if _in_one_product(x):
        return (weight.to(x.dtype) @ x.T).float()
    blocks = _blocks(x, 0)
    return _joined(torch.bmm(weight.expand(len(blocks), *weight.shape), blocks.mT), len(x))


def weight_gradient(output_gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of the loss by the weight of `linear_outputs`, float32 [output, dim], given that
    by its outputs, float32 [output, image]."""
    if _in_one_product(x):
        return (output_gradient.to(x.dtype) @ x).float()
    blocks = _blocks(x, 1)
    return _joined(
        torch.bmm(output_gradient.expand(len(blocks), *output_gradient.shape), blocks), x.shape[1]
    )


def _in_one_product(x: torch.Tensor) -> bool:
    return x.is_cuda or x.dtype != torch.float32


def _blocks(x: torch.Tensor, axis: int) -> torch.Tensor:
    """Blocks of x along an axis, stacked along a new first axis without a copy. They start at equal
    distances; each is longer than that by the remainder, so that neighbouring blocks overlap."""
    x, size = x.contiguous(), x.shape[axis]
    count = min(BLOCKS, size)
    step = size // count
    shape, strides = list(x.shape), list(x.stride())
    shape[axis] = size - (count - 1) * step
    return x.as_strided([count, *shape], [step * strides[axis], *strides])


def _joined(found: torch.Tensor, size: int) -> torch.Tensor:
    """[block, output, place] → [output, size]; overlaps are taken once."""
    step = size // len(found)
    out = found.new_empty(found.shape[1], size)
    shared = len(found) * step
    out[:, :shared].unflatten(1, (len(found), step)).copy_(found[..., :step].transpose(0, 1))
    out[:, shared:] = found[-1, :, step:]
    return out
