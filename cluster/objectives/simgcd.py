"""SimGCD: GCD's two contrastive losses and a classifier with cosine prototypes, trained at once.

After Wen, Zhao and Qi (ICCV 2023, arXiv:2211.11727) and their code: (1 - lambda) (L_u_cls +
L_u_con) + lambda (L_s_cls + L_s_con), where L_u_cls includes the entropy term. The prototypes have
length 1 and no bias, and apply to the backbone's normalised feature, not to its projection. The
paper's text swaps the temperatures of student and teacher and has a cosine for the teacher's
warm-up; as in the code, and in cluster.heads.simgcd_loss, students have temperature .1 and the
teacher's goes linearly from .07 to .04. But: exactly half of a batch has labels
(cluster.heads.half_labelled), and the teacher's temperature also changes within an epoch.
"""

from typing import NamedTuple, Protocol

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.model import Linear
from cluster.heads.simgcd_loss import Weights, simgcd_loss, teacher_temperature
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.contrastive import info_nce, sup_con
from cluster.objectives.projector import Projector, Prototypes
from cluster.objectives.same_images_twice import half_labelled


class ClassifierSettings(Protocol):
    """What the loss of a classifier needs; see Settings."""

    @property
    def supervised(self) -> float: ...
    @property
    def temperature(self) -> float: ...
    @property
    def teacher_first(self) -> float: ...
    @property
    def teacher_last(self) -> float: ...
    @property
    def teacher_warmup(self) -> float: ...


class Settings(NamedTuple):
    """hidden, bottleneck: widths of the Projector; supervised: lambda; temperature: of the
    students; that of the teacher goes from teacher_first to teacher_last in `teacher_warmup`
    epochs; entropy_weight: epsilon; contrast_temperature: of InfoNCE; label_temperature: of
    SupCon."""

    hidden: int
    bottleneck: int
    supervised: float
    temperature: float
    teacher_first: float
    teacher_last: float
    teacher_warmup: float
    entropy_weight: float
    contrast_temperature: float
    label_temperature: float


class Simgcd(Objective):
    """SimGCD's objective; its prototypes are the learned head."""

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
        """label: int64 [image], the known class or -1; unit: the prototypes apply to features
        divided by their length, as published, or to features whose dims have a mean square of 1.
        Raises ClusterError as half_labelled_stream does."""
        self._stream, self._settings = half_labelled_stream(label, k, batch, seed), settings
        self._projector = Projector(
            dim, hidden=settings.hidden, bottleneck=settings.bottleneck, width=0, seed=seed
        )
        self._prototypes = Prototypes(dim, k, unit=unit, seed=seed)
        self.unit = unit
        self.heads: torch.nn.Module = torch.nn.ModuleDict(
            {"projector": self._projector, "prototypes": self._prototypes}
        ).to(device)
        self._entropy_weight = torch.tensor([settings.entropy_weight], device=device)

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, bottleneck], of length 1; cosine: float32 [slot, image, k]."""
        return self._projector(features), self._prototypes(features)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """All four terms; `classifier` of the parts is (1 - lambda) L_u_cls + lambda L_s_cls."""
        z, cosine = outputs
        s = self._settings
        classifier = classifier_loss(cosine, drawn.label, epoch, s, self._entropy_weight)
        instance = info_nce(z, s.contrast_temperature)
        by_class = sup_con(z, torch.as_tensor(drawn.label).to(z.device), s.label_temperature)
        total = classifier + (1 - s.supervised) * instance + s.supervised * by_class
        return Loss(total, {"classifier": classifier, "info_nce": instance, "sup_con": by_class})

    def learned(self) -> dict[str, Linear]:
        """The prototypes, divided by the students' temperature."""
        scale = self._settings.temperature * self._prototypes.length
        weight = (self._prototypes.unit() / scale).detach().cpu().numpy()[None]
        return {"learned": Linear(weight, np.zeros(weight.shape[:2], np.float32))}


def half_labelled_stream(label: np.ndarray, k: int, batch: int, seed: int) -> HalfLabelled:
    """Batches of images, half of them labelled; label: int64 [image], the known class or -1. Raises
    ClusterError when k is below the number of known classes, or unless some images have a label and
    some have none."""
    known = int(label.max(initial=-1)) + 1
    if k < known:
        raise ClusterError(f"k is {k}, but {known} classes are known: choose k from {known} on")
    return HalfLabelled([label], batch, [seed])


def classifier_loss(
    logits: torch.Tensor,
    label: np.ndarray,
    epoch: float,
    s: ClassifierSettings,
    entropy_weight: torch.Tensor,
) -> torch.Tensor:
    """(1 - lambda) L_u_cls + lambda L_s_cls; logits: float32 [slot, image, k]; label: int64
    [image], -1 where unlabelled; entropy_weight: epsilon, [1]."""
    teacher = teacher_temperature(epoch, s.teacher_first, s.teacher_last, s.teacher_warmup)
    weights = Weights(s.supervised, s.temperature)
    labelled_first = np.argsort(label < 0, kind="stable")
    logits = logits[:, torch.from_numpy(labelled_first).to(logits.device)][:, None]
    known = torch.as_tensor(label[label >= 0])[None].to(logits.device)
    if known.shape[1]:
        return simgcd_loss(logits, known, teacher, entropy_weight, weights)[0]
    # Without labels the supervised mean would be nan: a label of weight 0 takes their place.
    dummy, unsupervised = known.new_zeros(1, 1), weights._replace(supervised=0.0)
    loss = simgcd_loss(logits, dummy, teacher, entropy_weight, unsupervised)[0]
    return (1 - s.supervised) * loss
