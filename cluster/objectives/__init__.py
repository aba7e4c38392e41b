"""Training objectives of a backbone: one file for each, with its equations.

An objective has `heads`, layers that are trained beside the backbone. `outputs` maps the features
of each image through the heads; `loss` compares the outputs of all images of a step. A step can
therefore be spread over several GPUs: they exchange outputs, and average gradients of weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.vectors.rows import Rows

Outputs = tuple[torch.Tensor, ...]  # each float32 [slot, image, ...]


class Drawn(NamedTuple):
    """The batch of a step. image: int64 [slot, image], indices among the images of train; label:
    int64 [image], the known class of slot 0's image or -1."""

    image: np.ndarray
    label: np.ndarray


class Loss(NamedTuple):
    """total: scalar, minimised; parts: scalars by name, for the table of epochs."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]


class Objective(ABC):
    """What the training loop, checkpoints and the table of epochs need of an objective.

    slots: what each slot shows, "view" (augmented), "strong" or "centre". needs_features: whether
    `before_epoch` needs the features of all images. unit: whether the learned heads apply to
    features divided by their length.
    """

    heads: torch.nn.Module
    slots: tuple[str, ...] = ("view", "view")
    needs_features: bool = False
    unit: bool = False

    @abstractmethod
    def draw(self, step: int) -> Drawn:
        """The images of a step; they depend on the seed and the number of the step only."""

    @abstractmethod
    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, dim], of the backbone."""

    @abstractmethod
    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """epoch: epochs trained so far, including the fraction of the current one. `outputs` and
        `drawn` are in the same order of images, which may be any: labelled images need not come
        first."""

    def before_epoch(self, rows: Rows, epoch: int) -> None:  # noqa: B027  most need no features
        """Called before each epoch if `needs_features`; rows: features of the centre view of all
        images of train."""

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """The state besides `heads`, for a checkpoint; by default there is none."""
        return {}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:  # noqa: B027
        """Load what `state_dict` returned."""

    def learned(self) -> dict[str, Linear]:
        """Trained heads that assign images to clusters, by name; by default there are none."""
        return {}
