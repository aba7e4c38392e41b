"""Operands of the fused kernels."""

import torch

DIMS = 64  # vectors have a multiple of so many dims, zeros at the end


def padded_bf16(x: torch.Tensor) -> torch.Tensor:
    """x [..., dim] as contiguous bfloat16, with zeros up to a multiple of DIMS."""
    return torch.nn.functional.pad(x.bfloat16(), (0, -x.shape[-1] % DIMS)).contiguous()
