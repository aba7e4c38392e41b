"""Learned heads as one would write them first: a loop over heads in float32, autograd, torch's own
optimisers. What bench/heads.py compares with; each begins with the weights of ours."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from cluster.heads.half_labelled import HalfLabelledBatch
from cluster.heads.pim import Settings as PimSettings
from cluster.heads.scan import scan_loss
from cluster.heads.selflabel import selflabel_loss
from cluster.heads.simgcd import Settings as SimGcdSettings
from cluster.heads.simgcd_loss import Weights, simgcd_loss, teacher_temperature
from cluster.heads.temi import Settings as TemiSettings
from cluster.vectors.standardize import Scale

State = Mapping[str, torch.Tensor]


class _Standardized:
    """Vectors of images, standardised anew each time."""

    def __init__(self, x: np.ndarray, scale: Scale) -> None:
        self._x = torch.from_numpy(x)
        self._mean, self._deviation = (torch.from_numpy(each) for each in scale)

    def __call__(self, images: np.ndarray) -> torch.Tensor:
        return (self._x[torch.from_numpy(images)] - self._mean) / self._deviation


def _linears(weight: torch.Tensor, bias: torch.Tensor | None = None) -> list[torch.nn.Linear]:
    """A module for each first index."""
    out = []
    for at, own in enumerate(weight.detach()):
        out.append(torch.nn.Linear(own.shape[1], own.shape[0], bias=bias is not None))
        out[-1].weight.data = own.clone()
        if bias is not None:
            out[-1].bias.data = bias.detach()[at].clone()
    return out


def _learn(
    optimizer: torch.optim.Optimizer, losses: list[torch.Tensor], lr: float, by: float = 1
) -> torch.Tensor:
    """The losses before the step, [head]."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad()
    (torch.stack(losses).sum() / by).backward()
    optimizer.step()
    return torch.stack(losses).detach()


class Scan:
    """SCAN's heads, a module each."""

    def __init__(
        self, x: np.ndarray, scale: Scale, state: State, entropy: float, decay: float
    ) -> None:
        self._read, self._entropy = _Standardized(x, scale), entropy
        self._heads = torch.nn.ModuleList(_linears(state["head/weight"], state["head/bias"]))
        self._adam = torch.optim.AdamW(self._heads.parameters(), weight_decay=decay)

    def step(self, pairs: np.ndarray, lr: float) -> torch.Tensor:
        image, neighbor = self._read(pairs)
        losses = []
        for head in self._heads:
            log_p, log_q = (head(side).log_softmax(1)[None] for side in (image, neighbor))
            losses.append(scan_loss(log_p, log_q, self._entropy)[0])
        return _learn(self._adam, losses, lr)


class SelfLabel:
    """A head that is taught by itself."""

    def __init__(
        self, x: np.ndarray, scale: Scale, state: State, threshold: float, decay: float
    ) -> None:
        self._read, self._threshold = _Standardized(x, scale), threshold
        self._head = _linears(state["head/weight"], state["head/bias"])[0]
        self._adam = torch.optim.AdamW(self._head.parameters(), weight_decay=decay)

    def step(self, pairs: np.ndarray, lr: float) -> torch.Tensor:
        plain, other = self._read(pairs)
        found = selflabel_loss(self._head(plain), self._head(other), self._threshold, True)
        return _learn(self._adam, [found.loss], lr)


