"""Linear probe: logistic regression on frozen features with labels, an upper bound for clusters.

Multinomial logistic regression on standardised features (mean cross-entropy + penalty/2 |weight|²)
by L-BFGS (Liu and Nocedal 1989) with a strong Wolfe line search, on all images at once; equal to
scikit-learn's LogisticRegression with C = 1/(penalty x images). The penalty is selected by the
accuracy on held-out images. After the linear probe of Kornblith et al. (2019). But: penalties are
fitted from the largest to the smallest, each starting from the previous solution; features are read
a tile at a time, so that any number of images fits in memory.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

import cluster.heads.optimizer_state  # noqa: F401  (optimisers without torch's compiler)
from cluster.errors import ClusterError
from cluster.heads.model import Linear, predict
from cluster.probes.logistic_loss import Layer, cross_entropy
from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import Rows, Subset
from cluster.vectors.standardize import fit_scale, fold_scale
from cluster.vectors.tiles import tiles

GRADIENT, CHANGE = 1e-5, 1e-10  # tolerances: a fit ends when the gradient or step is smaller
HISTORY = 10  # previous steps that L-BFGS uses

Tiles = Callable[[], Iterable[tuple[slice, torch.Tensor]]]


class LinearProbe(NamedTuple):
    """head: of one seed, for unscaled vectors; classes: int32 [output], the class of each output
    (only classes that occur have one); penalty: the selected one."""

    head: Linear
    classes: np.ndarray
    penalty: float


def linear_probe(
    rows: Rows,
    label: np.ndarray,
    *,
    penalties: Sequence[float],
    validation: float,
    seed: int,
    max_iter: int,
    stored: str = "float32",
    device: str = "cpu",
) -> LinearProbe:
    """Fit `rows` ([image, dim]) with `label` (int [image], none below 0), in two steps. A dim that
    varies no more than rounding to the dtype `stored` makes is not scaled (see `fit_scale`).

    A random share `validation` of the images selects the best of `penalties` (ties: the largest);
    then all images are fitted with that. Raises ClusterError when there are fewer than two images,
    or a label is below 0.
    """
    order = sorted(set(penalties), reverse=True)
    best = order[0]
    if len(order) > 1:
        held = held_out(label, validation, seed)
        fitted, rest = (np.flatnonzero(part) for part in (~held, held))
        probes = _path(Subset(rows, fitted), label[fitted], order, max_iter, stored, device)
        scores = [accuracy(Subset(rows, rest), label[rest], probe, device) for probe in probes]
        best = order[int(np.argmax(scores))]
    path = order[: order.index(best) + 1]
    return _path(rows, label, path, max_iter, stored, device)[-1]


def accuracy(rows: Rows, label: np.ndarray, probe: LinearProbe, device: str = "cpu") -> float:
    """The share of `rows` ([image, dim]) whose class by the probe is `label` (int [image])."""
    found = predict(rows, probe.head, device=device).assignment[0]
    return float((probe.classes[found] == label).mean())


def held_out(label: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A stratified random sample with about `share` of every class: bool [image].

    Systematic sampling: images are sorted by class, shuffled within each, and every 1/share-th is
    taken; at least one image, and never all. Raises ClusterError when there are fewer than two.
    """
    images = len(label)
    if images < 2:
        raise ClusterError(f"found {images} images with a label, expected 2 or more to split")
    generator = np.random.default_rng(seed)
    order = np.lexsort([generator.random(images), label])
    marks = np.floor(np.arange(images + 1) * share + generator.random())
    taken = np.diff(marks) > 0
    if not taken.any() or taken.all():
        taken[generator.integers(images)] ^= True
    out = np.zeros(images, bool)
    out[order] = taken
    return out


def _path(
    rows: Rows,
    label: np.ndarray,
    penalties: Sequence[float],
    max_iter: int,
    stored: str,
    device: str,
) -> list[LinearProbe]:
    """A fit for each penalty, from the largest to the smallest."""
    if label.min(initial=0) < 0:
        raise ClusterError("a label is below 0: leave out the images without a label")
    classes, output = np.unique(label, return_inverse=True)
    scale = fit_scale(rows, stored)
    target = torch.from_numpy(output.reshape(-1)).to(device)
    data = _passes(rows, device)
    zeros = torch.zeros(len(classes), rows.dim), torch.zeros(len(classes))
    layer = Layer(*(each.to(device) for each in (*map(torch.from_numpy, scale), *zeros)))
    out = []
    for penalty in penalties:
        layer = _minimum(data, target, layer, penalty, max_iter)
        plain = fold_scale(layer.weight[None].double(), layer.bias[None].double(), scale)
        head = Linear(*(each.float().cpu().numpy() for each in plain))
        out.append(LinearProbe(head, classes.astype(np.int32), penalty))
    return out


def _passes(rows: Rows, device: str) -> Tiles:
    """A function that iterates over the tiles; they stay on the GPU if they fit in half of it."""
    if fits_on_gpu(len(rows) * rows.dim, device):
        kept = list(tiles(rows, device))
        return lambda: kept
    return lambda: tiles(rows, device)


def _minimum(
    data: Tiles, target: torch.Tensor, start: Layer, penalty: float, max_iter: int
) -> Layer:
    """The weights that minimise the loss; steps are in float64, matrix products in float32."""
    initial = torch.cat([start.weight, start.bias[:, None]], 1).double()
    weights = initial.requires_grad_()
    solver = torch.optim.LBFGS(
        [weights], max_iter=max_iter, max_eval=2 * max_iter, tolerance_grad=GRADIENT,
        tolerance_change=CHANGE, history_size=HISTORY, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def layer() -> Layer:
        now = weights.detach().float()
        return start._replace(weight=now[:, :-1].contiguous(), bias=now[:, -1].contiguous())

    def closure() -> float:
        total, gradient = cross_entropy(data(), target, layer())
        weight = weights.detach()[:, :-1]
        gradient /= len(target)
        gradient[:, :-1] += penalty * weight
        weights.grad = gradient
        return total / len(target) + penalty / 2 * float(weight.square().sum())

    solver.step(closure)
    return layer()
