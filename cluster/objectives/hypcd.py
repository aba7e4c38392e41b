"""HypCD: SimGCD and SelEx in the Poincaré ball, by distances there and by angles.

After Liu, He and Han (CVPR 2025, arXiv:2504.06120) and their code; the ball is that of
cluster.heads.hyperbolic. With e epochs trained of E, each of their contrastive losses is

    L = (1 - w) L_angle + w L_distance,    w = distance_weight min(1, e / E)

- SimGCD: features go into the ball as they are, without a projector. L_angle is that of cosines, at
  both temperatures times angle_scale, L_distance that of minus the hyperbolic distance. The logits
  are the coordinates of a hyperbolic linear layer, in SimGCD's loss of the classifier.
- SelEx: its projection goes into the ball. L_angle is SelEx's loss with Euclidean distances in the
  ball, L_distance the same with hyperbolic ones; clusters are made as in SelEx, without a ball.

With the published clip, features of a transformer are all longer, so that all points have the same
distance from the centre. But: the classifier's weights have length 1 and no bias, as SimGCD's
prototypes, so that its classes are those of a linear head; one optimiser trains all, where theirs
has Adam for the classifier; and w rises within an epoch too. See also cluster.objectives.simgcd and
cluster.objectives.selex.
"""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, final

import numpy as np
import torch

from cluster.heads.hyperbolic import Ball, clipped, exp_map, pairwise_distances
from cluster.heads.model import Linear
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.contrastive import by_class, by_image, from_similarity, info_nce, sup_con
from cluster.objectives.projector import Prototypes
from cluster.objectives.same_images_twice import half_labelled
from cluster.objectives.selex import Selex
from cluster.objectives.simgcd import classifier_loss, half_labelled_stream
from cluster.vectors.rows import Rows


class Settings(NamedTuple):
    """Those of SimGCD, and: angle_scale, factor of both contrastive temperatures for angles;
    curvature, clip: of the ball; distance_weight: w in the last of `epochs`."""

    supervised: float
    temperature: float
    teacher_first: float
    teacher_last: float
    teacher_warmup: float
    entropy_weight: float
    contrast_temperature: float
    label_temperature: float
    angle_scale: float
    curvature: float
    clip: float
    distance_weight: float
    epochs: int


@final
class HypSimgcd(Objective):
    """SimGCD's objective in the ball; its prototypes are the learned head."""

    def __init__(
        self,
        label: np.ndarray,
        dim: int,
        k: int,
        settings: Settings,
        *,
        unit: bool,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image], the known class or -1; unit: the learned head applies to features
        divided by their length, or to features whose dims have a mean square of 1. Raises
        ClusterError as half_labelled_stream does."""
        self._stream, self._settings = half_labelled_stream(label, k, batch, seed), settings
        self._prototypes = Prototypes(dim, k, unit=unit, seed=seed)
        self.unit = unit
        self.heads: torch.nn.Module = torch.nn.ModuleDict({"prototypes": self._prototypes}).to(
            device
        )
        self._entropy_weight = torch.tensor([settings.entropy_weight], device=device)

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """Points of the ball, float32 [slot, image, dim], and logits, float32 [slot, image, k]."""
        s = self._settings
        with torch.autocast(features.device.type, enabled=False):
            z = clipped(features.float(), s.clip)
            linear = torch.nn.functional.linear(z, self._prototypes.unit())
        return exp_map(z, s.curvature), exp_map(linear, s.curvature)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """`classifier` of the parts is (1 - lambda) L_u_cls + lambda L_s_cls; angle and distance:
        (1 - lambda) InfoNCE + lambda SupCon."""
        points, logits = outputs
        s, label = self._settings, torch.as_tensor(drawn.label).to(points.device)
        classifier = classifier_loss(logits, drawn.label, epoch, s, self._entropy_weight)
        unit = torch.nn.functional.normalize(points, dim=-1)
        angle = (1 - s.supervised) * info_nce(unit, s.contrast_temperature * s.angle_scale)
        angle = angle + s.supervised * sup_con(unit, label, s.label_temperature * s.angle_scale)
        slots, images = points.shape[:2]
        near = -pairwise_distances(points.flatten(0, 1), s.curvature)
        own, alike = by_image(slots, images, points.device), by_class(label, slots)
        distance = (1 - s.supervised) * from_similarity(near / s.contrast_temperature, own)
        distance = distance + s.supervised * from_similarity(near / s.label_temperature, alike)
        total = classifier + _mixed(angle, distance, s.distance_weight, epoch, s.epochs)
        return Loss(total, {"classifier": classifier, "angle": angle, "distance": distance})

    def learned(self) -> dict[str, Linear]:
        """The prototypes, for features of the length that is clipped to, divided by the students'
        temperature: the classes are those that were trained, probabilities are sharper."""
        scale = self._settings.temperature * self._prototypes.length / self._settings.clip
        weight = (self._prototypes.unit() / scale).detach().cpu().numpy()[None]
        return {"learned": Linear(weight, np.zeros(weight.shape[:2], np.float32))}


@final
class HypSelex(Objective):
    """SelEx's objective in the ball; no head assigns images to clusters."""

    needs_features = True
    unit = True

    def __init__(self, selex: Selex, ball: Ball, *, distance_weight: float, epochs: int) -> None:
        """selex: the objective whose vectors go into the ball; distance_weight: w in the last of
        `epochs`."""
        self._selex, self._ball = selex, ball
        self.heads: torch.nn.Module = selex.heads
        self._weight, self._epochs = distance_weight, epochs

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return self._selex.draw(step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """Points of the ball, float32 [slot, image, width], and the features as in SelEx. The
        projection has length 1 here, where theirs is longer than the clip: so it gets that."""
        z, f = self._selex.outputs(features)
        return exp_map(z * self._ball.clip, self._ball.curvature), f

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """SelEx's loss by Euclidean (angle) and by hyperbolic distances; needs `before_epoch` to
        have been called."""
        by_distance = partial(pairwise_distances, curvature=self._ball.curvature)
        points, f = outputs
        angle = self._selex.contrast(points, f, drawn).total
        distance = self._selex.contrast(points, f, drawn, by_distance).total
        total = _mixed(angle, distance, self._weight, epoch, self._epochs)
        return Loss(total, {"angle": angle, "distance": distance})

    def before_epoch(self, rows: Rows, epoch: int) -> None:
        """See Selex."""
        self._selex.before_epoch(rows, epoch)

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """See Selex."""
        return self._selex.state_dict()

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """See Selex."""
        self._selex.load_state_dict(state)


def _mixed(
    angle: torch.Tensor, distance: torch.Tensor, most: float, epoch: float, epochs: int
) -> torch.Tensor:
    """(1 - w) angle + w distance."""
    w = most * min(1.0, epoch / epochs)
    return (1 - w) * angle + w * distance