class Temi:
    """Students and teachers, three modules each."""

    def __init__(self, x: np.ndarray, scale: Scale, state: State, settings: TemiSettings) -> None:
        self._read, self._settings = _Standardized(x, scale), settings
        self._students, self._teachers = (
            [self._head(state, whose, number) for number in range(settings.heads)]
            for whose in ("student", "teacher")
        )
        self._prior = list(state["prior/prior"].clone())
        own = [each for head in self._students for each in head]
        self._adam = torch.optim.AdamW(own, weight_decay=settings.weight_decay)

    def _head(self, state: State, whose: str, number: int) -> list[torch.Tensor]:
        names = ("hidden_weight", "hidden_bias", "bottleneck_weight", "bottleneck_bias")
        found = [state[f"{whose}/{n}"][number] for n in (*names, "direction", "length")]
        return [each.detach().clone().requires_grad_(whose == "student") for each in found]

    def _log_q(self, x: torch.Tensor, of: list[torch.Tensor]) -> torch.Tensor:
        w, b, v, c, direction, length = of
        z = functional.linear(functional.gelu(functional.linear(x, w, b)), v, c)
        prototypes = functional.normalize(direction, dim=1) * length[:, None]
        logits = functional.normalize(z, dim=1) @ prototypes.T / self._settings.temperature
        return logits.log_softmax(1)

    def step(self, pairs: np.ndarray, lr: float) -> torch.Tensor:
        s, (x, y) = self._settings, self._read(pairs)
        with torch.no_grad():
            taught = [[self._log_q(side, head) for side in (x, y)] for head in self._teachers]
            weight = torch.stack([(t + u).exp().sum(1) for t, u in taught]).mean(0)
        losses = []
        for number, (head, (t, u)) in enumerate(zip(self._students, taught, strict=True)):
            self._prior[number].lerp_(torch.cat([t, u]).exp().mean(0), 1 - s.prior_momentum)
            prior = self._prior[number].log()
            p, q = (self._log_q(side, head) for side in (x, y))
            pmi = (s.beta * (p + u) - prior).logsumexp(1) + (s.beta * (q + t) - prior).logsumexp(1)
            losses.append(-(weight * pmi).mean() / 2)
        found = _learn(self._adam, losses, lr, s.heads)
        with torch.no_grad():
            for teacher, student in zip(self._teachers, self._students, strict=True):
                for old, new in zip(teacher, student, strict=True):
                    old.mul_(s.momentum).add_(new, alpha=1 - s.momentum)
        return found


class SimGcd:
    """Prototypes of a seed and an entropy weight, a tensor each."""

    def __init__(
        self,
        x: np.ndarray,
        scale: Scale,
        state: State,
        settings: SimGcdSettings,
        weights: tuple[float, ...],
    ) -> None:
        self._read, self._settings, self._weights = _Standardized(x, scale), settings, weights
        self._heads = [w.clone().requires_grad_() for w in state["head/direction"].detach()]
        self._sgd = torch.optim.SGD(self._heads, momentum=0.9, weight_decay=settings.weight_decay)
        self._steps = 0

    def step(self, drawn: HalfLabelledBatch, lr: float) -> torch.Tensor:
        s, losses = self._settings, []
        teacher = teacher_temperature(
            self._steps, s.teacher_first, s.teacher_last, s.teacher_warmup
        )
        self._steps += 1
        for number, head in enumerate(self._heads):
            seed, at = divmod(number, len(self._weights))
            x = self._read(drawn.images[seed])
            cosine = (x @ functional.normalize(head, dim=1).T)[None, None]
            label, entropy = (
                torch.from_numpy(drawn.label[seed])[None],
                torch.tensor([self._weights[at]]),
            )
            weights = Weights(s.supervised, s.temperature)
            losses.append(simgcd_loss(cosine, label, teacher, entropy, weights)[0])
        return _learn(self._sgd, losses, lr)


class Pim:
    """A head a seed, each on all images at once."""

    def __init__(
        self,
        x: np.ndarray,
        scale: Scale,
        state: State,
        label: np.ndarray,
        weight: float,
        settings: PimSettings,
    ) -> None:
        self._x, self._length = torch.from_numpy(x), float(scale.deviation[0])
        self._settings, self._weight = settings, weight
        self._known = torch.from_numpy(np.flatnonzero(label >= 0))
        self._free, self._label = (
            torch.from_numpy(np.flatnonzero(label < 0)),
            torch.from_numpy(label),
        )
        self._heads = [w.clone().requires_grad_() for w in state["head/weight"].detach()]
        self._adam = torch.optim.Adam(self._heads, weight_decay=settings.weight_decay)

    def step(self, lr: float) -> torch.Tensor:
        losses = []
        for head in self._heads:
            logits = self._settings.logit_scale * (self._x / self._length) @ head.T
            log_p = logits.log_softmax(1)
            p = log_p.exp()
            unsure, share = -(p * log_p)[self._free].sum(1).mean(), p.mean(0)
            wrong = functional.nll_loss(log_p[self._known], self._label[self._known])
            losses.append(self._weight * unsure + (share * share.log()).sum() + wrong)
        return _learn(self._adam, losses, lr)
