"""SCAN on images: the backbone and linear heads learn that an image and its neighbours are alike.

After Van Gansbeke et al. (ECCV 2020, arXiv:2005.12320), equation 2, with cluster.heads.scan's loss,
which is summed over the heads. But: an image is never its own neighbour; and the head that is kept
is that of the lowest loss in the last pass over train, where the original looks at the test images.
"""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import scan_loss
from cluster.objectives import Drawn, Loss, Outputs
from cluster.vectors.rows import Rows


class Scan:
    """A cluster.objectives.Objective."""

    slots = ("view", "view")
    looks = False
    unit = False

    def __init__(
        self,
        neighbor: np.ndarray,
        dim: int,
        k: int,
        *,
        heads: int,
        entropy_weight: float,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """neighbor: int32 [image, neighbor], of the images of train; heads: how many begin apart;
        entropy_weight: lambda. Raises ClusterError when a neighbour is no image of train or the
        image itself."""
        self._pairs = Pairs(neighbor, batch, seed)
        self._k, self._entropy_weight = k, entropy_weight
        self._layer = torch.nn.utils.skip_init(torch.nn.Linear, dim, heads * k)
        generator, reach = torch.Generator().manual_seed(seed), dim**-0.5  # torch's own beginning
        for parameter in self._layer.parameters():
            torch.nn.init.uniform_(parameter, -reach, reach, generator=generator)
        self.heads: torch.nn.Module = self._layer.to(device)
        steps = -(-len(self._pairs) // self._pairs.batch)
        self._recent = torch.zeros(steps, heads, device=device)  # losses of a pass, a ring
        self._seen = 0

    def draw(self, step: int) -> Drawn:
        """See cluster.objectives: an image in slot 0, one of its neighbours in slot 1."""
        image = self._pairs.at(step)
        return Drawn(image, np.full(image.shape[1], -1))

    def outputs(self, features: torch.Tensor) -> Outputs:
        """log p: float32 [slot, image, head, cluster]."""
        logits = self.heads(features.float()).float()
        return (logits.unflatten(-1, (-1, self._k)).log_softmax(-1),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """The sum over heads, which also tells them apart later: one call a step. The parts are
        means over heads: `consistency`, -log <p, q>, and `entropy` of the mean p, in nats."""
        log_p, log_q = outputs[0].transpose(1, 2)
        each = scan_loss(log_p, log_q, self._entropy_weight)
        with torch.no_grad():
            self._recent[self._seen % len(self._recent)] = each
            self._seen += 1
            apart = scan_loss(log_p, log_q, 0.0).mean()
            entropy = apart - scan_loss(log_p, log_q, 1.0).mean()
        return Loss(each.sum(), {"consistency": apart, "entropy": entropy})

    def look(self, rows: Rows, epoch: int) -> None:
        """Nothing to see."""

    def memory(self) -> Mapping[str, np.ndarray]:
        """recent: float32 [step, head], the losses of the last pass, oldest first."""
        turn = -self._seen if self._seen > len(self._recent) else 0
        return {"recent": self._last().roll(turn, 0).cpu().numpy()}

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        """Go on from there."""
        recent = torch.from_numpy(memory["recent"])
        self._seen = len(recent)
        self._recent[: self._seen] = recent.to(self._recent.device)

    def learned(self) -> dict[str, Linear]:
        """The head of the lowest mean loss in the last pass; for features as they are."""
        best = int(self._last().double().mean(0).argmin()) if self._seen else 0
        here = slice(best * self._k, (best + 1) * self._k)
        layer = (self._layer.weight[here], self._layer.bias[here])
        return {"learned": Linear(*(part.detach()[None].cpu().numpy().copy() for part in layer))}

    def _last(self) -> torch.Tensor:
        return self._recent[: self._seen]
