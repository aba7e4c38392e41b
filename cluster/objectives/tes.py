"""TES: an image's pseudo text embedding is to be its own, and to mean what its class is called.

After GET's text embedding synthesizer (Wang et al., arXiv:2403.09974, their L_align and L_distill,
weight 1 each). v are the embeddings of all views of all images of a step, t their pseudo text
embeddings, all of length 1, and s is CLIP's scale:

    align   = CE(s v t', diagonal) + CE(s t v', diagonal)
    distill = CE(t T', y) + mean |t - T_y|^2      of labelled images; T: texts of the old classes

But: without the names of the old classes, alignment alone; and exactly half of a step is labelled,
where the original draws with weights that give half on average.
"""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.model import Linear
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.sampler import Everyone
from cluster.objectives.twice import all_alike, half_labelled
from cluster.vectors.rows import Rows


class Tes:
    """An Objective for features [image | text] of networks of form "tes", of which a linear layer
    of the network's own is trained: it has no heads."""

    slots = ("view", "view")
    looks = False
    unit = False

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
        """label: int64 [image], the known class of each image of train or -1; if none is known,
        all images are drawn alike. scale: exp(logit_scale) of the CLIP; text: float32 [old class,
        width], embeddings of the texts of the known classes, in the order of their numbers, or
        None. Raises ClusterError: they are too few, or one is no direction."""
        self.heads = torch.nn.Module()
        self._scale = scale
        self._text = None if text is None else _directions(text, int(label.max(initial=-1)) + 1)
        if self._text is not None:
            self._text = self._text.to(device)
        known = bool((label >= 0).any())
        self._half = HalfLabelled([label], batch, [seed]) if known else None
        self._everyone = Everyone(len(label), batch, seed)

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: the same images in both slots; half are labelled if any is."""
        if self._half is not None:
            return half_labelled(self._half, step)
        return all_alike(self._everyone, step)

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

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """Nothing."""
        return {}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Nothing."""

    def learned(self) -> dict[str, Linear]:
        """None: it sorts nothing."""
        return {}


def halves(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., 2 width] → two float32 [..., width], of length 1 each."""
    first, second = features.float().chunk(2, -1)
    normalize = torch.nn.functional.normalize
    return normalize(first, dim=-1), normalize(second, dim=-1)


def align(image: torch.Tensor, text: torch.Tensor, scale: float) -> torch.Tensor:
    """float32 [vector, width] each, of length 1 → scalar; CLIP's loss without its half."""
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
        classes = torch.nn.functional.cross_entropy(vectors @ old.T, own)  # temperature 1
    return classes + (vectors - old[own]).square().sum(1).mean()


def _directions(text: np.ndarray, known: int) -> torch.Tensor:
    if text.ndim != 2 or len(text) < known:
        raise ClusterError(
            f"texts are {list(text.shape)}, but {known} classes are known: give one vector a class"
        )
    length = np.linalg.norm(text.astype(np.float64), axis=1)
    if not (np.isfinite(length) & (length > 0)).all():
        worst = int(np.flatnonzero(~(np.isfinite(length) & (length > 0)))[0])
        raise ClusterError(f"the text of class {worst} is no direction: all 0, NaN or infinity")
    return torch.from_numpy((text / length[:, None]).astype(np.float32))
