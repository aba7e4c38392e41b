"""SimGCD in full: GCD's two contrastive terms and a classifier of cosine prototypes, all at once.

After Wen, Zhao and Qi (ICCV 2023, arXiv:2211.11727) and their code: (1 - lambda) (L_u_cls +
L_u_con) + lambda (L_s_cls + L_s_con), where L_u_cls holds the entropy term. The prototypes have
length 1 and no bias, and lie on the backbone's feature divided by its length, not on what is
projected. The paper's text has the temperatures of student and teacher the other way round and a
cosine for the ramp; as in the code, and in cluster.heads.simgcd_loss, students are at .1 and the
teacher goes along a line from .07 to .04. But: exactly half of a batch has labels
(cluster.heads.half_labelled), and the ramp goes on within an epoch."""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.model import Linear
from cluster.heads.simgcd_loss import Weights, simgcd_loss, teacher_temperature
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.contrastive import info_nce, sup_con
from cluster.objectives.projector import Projector, Prototypes
from cluster.objectives.twice import half_labelled
from cluster.vectors.rows import Rows


class Simgcd:
    """A cluster.objectives.Objective."""

    slots = ("view", "view")
    looks = False

    def __init__(
        self,
        label: np.ndarray,
        dim: int,
        k: int,
        *,
        hidden: int,
        bottleneck: int,
        supervised: float,
        temperature: float,
        teacher_first: float,
        teacher_last: float,
        ramp: float,
        entropy_weight: float,
        contrast_temperature: float,
        label_temperature: float,
        unit: bool,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image], the known class or -1; hidden, bottleneck: of the Projector;
        supervised: lambda; temperature: of the students, whose teacher goes from teacher_first to
        teacher_last in `ramp` epochs; entropy_weight: epsilon; contrast_temperature: of InfoNCE,
        label_temperature: of SupCon; unit: features are divided by their length for the prototypes,
        as published, or their dims come with a mean square of 1. Raises ClusterError when k is
        below the number of known classes, or unless some images have a label and some have none."""
        known = int(label.max(initial=-1)) + 1
        if k < known:
            raise ClusterError(f"k is {k}, but {known} classes are known: choose k from {known} on")
        self._stream = HalfLabelled([label], batch, [seed])
        self._projector = Projector(dim, hidden=hidden, bottleneck=bottleneck, width=0, seed=seed)
        self._prototypes = Prototypes(dim, k, unit=unit, seed=seed)
        self.unit = unit
        self.heads: torch.nn.Module = torch.nn.ModuleDict(
            {"projector": self._projector, "prototypes": self._prototypes}
        ).to(device)
        self._weights = Weights(supervised, temperature)
        self._teacher = (teacher_first, teacher_last, ramp)
        self._entropy = torch.tensor([entropy_weight], device=device)
        self._contrast_temperature = contrast_temperature
        self._label_temperature = label_temperature

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: the same images in both slots."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, bottleneck], of length 1; cosine: float32 [slot, image, k]."""
        return self._projector(features), self._prototypes(features)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """All four terms; `classifier` of the parts is (1 - lambda) L_u_cls + lambda L_s_cls."""
        z, cosine = outputs
        sort = self._classifier(cosine, drawn.label, epoch)
        apart = info_nce(z, self._contrast_temperature)
        together = sup_con(z, torch.as_tensor(drawn.label).to(z.device), self._label_temperature)
        share = self._weights.supervised
        total = sort + (1 - share) * apart + share * together
        return Loss(total, {"classifier": sort, "info_nce": apart, "sup_con": together})

    def _classifier(self, cosine: torch.Tensor, label: np.ndarray, epoch: float) -> torch.Tensor:
        teacher = teacher_temperature(epoch, *self._teacher)
        order = np.argsort(label < 0, kind="stable")
        cosine = cosine[:, torch.from_numpy(order).to(cosine.device)][:, None]
        known = torch.as_tensor(label[label >= 0])[None].to(cosine.device)
        if known.shape[1]:
            return simgcd_loss(cosine, known, teacher, self._entropy, self._weights)[0]
        # The mean over no labels is not a number: a label of weight 0 stands in.
        none, alone = known.new_zeros(1, 1), self._weights._replace(supervised=0.0)
        share = self._weights.supervised
        return (1 - share) * simgcd_loss(cosine, none, teacher, self._entropy, alone)[0]

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """Nothing."""
        return {}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    def learned(self) -> dict[str, Linear]:
        """The prototypes, over the students' temperature."""
        scale = self._weights.temperature * self._prototypes.length
        weight = (self._prototypes.unit() / scale).detach().cpu().numpy()[None]
        return {"learned": Linear(weight, np.zeros(weight.shape[:2], np.float32))}
