"""Projection heads of contrastive losses, and prototypes of length 1; initial weights are seeded.

`Projector` is DINO's head (Caron et al., arXiv:2104.14294), as GCD, SimGCD and SelEx use it, with
the same initial weights, a truncated normal of deviation .02. But: outputs have length 1 whatever
the width. `SimclrProjector` is SimCLR's head (arXiv:2002.05709). Neither has batch normalisation,
so that the output of an image does not depend on the rest of the batch.
"""

import numpy as np
import torch
from torch.nn.functional import gelu, linear, normalize, relu

DEVIATION = 0.02  # of the initial weights of DINO's head


class Projector(torch.nn.Module):
    """Linear, GELU, Linear, GELU, Linear, L2-normalise; if width > 0, `Prototypes` and again
    L2-normalise."""

    def __init__(self, dim: int, *, hidden: int, bottleneck: int, width: int, seed: int) -> None:
        """dim → hidden → hidden → bottleneck, and → width unless that is 0. The initial weights
        depend on the seed."""
        super().__init__()
        self.first = _empty(dim, hidden)
        self.second = _empty(hidden, hidden)
        self.third = _empty(hidden, bottleneck)
        generator = _generator(seed, 0)
        for layer in (self.first, self.second, self.third):
            torch.nn.init.trunc_normal_(layer.weight, std=DEVIATION, generator=generator)
            torch.nn.init.zeros_(layer.bias)
        self.last = Prototypes(bottleneck, width, seed=seed) if width else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[..., dim] → float32 [..., width, or bottleneck], of length 1."""
        z = self.third(gelu(self.second(gelu(self.first(features)))))
        if self.last is not None:
            z = self.last(z)
        return normalize(z.float(), dim=-1)


class SimclrProjector(torch.nn.Module):
    """Linear(dim, dim), ReLU, Linear(dim, width), L2-normalise."""

    def __init__(self, dim: int, *, width: int, seed: int) -> None:
        """Initial weights are distributed as torch's default and depend on the seed."""
        super().__init__()
        self.first, self.second = _empty(dim, dim), _empty(dim, width)
        generator, reach = _generator(seed, 1), dim**-0.5
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -reach, reach, generator=generator)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[..., dim] → float32 [..., width], of length 1."""
        return normalize(self.second(relu(self.first(features))).float(), dim=-1)


class Prototypes(torch.nn.Module):
    """The cosine of a vector with each prototype: a weight-normed layer (Salimans and Kingma,
    arXiv:1602.07868) without bias, with fixed g = 1, on normalised vectors."""

    def __init__(self, dim: int, width: int, *, unit: bool = True, seed: int) -> None:
        """Initial weights are distributed as torch's default and depend on the seed. unit: divide
        vectors by their length; else by the square root of `dim`, the root mean square length of
        scaled features, so that the layer stays linear."""
        super().__init__()
        self._unit, self.length = unit, 1.0 if unit else dim**0.5
        reach, generator = dim**-0.5, _generator(seed, 2)
        initial = torch.empty(width, dim).uniform_(-reach, reach, generator=generator)
        self.direction = torch.nn.Parameter(initial)

    def unit(self) -> torch.Tensor:
        """The directions, of length 1: float32 [width, dim]."""
        return normalize(self.direction, dim=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[..., dim] → cosines, float32 [..., width]."""
        # Cosines are divided by a temperature of .04: bfloat16's three digits are too few.
        with torch.autocast(features.device.type, enabled=False):
            x = features.float()
            return linear(normalize(x, dim=-1) if self._unit else x / self.length, self.unit())


def _empty(inputs: int, outputs: int) -> torch.nn.Linear:
    """A layer without initial weights: torch would draw them from the global generator."""
    return torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs)  # type: ignore[no-any-return]


def _generator(seed: int, part: int) -> torch.Generator:
    """Layers of one seed have different initial weights."""
    state = np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
