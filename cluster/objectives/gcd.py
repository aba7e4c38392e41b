"""GCD: a contrastive loss on all images and a supervised contrastive loss on the labelled ones.

After Vaze et al. (CVPR 2022, arXiv:2201.02609) and their code: (1 - lambda) InfoNCE of all images +
lambda SupCon of the labelled ones, through DINO's head. But: exactly half of a batch has labels
(cluster.heads.half_labelled). No clustering head is learned: clusters are found by semi-supervised
k-means on the features (cluster.kmeans.semi_supervised).
"""

import numpy as np
import torch

from cluster.heads.half_labelled import HalfLabelled
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.contrastive import info_nce, sup_con
from cluster.objectives.projector import Projector
from cluster.objectives.same_images_twice import half_labelled


class Gcd(Objective):
    """GCD's objective; no head assigns images to clusters."""

    def __init__(
        self,
        label: np.ndarray,
        dim: int,
        *,
        hidden: int,
        bottleneck: int,
        width: int,
        temperature: float,
        label_temperature: float,
        supervised: float,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image], the known class or -1; hidden, bottleneck, width: of the Projector;
        temperature: of InfoNCE, label_temperature: of SupCon; supervised: lambda. Raises
        ClusterError unless some images have a label and some have none."""
        self._stream = HalfLabelled([label], batch, [seed])
        self._projector = Projector(
            dim, hidden=hidden, bottleneck=bottleneck, width=width, seed=seed
        ).to(device)
        self.heads: torch.nn.Module = self._projector
        self._temperature, self._label_temperature = temperature, label_temperature
        self._supervised = supervised

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, width, or bottleneck where width is 0], of length 1."""
        return (self._projector(features),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """(1 - lambda) InfoNCE + lambda SupCon."""
        (z,) = outputs
        instance = info_nce(z, self._temperature)
        by_class = sup_con(z, torch.as_tensor(drawn.label).to(z.device), self._label_temperature)
        total = (1 - self._supervised) * instance + self._supervised * by_class
        return Loss(total, {"info_nce": instance, "sup_con": by_class})
