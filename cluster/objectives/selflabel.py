"""Self-labelling on images: confident predictions on the plain view label the strong view.

After SCAN's third step (Van Gansbeke et al., arXiv:2005.12320, section 2.3; FixMatch,
arXiv:2001.07685): cluster.heads.selflabel.selflabel_loss. But: a batch without any confident image
is skipped and counted, where the original stops with an error.
"""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear
from cluster.heads.selflabel import selflabel_loss
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.same_images_twice import unlabelled
from cluster.objectives.sampler import ShuffledSampler


class Selflabel(Objective):
    """The objective of self-labelling, which trains an existing head further."""

    slots = ("centre", "strong")

    def __init__(
        self,
        images: int,
        dim: int,
        head: Linear,
        *,
        unit: bool,
        threshold: float,
        balance: bool,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """images: the number of images of train; head: the initial head, float32 [1, cluster, dim]
        and [1, cluster]; unit: whether it applies to features divided by their length; threshold:
        minimal probability of a pseudo-label; balance: clusters have equal weight. Raises
        ClusterError unless `head` is a single head for features of `dim`."""
        if len(head.weight) != 1 or head.weight.shape[2] != dim:
            raise ClusterError(
                f"found {len(head.weight)} heads for features of {head.weight.shape[2]} dims, "
                f"expected one for {dim}: take a head that was learned on this backbone"
            )
        self._sampler = ShuffledSampler(images, batch, seed)
        self._layer = torch.nn.utils.skip_init(torch.nn.Linear, dim, head.weight.shape[1])
        with torch.no_grad():
            self._layer.weight.copy_(torch.from_numpy(head.weight[0]))
            self._layer.bias.copy_(torch.from_numpy(head.bias[0]))
        self.heads: torch.nn.Module = self._layer.to(device)
        self.unit, self._threshold, self._balance = unit, threshold, balance
        self._idle = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def idle(self) -> int:
        """Steps so far without any confident image."""
        return int(self._idle)

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, all without a label."""
        return unlabelled(self._sampler, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """Logits: float32 [slot, image, cluster]."""
        features = features.float()
        if self.unit:
            features = torch.nn.functional.normalize(features, dim=-1)
        return (self.heads(features).float(),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """0, with gradients of 0, where no image is confident; the part `confident` is the share of
        images that are."""
        plain, strong = outputs[0]
        loss, confident, _ = selflabel_loss(plain, strong, self._threshold, self._balance)
        self._idle += ~confident.any()
        return Loss(loss, {"confident": confident.float().mean()})

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """idle: int64 scalar."""
        return {"idle": self._idle.cpu().numpy().copy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Load what `state_dict` returned."""
        self._idle.fill_(int(state["idle"]))

    def learned(self) -> dict[str, Linear]:
        """The head; it applies to features divided by their length if `unit`."""
        layer = (self._layer.weight, self._layer.bias)
        return {"learned": Linear(*(part.detach()[None].cpu().numpy().copy() for part in layer))}
