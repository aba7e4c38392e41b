"""SimCLR: two views of an image are told from those of all others of the batch.

After Chen et al. (ICML 2020, arXiv:2002.05709): its head and NT-Xent loss (eq. 1); SCAN begins with
it (arXiv:2005.12320), and its code has half the anchors. But: no batch normalisation in the head,
and the backbone need not begin untrained.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.contrastive import info_nce
from cluster.objectives.projector import SimclrProjector
from cluster.objectives.sampler import Everyone
from cluster.objectives.twice import all_alike
from cluster.vectors.rows import Rows


class Simclr:
    """A cluster.objectives.Objective."""

    slots = ("view", "view")
    looks = False
    unit = False

    def __init__(
        self,
        images: int,
        dim: int,
        *,
        width: int,
        temperature: float,
        anchors: Literal["all", "first"],
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """images: those of train; width: of the vectors that are compared, 128 in SimCLR; anchors:
        see contrastive.info_nce. Raises ClusterError when a batch would be one image."""
        self._everyone = Everyone(images, batch, seed)
        self._projector = SimclrProjector(dim, width=width, seed=seed).to(device)
        self.heads: torch.nn.Module = self._projector
        self._temperature, self._anchors = temperature, anchors

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: the same images in both slots, all without a label."""
        return all_alike(self._everyone, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, width], of length 1."""
        return (self._projector(features),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """NT-Xent."""
        total = info_nce(outputs[0], self._temperature, self._anchors)
        return Loss(total, {"info_nce": total})

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """Nothing."""
        return {}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    def learned(self) -> dict[str, Linear]:
        """None: SimCLR knows no clusters."""
        return {}
