"""What a backbone can be taught by: one file an objective, with its equations.

An objective has `heads`, the layers that are trained beside the backbone; `outputs` are what they
make of features, image by image; `loss` compares the outputs of all images of a step. So a step may
be spread over several GPUs, which exchange their outputs and no gradients of weights but the mean.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.vectors.rows import Rows

Outputs = tuple[torch.Tensor, ...]  # each float32 [slot, image, ...]


class Drawn(NamedTuple):
    """What a step learns from: image, int64 [slot, image], places among the images of train; label:
    int64 [image], the known class of slot 0's image or -1."""

    image: np.ndarray
    label: np.ndarray


class Loss(NamedTuple):
    """total: scalar, what is minimised; parts: scalars by name, for the table of epochs."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]


class Objective(Protocol):
    """What an epoch table, a checkpoint and a training loop need to know of an objective."""

    heads: torch.nn.Module

    @property
    def slots(self) -> tuple[str, ...]:
        """What each slot shows: "view" (augmented), "strong" or "centre"."""
        ...

    @property
    def looks(self) -> bool:
        """Whether it wants to see all images of train before each epoch."""
        ...

    @property
    def unit(self) -> bool:
        """Whether its learned heads take features divided by their length."""
        ...

    def draw(self, step: int) -> Drawn:
        """The images of a step; they follow from the seed and the step's number alone."""
        ...

    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, dim], of the backbone."""
        ...

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """epoch: epochs made so far, with the part of the running one. The images of `drawn` are
        those of `outputs`, in any order: labelled ones may lie anywhere."""
        ...

    def look(self, rows: Rows, epoch: int) -> None:
        """Before an epoch, if it `looks`: features of the centre view of all images of train."""
        ...

    def memory(self) -> Mapping[str, np.ndarray]:
        """What it knows from looking, for a checkpoint."""
        ...

    def remember(self, memory: Mapping[str, np.ndarray]) -> None: ...

    def learned(self) -> dict[str, Linear]:
        """Heads that sort images into clusters, by name; none where it learns none."""
        ...
