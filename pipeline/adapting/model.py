"""The trained model: the last blocks of a network and the heads of an objective."""

import torch

from cluster.objectives import Objective, Outputs
from cluster.vectors.standardize import Scale


class Model(torch.nn.Module):
    """Trained blocks and heads: tokens [slot, image, ...] → outputs, each [slot, image, ...].

    scale: applied to features before the heads.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, tail: torch.nn.Module, objective: Objective, scale: Scale) -> None:
        super().__init__()
        self.tail, self.heads, self._outputs = tail, objective.heads, objective.outputs
        for name, value in scale._asdict().items():
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, tokens: torch.Tensor) -> Outputs:
        return self._outputs(self.features(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]))

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scaled features, float32 [image, dim]; tokens of dtype uint8 are pixels, for a tail that
        takes pixels."""
        found = self.tail(tokens if tokens.dtype == torch.uint8 else tokens.float())
        return (found.float() - self.mean) / self.deviation
