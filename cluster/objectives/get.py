"""GET: SimGCD on an image's feature and on that of its pseudo text, which learn of one another.

After Wang et al. (arXiv:2403.09974, stage 2) and their code: both branches have one projector and
one classifier and each the whole loss of SimGCD (cluster.objectives.simgcd); and their CICO term:

    s_m  = softmax(cos(x_m, anchors_m) / .4)       m: image, text
    CICO = CE(s_text → s_image) + CE(s_image → s_text)

where the anchors of a modality are the means of the labelled features of each known class of the
step; neither they nor what teaches get a gradient. total = image + text + cico x CICO.

But: features come with halves of length 1, so that a linear head can look at one of them; the
projector sees them at the length of a vector of ones, about that of a layer norm's, since at length
1 its GELUs would hardly bend. And what is learned has the students' temperature, where the code
takes the mean of softmaxes at temperature 1, which is nearly that of the cosines.
"""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.simgcd import Simgcd
from cluster.objectives.tes import halves
from cluster.vectors.rows import Rows

TEMPERATURE = 0.4  # of CICO, as in the original


class Get:
    """An Objective for features [image | text] of networks of form "get"."""

    slots = ("view", "view")
    looks = False
    unit = False  # halves have length 1 as they are

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
        ramp: int,
        entropy_weight: float,
        contrast_temperature: float,
        label_temperature: float,
        cico: float,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """dim: of both halves together; cico: the weight of that term; the others as in
        cluster.objectives.simgcd. Raises ClusterError when dim is odd or k below the number of
        known classes, or unless some images have a label and some have none."""
        if dim % 2:
            raise ClusterError(f"features have dim {dim}, expected two halves, image and text")
        self._width = dim // 2
        self._branch = Simgcd(
            label,
            self._width,
            k,
            hidden=hidden,
            bottleneck=bottleneck,
            supervised=supervised,
            temperature=temperature,
            teacher_first=teacher_first,
            teacher_last=teacher_last,
            ramp=ramp,
            entropy_weight=entropy_weight,
            contrast_temperature=contrast_temperature,
            label_temperature=label_temperature,
            unit=True,
            batch=batch,
            seed=seed,
            device=device,
        )
        self.heads: torch.nn.Module = self._branch.heads
        self._cico = cico

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: the same images in both slots."""
        return self._branch.draw(step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, 2 width] → of image and of text, the half itself [slot,
        image, width], of length 1, and SimGCD's outputs of it."""
        both = halves(features)
        return tuple(
            each for x in both for each in (x, *self._branch.outputs(x * self._width**0.5))
        )

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """Both branches' losses and CICO's."""
        (image, *of_image), (text, *of_text) = outputs[:3], outputs[3:]
        across = cico(image, text, torch.as_tensor(drawn.label).to(image.device))
        total, parts = self._cico * across, dict[str, torch.Tensor]()
        for name, branch in (("image", of_image), ("text", of_text)):
            found = self._branch.loss(tuple(branch), drawn, epoch)
            total = total + found.total
            parts |= {f"{name}_{part}": value for part, value in found.parts.items()}
        return Loss(total, {**parts, "cico": across})

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """Nothing."""
        return {}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    def learned(self) -> dict[str, Linear]:
        """The prototypes over the students' temperature, on either half."""
        weight, bias = self._branch.learned()["learned"]
        none = np.zeros_like(weight)
        return {
            "image": Linear(np.concatenate([weight, none], 2), bias),
            "text": Linear(np.concatenate([none, weight], 2), bias),
        }


def cico(image: torch.Tensor, text: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """image, text: float32 [slot, image, width], of length 1; label: int64 [image], -1 where
    unlabelled → scalar, a sum of two cross-entropies, each the mean over all vectors. 0, on the
    graph still, where no image is labelled."""
    known = label >= 0
    if not bool(known.any()):
        return (image.sum() + text.sum()) * 0
    own = label[known].unique(return_inverse=True)[1].repeat(len(image))
    of_image, of_text = (
        _log_share(x.flatten(0, 1), x[:, known].flatten(0, 1), own) for x in (image, text)
    )
    return _taught(of_image, of_text) + _taught(of_text, of_image)


def _log_share(x: torch.Tensor, labelled: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The logarithm of s_m: [vector, class]; own: int64 [labelled vector], from 0 on."""
    shape = int(own.max()) + 1, x.shape[1]
    # A sum has the direction of the mean.
    anchors = labelled.detach().new_zeros(shape).index_add(0, own, labelled.detach())
    with torch.autocast(x.device.type, enabled=False):
        cosine = x @ torch.nn.functional.normalize(anchors, dim=1).T
    return torch.log_softmax(cosine / TEMPERATURE, 1)


def _taught(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return -(teacher.detach().exp() * student).sum(1).mean()
