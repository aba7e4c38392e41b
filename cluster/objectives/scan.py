"""SCAN on images: backbone and linear heads learn to give an image and its neighbours one cluster.

After Van Gansbeke et al. (ECCV 2020, arXiv:2005.12320), equation 2: cluster.heads.scan.scan_loss,
summed over the heads. But: an image is never its own neighbour; and the selected head is that of
the lowest loss in the last pass over train, where the original selects on the test images.
"""

from collections.abc import Mapping

import numpy as np
import torch

from cluster.heads.model import Linear
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.scan import scan_loss
from cluster.objectives import Drawn, Loss, Objective, Outputs


class Scan(Objective):
    """SCAN's objective, with several linear heads of which one is selected."""

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
        """neighbor: int32 [image, neighbor], of the images of train; heads: number of heads with
        different initial weights; entropy_weight: lambda. Raises ClusterError when a neighbour is
        not an image of train or is the image itself."""
        self._pairs = Pairs(neighbor, batch, seed)
        self._k, self._entropy_weight = k, entropy_weight
        self._layer = torch.nn.utils.skip_init(torch.nn.Linear, dim, heads * k)
        generator, reach = torch.Generator().manual_seed(seed), dim**-0.5  # torch's default
        for parameter in self._layer.parameters():
            torch.nn.init.uniform_(parameter, -reach, reach, generator=generator)
        self.heads: torch.nn.Module = self._layer.to(device)
        steps = -(-len(self._pairs) // self._pairs.batch)
        self._recent = torch.zeros(steps, heads, device=device)  # of the last pass, a ring buffer
        self._seen = 0

    def draw(self, step: int) -> Drawn:
        """Slot 0 shows an image, slot 1 one of its neighbours."""
        image = self._pairs.at(step)
        return Drawn(image, np.full(image.shape[1], -1))

    def outputs(self, features: torch.Tensor) -> Outputs:
        """log p: float32 [slot, image, head, cluster]."""
        logits = self.heads(features.float()).float()
        return (logits.unflatten(-1, (-1, self._k)).log_softmax(-1),)

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """The sum over heads. Each head's loss is recorded to select a head later, so that this has
        to be called once for each step. The parts are means over heads: `consistency`,
        -log <p, q>, and `entropy` of the mean p, in nats."""
        log_p, log_q = outputs[0].transpose(1, 2)
        each = scan_loss(log_p, log_q, self._entropy_weight)
        with torch.no_grad():
            self._recent[self._seen % len(self._recent)] = each
            self._seen += 1
            consistency = scan_loss(log_p, log_q, 0.0).mean()
            entropy = consistency - scan_loss(log_p, log_q, 1.0).mean()
        return Loss(each.sum(), {"consistency": consistency, "entropy": entropy})

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """recent: float32 [step, head], the losses of the last pass, oldest first."""
        shift = -self._seen if self._seen > len(self._recent) else 0
        return {"recent": self._last().roll(shift, 0).cpu().numpy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Load what `state_dict` returned."""
        recent = torch.from_numpy(state["recent"])
        self._seen = len(recent)
        self._recent[: self._seen] = recent.to(self._recent.device)

    def learned(self) -> dict[str, Linear]:
        """The head of the lowest mean loss in the last pass; it applies to features as given."""
        best = int(self._last().double().mean(0).argmin()) if self._seen else 0
        here = slice(best * self._k, (best + 1) * self._k)
        layer = (self._layer.weight[here], self._layer.bias[here])
        return {"learned": Linear(*(part.detach()[None].cpu().numpy().copy() for part in layer))}

    def _last(self) -> torch.Tensor:
        return self._recent[: self._seen]
