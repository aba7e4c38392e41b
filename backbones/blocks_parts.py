"""A network as three parts: what comes before its blocks, the blocks, and what comes after.

Its own modules and methods, in its own order, so that nothing of it is written a second time.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch


class Parts(NamedTuple):
    """stem: pixels [image, 3, size, size] → tokens [image, ...]; blocks: tokens → tokens, each;
    head: tokens → [image, dim]."""

    stem: torch.nn.Module
    blocks: list[torch.nn.Module]
    head: torch.nn.Module


# A network and the size of its pictures in pixels → its parts, or None: they cannot be told.
Family = Callable[[torch.nn.Module, int], Parts | None]


class Call(torch.nn.Module):
    """A function of a network and a tensor as a layer: it has, and so moves to a device, just the
    modules and parameters of the network by the names in `reads` (those that it has not, left out).
    """

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        network: torch.nn.Module,
        reads: Sequence[str],
    ) -> None:
        super().__init__()
        self._function = function
        self._network = (network,)  # a tuple, or all of the network would be registered here
        for name in reads:
            part = getattr(network, name, None)
            if isinstance(part, torch.nn.Module | torch.nn.Parameter):
                setattr(self, name, part)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._function(self._network[0], tokens)


def kind(network: torch.nn.Module) -> str:
    """module.Class, by which a network is known: a class made of it may do something else."""
    return f"{type(network).__module__}.{type(network).__qualname__}"
