"""SimCLR: contrastive learning of two views of each image against all others of the batch.

After Chen et al. (ICML 2020, arXiv:2002.05709): its head and NT-Xent loss (eq. 1). SCAN starts from
it (arXiv:2005.12320); its code uses half of the anchors. But: no batch normalisation in the head,
and the backbone may be pretrained.
"""

from typing import Literal

import torch

from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.contrastive import info_nce
from cluster.objectives.projector import SimclrProjector
from cluster.objectives.same_images_twice import unlabelled
from cluster.objectives.sampler import ShuffledSampler


class Simclr(Objective):
    """SimCLR's objective; no head assigns images to clusters."""

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
        """images: the number of images of train; width: of the projection, 128 in SimCLR; anchors:
        see contrastive.info_nce. Raises ClusterError when a batch would be one image."""
        self._sampler = ShuffledSampler(images, batch, seed)
        self._projector = SimclrProjector(dim, width=width, seed=seed).to(device)
        self.heads: torch.nn.Module = self._projector
        self._temperature, self._anchors = temperature, anchors

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, all without a label."""
        return unlabelled(self._sampler, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, width], of length 1."""
        return (self._projector(features),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """NT-Xent."""
        total = info_nce(outputs[0], self._temperature, self._anchors)
        return Loss(total, {"info_nce": total})
