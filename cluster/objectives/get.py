"""GET: SimGCD on an image feature and on its pseudo-text feature, which distil into each other.

After Wang et al. (arXiv:2403.09974, stage 2) and their code: both branches share one projector and
one classifier, and each has the whole loss of SimGCD (cluster.objectives.simgcd); in addition, the
CICO loss:

    s_m  = softmax(cos(x_m, anchors_m) / .4)       m: image, text
    CICO = CE(s_text → s_image) + CE(s_image → s_text)

where the anchors of a modality are the means of the labelled features of each known class of the
step; no gradient flows into anchors or targets. total = image + text + cico x CICO.

But: each half of a feature has length 1, so that a linear head can apply to one half; the projector
gets the halves scaled by sqrt(width), about the length after a layer norm, since at length 1 its
GELUs would be nearly linear. And the learned head has the students' temperature, where the code
averages softmaxes at temperature 1, which are close to the cosines themselves.
"""

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.simgcd import Settings, Simgcd
from cluster.objectives.tes import halves

TEMPERATURE = 0.4  # of CICO, as in the original


class Get(Objective):
    """The objective of networks of form "get", whose features are [image | text]; both halves have
    length 1."""

    def __init__(
        self,
        label: np.ndarray,
        dim: int,
        k: int,
        settings: Settings,
        *,
        cico: float,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """dim: of both halves together; settings: of SimGCD, the same for both branches; cico: the
        weight of the CICO loss. Raises ClusterError when dim is odd or k below the number of known
        classes, or unless some images have a label and some have none."""
        if dim % 2:
            raise ClusterError(f"features have dim {dim}, expected two halves, image and text")
        self._width, self._cico = dim // 2, cico
        self._branch = Simgcd(
            label, self._width, k, settings, unit=True, batch=batch, seed=seed, device=device
        )
        self.heads: torch.nn.Module = self._branch.heads

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return self._branch.draw(step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, 2 width] → for image, then for text: the half itself
        [slot, image, width], of length 1, and SimGCD's outputs of it."""
        both = halves(features)
        return tuple(
            each for x in both for each in (x, *self._branch.outputs(x * self._width**0.5))
        )

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """The losses of both branches and CICO."""
        (image, *of_image), (text, *of_text) = outputs[:3], outputs[3:]
        across = cico(image, text, torch.as_tensor(drawn.label).to(image.device))
        total, parts = self._cico * across, dict[str, torch.Tensor]()
        for name, branch in (("image", of_image), ("text", of_text)):
            found = self._branch.loss(tuple(branch), drawn, epoch)
            total = total + found.total
            parts |= {f"{name}_{part}": value for part, value in found.parts.items()}
        return Loss(total, {**parts, "cico": across})

    def learned(self) -> dict[str, Linear]:
        """The prototypes, divided by the students' temperature, for each of the two halves."""
        weight, bias = self._branch.learned()["learned"]
        none = np.zeros_like(weight)
        return {
            "image": Linear(np.concatenate([weight, none], 2), bias),
            "text": Linear(np.concatenate([none, weight], 2), bias),
        }


def cico(image: torch.Tensor, text: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """image, text: float32 [slot, image, width], of length 1; label: int64 [image], -1 where
    unlabelled → scalar, a sum of two cross-entropies, each the mean over all vectors; 0, still part
    of the graph, where no image is labelled."""
    known = label >= 0
    if not bool(known.any()):
        return (image.sum() + text.sum()) * 0
    own = label[known].unique(return_inverse=True)[1].repeat(len(image))
    of_image, of_text = (
        _log_similarity(x.flatten(0, 1), x[:, known].flatten(0, 1), own) for x in (image, text)
    )
    return _cross_entropy(of_image, of_text) + _cross_entropy(of_text, of_image)


def _log_similarity(x: torch.Tensor, labelled: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """log s_m: [vector, class]; own: int64 [labelled vector], classes renumbered from 0."""
    shape = int(own.max()) + 1, x.shape[1]
    # The sum has the direction of the mean, which is all that counts.
    anchors = labelled.detach().new_zeros(shape).index_add(0, own, labelled.detach())
    with torch.autocast(x.device.type, enabled=False):
        cosine = x @ torch.nn.functional.normalize(anchors, dim=1).T
    return torch.log_softmax(cosine / TEMPERATURE, 1)


def _cross_entropy(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return -(teacher.detach().exp() * student).sum(1).mean()
