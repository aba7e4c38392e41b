"""TES: learn a pseudo-text embedding of each image, aligned with the image and its class name.

After GET's text embedding synthesizer (Wang et al., arXiv:2403.09974, their L_align and L_distill,
weight 1 each). v are CLIP's image embeddings of all views of all images of a step, t their
pseudo-text embeddings, all of length 1, and s is CLIP's logit scale:

    align   = CE(s v t', diagonal) + CE(s t v', diagonal)
    distill = CE(t T', y) + mean |t - T_y|^2      of labelled images; T: texts of the old classes

But: without names of the old classes, only the alignment loss is used; and exactly half of a step
is labelled, where the original samples with weights that give half on average.
"""

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.same_images_twice import half_labelled, unlabelled
from cluster.objectives.sampler import ShuffledSampler


class Tes(Objective):
    """The objective of networks of form "tes", whose features are [image | text]. It trains a
    linear layer of the network itself and has no heads."""

    def __init__(
        self,
        label: np.ndarray,
        *,
        scale: float,
        text: np.ndarray | None,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image], the known class of each image of train or -1; without any label,
        all images are sampled alike. scale: exp(logit_scale) of the CLIP; text: float32 [old class,
        width], text embeddings of the known classes, in the order of their numbers, or None. Raises
        ClusterError when `text` has too few rows, or a row is not finite or all zeros."""
        self.heads = torch.nn.Module()
        self._scale = scale
        self._text = None if text is None else _normalized(text, int(label.max(initial=-1)) + 1)
        if self._text is not None:
            self._text = self._text.to(device)
        known = bool((label >= 0).any())
        self._half = HalfLabelled([label], batch, [seed]) if known else None
        self._sampler = ShuffledSampler(len(label), batch, seed)

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled if any image is."""
        if self._half is not None:
            return half_labelled(self._half, step)
        return unlabelled(self._sampler, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, 2 width] → image and text, [slot, image, width]."""
        return halves(features)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """align + distill."""
        image, text = outputs
        parts = {"align": align(image.flatten(0, 1), text.flatten(0, 1), self._scale)}
        if self._text is not None:
            label = torch.from_numpy(drawn.label).to(text.device)
            parts["distill"] = distill(text, label, self._text)
        return Loss(torch.stack(list(parts.values())).sum(), parts)


def halves(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., 2 width] → two float32 [..., width], of length 1 each."""
    first, second = features.float().chunk(2, -1)
    normalize = torch.nn.functional.normalize
    return normalize(first, dim=-1), normalize(second, dim=-1)


def align(image: torch.Tensor, text: torch.Tensor, scale: float) -> torch.Tensor:
    """float32 [vector, width] each, of length 1 → scalar: CLIP's loss without its factor 1/2."""
    with torch.autocast(image.device.type, enabled=False):
        cosine = scale * image @ text.T
    own = torch.arange(len(image), device=image.device)
    cross = torch.nn.functional.cross_entropy
    return cross(cosine, own) + cross(cosine.T, own)


def distill(text: torch.Tensor, label: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """text: float32 [slot, image, width], of length 1; label: int64 [image], -1 where unlabelled;
    old: float32 [old class, width], of length 1 → scalar, 0 where none is labelled."""
    known = label >= 0
    vectors, own = text[:, known].flatten(0, 1), label[known].repeat(len(text))
    if not len(own):
        return text.sum() * 0
    with torch.autocast(text.device.type, enabled=False):
        classes = torch.nn.functional.cross_entropy(vectors @ old.T, own)  # at temperature 1
    return classes + (vectors - old[own]).square().sum(1).mean()


def _normalized(text: np.ndarray, known: int) -> torch.Tensor:
    if text.ndim != 2 or len(text) < known:
        raise ClusterError(
            f"texts are {list(text.shape)}, but {known} classes are known: give one vector for "
            "each class"
        )
    length = np.linalg.norm(text.astype(np.float64), axis=1)
    if not (np.isfinite(length) & (length > 0)).all():
        worst = int(np.flatnonzero(~(np.isfinite(length) & (length > 0)))[0])
        raise ClusterError(
            f"the text embedding of class {worst} cannot be normalised: it is 0 or not finite"
        )
    return torch.from_numpy((text / length[:, None]).astype(np.float32))
