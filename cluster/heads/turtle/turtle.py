"""TURTLE: the labelling of images that linear classifiers in one or several spaces predict best.

A task encoder, a linear layer theta_s with weight normalisation (Salimans and Kingma 2016) in each
space, labels the images; a linear classifier w_s in each space learns these labels by M steps of
gradient descent (the inner problem), and theta moves to labels on which the classifiers err less
(the outer one). After Gadetsky, Jiang and Brbić (ICML 2024, arXiv:2406.07236), from the formulas:

    z_s = theta_s x_s,  tau = labels of all z_s (equation 9),  u_s = w_s x_s after the inner steps
    inner:  min_w      E = sum_s mean_i -<tau_i, log softmax(u_is)>,  tau fixed
    outer:  min_theta  E - gamma sum_s H(mean_i softmax(z_is))

The gradient by theta passes through tau alone, w fixed, as in the paper's alternating scheme. With
a warm start the classifiers go on from step to step, with a cold start they begin anew. But: tau =
softmax(mean_s z_s), where the paper takes mean_s softmax(z_s), equal in one space: the labelling is
then one linear layer of the vectors side by side, which is what is trained and what is stored;
several heads are trained at once, and the one of the lowest outer loss is kept.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.model import Linear
from cluster.heads.optimizer_state import named_state, restore
from cluster.heads.training import Step, cluster_sizes
from cluster.heads.turtle.outer_loss import outer_gradient, softmax
from cluster.kernels.blocked_matmul import linear_outputs, weight_gradient
from cluster.vectors.standardize import Scale, fold_scale

INNER = "inner/"  # before the names of the inner optimiser's state


class Settings(NamedTuple):
    """entropy_weight: gamma; inner_steps: M; warm_start: the classifiers go on from step to step;
    weight_decay: of the task encoder."""

    heads: int
    entropy_weight: float
    inner_steps: int
    inner_lr: float
    warm_start: bool
    weight_decay: float


class Turtle:
    """The heads of one seed (a cluster.heads.training.Learner)."""

    def __init__(
        self,
        dim: int,
        k: int,
        settings: Settings,
        *,
        spaces: Sequence[slice],
        scale: Scale,
        watched: torch.Tensor,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Heads for vectors of `dim` that were standardised by `scale`; spaces: the columns of
        each, side by side; watched: [image, dim], images whose clusters are recorded after each
        epoch. Raises ClusterError when the spaces are not all columns in their order."""
        ends = [0, *(s.stop for s in spaces)]
        if [s.start for s in spaces] != ends[:-1] or ends[-1] != dim:
            raise ClusterError(
                f"the spaces {list(spaces)} are not the {dim} columns in their order"
            )
        self.k, self.n_heads, self.device, self._settings = k, settings.heads, device, settings
        self._spaces, self._scale, self._seed = tuple(spaces), scale, seed
        self._watched = self._parts(watched)
        weight, bias = self._initial(0, 0)
        self._direction, self._bias = weight.requires_grad_(), bias.requires_grad_()
        self._length = self._norms(weight.detach()).requires_grad_()
        groups = [
            {"params": [self._direction], "weight_decay": settings.weight_decay},
            {"params": [self._length, self._bias], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, lr=1.0, fused=True)
        self._steps = torch.zeros((), dtype=torch.int64)
        self._begin_classifiers()

    @torch.no_grad()
    def step(self, x: torch.Tensor, lr: float) -> Step:
        """Learn from x, float32 or bfloat16 [image, dim]; see cluster.heads.training."""
        parts = self._parts(x)
        if not self._settings.warm_start:
            self._begin_classifiers()
        own = self._encoded(parts)
        label = softmax(own.mean(0), 1)
        for _ in range(self._settings.inner_steps):
            self._teach(parts, label)
        log_p = self._outputs(parts, self._weight, self._offset).log_softmax(2)
        loss, slope = outer_gradient(own, log_p, self._settings.entropy_weight)
        by_weight = self._by_columns(slope, parts)
        unit = self._direction / self._spread(self._norms(self._direction))
        along = self._sums(by_weight * unit)
        self._length.grad = along
        out = by_weight - self._spread(along) * unit
        out *= self._spread(self._length / self._norms(self._direction))
        self._direction.grad = out
        self._bias.grad = slope.sum(3)
        for group in self._adam.param_groups:
            group["lr"] = lr
        self._adam.step()
        self._steps += 1
        return Step(loss, cluster_sizes(label.max(1).indices, self.k))

    def judge(self, mean_loss: np.ndarray) -> np.ndarray:
        """The outer loss in training: neither labels nor held-out images are needed."""
        return mean_loss

    @torch.no_grad()
    def watch(self, head: int) -> np.ndarray:
        """The clusters of the watched images by one head, int32 [image]."""
        return self._encoded(self._watched)[:, head].mean(0).max(0).indices.int().cpu().numpy()

    @torch.no_grad()
    def head(self, number: int) -> Linear:
        """One head of all spaces, for cluster.heads.model.predict."""
        one, spaces = slice(number, number + 1), len(self._spaces)
        layer = self._encoder()[one] / spaces, self._bias[:, one].mean(0)
        return Linear(*(each.cpu().numpy() for each in fold_scale(*layer, self._scale)))

    def state(self) -> Mapping[str, torch.Tensor]:
        """See cluster.heads.training."""
        inner = named_state(self._inner)
        return {
            "encoder/direction": self._direction,
            "encoder/length": self._length,
            "encoder/bias": self._bias,
            "classifier/weight": self._weight,
            "classifier/offset": self._offset,
            "count/steps": self._steps,
            **named_state(self._adam),
            **{INNER + name: tensor for name, tensor in inner.items()},
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """See cluster.heads.training."""
        for name, own in self.state().items():
            if name.startswith(("encoder/", "classifier/", "count/")):
                own.copy_(state[name])
        restore(self._adam, state)
        inner = {n.removeprefix(INNER): t for n, t in state.items() if n.startswith(INNER)}
        restore(self._inner, inner)

    def _initial(self, step: int, which: int) -> tuple[torch.Tensor, torch.Tensor]:
        """torch's default for a linear layer in each space: float32 [head, cluster, dim] and
        [space, head, cluster]; which: 0 the task encoder, 1 the classifiers."""
        h, k, generator = self.n_heads, self.k, np.random.default_rng([self._seed, step, which, 4])
        reaches = [(s.stop - s.start) ** -0.5 for s in self._spaces]
        parts = [
            generator.uniform(-reach, reach, (h, k, s.stop - s.start))
            for s, reach in zip(self._spaces, reaches, strict=True)
        ]
        bias = generator.uniform(-1, 1, (len(reaches), h, k)) * np.reshape(reaches, (-1, 1, 1))
        weight = torch.from_numpy(np.concatenate(parts, axis=2)).float()
        return weight.to(self.device), torch.from_numpy(bias).float().to(self.device)

    def _begin_classifiers(self) -> None:
        """New classifiers, and a new optimiser of theirs."""
        weight, offset = self._initial(int(self._steps), 1)
        self._weight, self._offset = weight.requires_grad_(), offset.requires_grad_()
        both = [self._weight, self._offset]
        self._inner = torch.optim.Adam(both, lr=self._settings.inner_lr, fused=True)

    def _teach(self, parts: Sequence[torch.Tensor], label: torch.Tensor) -> None:
        """An inner step: the classifiers of all spaces learn the labels, float32 [head, cluster,
        image]."""
        slope = softmax(self._outputs(parts, self._weight, self._offset), 2)
        slope.sub_(label).div_(label.shape[2])
        self._weight.grad = self._by_columns(slope, parts)
        self._offset.grad = slope.sum(3)
        self._inner.step()

    def _encoded(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """z, float32 [space, head, cluster, image]."""
        return self._outputs(parts, self._encoder(), self._bias)

    def _encoder(self) -> torch.Tensor:
        """theta, float32 [head, cluster, dim]."""
        direction = self._direction.detach()
        return direction * self._spread(self._length.detach() / self._norms(direction))

    def _parts(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The columns of each space."""
        return [x[:, s].contiguous() for s in self._spaces]

    def _outputs(
        self, parts: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """Linear layers of all spaces: float32 [space, head, cluster, image]."""
        weight, bias = weight.detach(), bias.detach()
        each = [
            linear_outputs(weight[:, :, s].flatten(0, 1), x).view(*bias.shape[1:], len(x))
            for s, x in zip(self._spaces, parts, strict=True)
        ]
        return torch.stack(each).add_(bias[..., None])

    def _by_columns(self, slope: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The gradient by the weights [head, cluster, dim], of slope [space, head, cluster,
        image]."""
        each = [
            weight_gradient(of.flatten(0, 1), x).view(*of.shape[:2], x.shape[1])
            for of, x in zip(slope, parts, strict=True)
        ]
        return torch.cat(each, 2)

    def _norms(self, weight: torch.Tensor) -> torch.Tensor:
        """The length of each row in each space: float32 [space, head, cluster]."""
        return self._sums(weight.square()).sqrt().clamp(min=1e-12)

    def _sums(self, weight: torch.Tensor) -> torch.Tensor:
        """The sum of each row in each space: float32 [space, head, cluster]."""
        return torch.stack([weight[:, :, s].sum(2) for s in self._spaces])

    def _spread(self, of_space: torch.Tensor) -> torch.Tensor:
        """[space, head, cluster] → [head, cluster, dim]."""
        widths = [s.stop - s.start for s in self._spaces]
        each = [of[..., None].expand(-1, -1, w) for of, w in zip(of_space, widths, strict=True)]
        return torch.cat(each, 2)


def images_of_step(step: int, images: int, batch: int, seed: int) -> np.ndarray:
    """The images of a step, int64 [batch]: all of them, or those that are next in the order of this
    pass. They depend on the seed and the step only."""
    if batch >= images:
        return np.arange(images)
    number, at = divmod(step, images // batch)
    order = np.random.default_rng([seed, number]).permutation(images)
    return order[at * batch : (at + 1) * batch]
