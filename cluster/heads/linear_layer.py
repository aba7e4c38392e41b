"""Linear heads before their training: initial weights, and the optimiser."""

import torch


def initial_heads(
    heads: int, k: int, dim: int, *, seed: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights float32 [head, cluster, dim] and biases [head, cluster], drawn as torch does for a
    linear layer, with gradients."""
    generator, reach = torch.Generator().manual_seed(seed), dim**-0.5
    weight = torch.empty(heads, k, dim).uniform_(-reach, reach, generator=generator)
    bias = torch.empty(heads, k).uniform_(-reach, reach, generator=generator)
    return weight.to(device).requires_grad_(), bias.to(device).requires_grad_()


def adamw(weight: torch.Tensor, bias: torch.Tensor, weight_decay: float) -> torch.optim.AdamW:
    """AdamW, whose learning rate is set before each step; biases do not decay."""
    groups = [
        {"params": [weight], "weight_decay": weight_decay},
        {"params": [bias], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1.0, fused=True)
