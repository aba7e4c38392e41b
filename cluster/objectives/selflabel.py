"""Self-labelling on images: what is sure in the plain view is taught in the strong one.

After SCAN's third step (Van Gansbeke et al., arXiv:2005.12320, section 2.3; FixMatch,
arXiv:2001.07685), with cluster.heads.selflabel's loss. But: a batch in which nothing is sure
teaches nothing and is counted, where the original stops with an error."""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear
from cluster.heads.selflabel import selflabel_loss
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.sampler import Everyone
from cluster.objectives.twice import all_alike
from cluster.vectors.rows import Rows


class Selflabel:
    """A cluster.objectives.Objective; `idle`: steps so far in which nothing was sure."""

    slots = ("centre", "strong")
    looks = False

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
        """images: those of train; head: to go on from, float32 [1, cluster, dim] and [1, cluster];
        unit: it takes features divided by their length; threshold: least probability of a cluster
        that is taken for a label; balance: clusters weigh alike. Raises ClusterError unless the
        head is one, for features of `dim`."""
        if len(head.weight) != 1 or head.weight.shape[2] != dim:
            raise ClusterError(
                f"found {len(head.weight)} heads for features of {head.weight.shape[2]} dims, "
                f"expected one for {dim}: take a head that was learned on this backbone"
            )
        self._everyone = Everyone(images, batch, seed)
        self._layer = torch.nn.utils.skip_init(torch.nn.Linear, dim, head.weight.shape[1])
        with torch.no_grad():
            self._layer.weight.copy_(torch.from_numpy(head.weight[0]))
            self._layer.bias.copy_(torch.from_numpy(head.bias[0]))
        self.heads: torch.nn.Module = self._layer.to(device)
        self.unit, self._threshold, self._balance = unit, threshold, balance
        self._idle = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def idle(self) -> int:
        """Steps so far in which nothing was sure."""
        return int(self._idle)

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: the same images in both slots, all without a label."""
        return all_alike(self._everyone, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """Logits: float32 [slot, image, cluster]."""
        features = features.float()
        if self.unit:
            features = torch.nn.functional.normalize(features, dim=-1)
        return (self.heads(features).float(),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """0, with gradients of 0, where nothing is sure. `sure` of the parts: the share that is."""
        plain, strong = outputs[0]
        loss, sure, _ = selflabel_loss(plain, strong, self._threshold, self._balance)
        self._idle += ~sure.any()
        return Loss(loss, {"sure": sure.float().mean()})

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """idle: int64 scalar."""
        return {"idle": self._idle.cpu().numpy().copy()}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Go on counting from there."""
        self._idle.fill_(int(memory["idle"]))

    def learned(self) -> dict[str, Linear]:
        """The head; for features divided by their length if `unit` says so."""
        layer = (self._layer.weight, self._layer.bias)
        return {"learned": Linear(*(part.detach()[None].cpu().numpy().copy() for part in layer))}
