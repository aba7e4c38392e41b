"""SelEx: each image apart, but softly from those far off; and classes that grow coarser by level.

After Rastegar, Salehi, Asano, Doughty and Snoek (ECCV 2024, arXiv:2408.14371) and what is known of
their code. Before each epoch ("Hierarchical semi-supervised k-means") all images are clustered by
the features f of length 1: level 0 is balanced semi-supervised k-means with k clusters, those above
are of cluster.objectives.selex_hierarchy. In each step, with half of its images labelled,

    L = (1 - lambda) L_u + lambda L_s / 2, lambda = .35

with L_u and L_s of expertise.py and the targets of confusion.py. A labelled image is of its own
class at level 0, and of that class's group above.
But: the features that are clustered are of the centre view, there of an augmented one; and where
the published code differs from its paper, ours is the paper. `faithful` has the code's arithmetic:

- upper levels list the images of known classes first and are read in the order of the loader, which
  has labelled images first: unlabelled ones have each other's classes;
- f has the length that the backbone gives it in conf, while radii are of features of length 1;
- radii are those of the first look for ever;
- conf is divided by column (confusion.py).

Even so the centre view is clustered.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.heads.model import Linear
from cluster.kmeans.assign import assign
from cluster.kmeans.balanced import even_size
from cluster.kmeans.semi_supervised import require_label, sskmeans
from cluster.objectives import Drawn, Loss, Outputs
from cluster.objectives.contrastive import by_image
from cluster.objectives.projector import Projector
from cluster.objectives.selex_hierarchy import Level, hierarchy
from cluster.objectives.selex_loss import supervised, unsupervised
from cluster.objectives.selex_targets import confusion, radii, soft_targets
from cluster.objectives.twice import half_labelled
from cluster.vectors.rows import Basis, Reduced, Rows

PASSES = 10  # of k-means after the balanced ones, from one start, as published
TOL = 1e-4  # as sskmeans has it


class Levels(NamedTuple):
    """What is known from looking. label: int32 [level, image], the cluster at each level; size:
    int64 [level], its clusters. One level's after the other: centroids, float32 [cluster, dim];
    radius: float32 [cluster]."""

    label: np.ndarray
    size: np.ndarray
    centroids: np.ndarray
    radius: np.ndarray


@final
class Selex:
    """A cluster.objectives.Objective; its outputs are z [slot, image, width], of
    length 1, and f [slot, image, dim], which has no gradient."""

    slots: tuple[str, ...] = ("view", "view")
    looks = True
    unit = True

    def __init__(
        self,
        label: np.ndarray,
        dim: int,
        k: int,
        *,
        supervised: float,
        smoothing: float,
        temperature: float,
        label_temperature: float,
        hidden: int,
        bottleneck: int,
        width: int,
        balanced: bool,
        faithful: bool,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image of train], the known class 0.. or -1; k: known classes and new ones.

        supervised: lambda, the share of the labels; smoothing: s of the soft targets; temperature:
        of L_u, label_temperature: of L_s; hidden, bottleneck, width: of the Projector;
        balanced: whether clusters are of equal size at first; batch: images of a step. Raises
        ClusterError when k, the labels and the number of images do not go together, or the
        projector is too narrow for the levels.
        """
        self._old = require_label(label, len(label), k)
        levels, out = self._old.bit_length(), width or bottleneck
        if out >> levels == 0:
            raise ClusterError(
                f"the projector's width is {out}, which the levels of {self._old} known classes "
                f"halve {levels} times: choose it from {2**levels} on"
            )
        self.heads: torch.nn.Module = Projector(
            dim, hidden=hidden, bottleneck=bottleneck, width=width, seed=seed
        ).to(device)
        self._label, self._k, self._balanced, self._faithful = label, k, balanced, faithful
        self._supervised, self._smoothing = supervised, smoothing
        self._temperature, self._label_temperature = temperature, label_temperature
        self._stream, self._seed, self._device = HalfLabelled([label], batch, [seed]), seed, device
        self._levels: Levels | None = None

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of which are labelled."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """features: float32 [slot, image, dim]; f is of length 1 unless it is `faithful`."""
        f = features.detach().float()
        f = f if self._faithful else torch.nn.functional.normalize(f, dim=2)
        return self.heads(features), f

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """Of all images of a step, after a look."""
        z, f = outputs
        assert self._levels is not None, "images are looked at before the first epoch"
        own, radius = self._of(self._levels, drawn.image[0])
        conf = confusion(f.flatten(0, 1), radius.repeat(1, len(z)))
        positive = by_image(z.shape[0], z.shape[1], z.device).positive
        target = soft_targets(conf, positive, self._smoothing, by_row=not self._faithful)
        alone = unsupervised(z, target, self._temperature)
        label = torch.from_numpy(drawn.label).to(z.device)
        shared = supervised(z, label, own, self._label_temperature)
        total = (1 - self._supervised) * alone + self._supervised * shared / 2
        return Loss(total, {"unsupervised": alone, "supervised": shared})

    def look(self, rows: Rows, epoch: int) -> None:
        """Cluster all images anew, by features of any length; seeded by the epoch's number."""
        unit = Reduced(rows, Basis(np.zeros(0), np.zeros(0), np.zeros(0), True, False), 0)
        found = levels_of(
            unit, self._label, self._k,
            seed=int(np.random.default_rng([self._seed, epoch]).integers(2**31)),
            balanced=self._balanced, device=self._device,
        )  # fmt: skip
        if self._faithful:
            finest, upper = found.label[:1], found.label[1:]
            upper = as_read(upper, finest[0] < self._old, self._label)
            found = found._replace(label=np.concatenate([finest, upper]))
            if self._levels is not None and np.array_equal(self._levels.size, found.size):
                found = found._replace(radius=self._levels.radius)
        self._levels = found

    def memory(self) -> Mapping[str, np.ndarray]:
        """The arrays of Levels by name; nothing before the first look."""
        return {} if self._levels is None else self._levels._asdict()

    def remember(self, memory: Mapping[str, np.ndarray]) -> None:
        self._levels = Levels(**memory) if memory else None

    def learned(self) -> dict[str, Linear]:
        """None: clusters are found by semi-supervised k-means."""
        return {}

    def _of(self, levels: Levels, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The cluster of some images at each level, int64 [level, image], and its radius."""
        own = levels.label[:, image].astype(np.int64)
        before = np.cumsum(levels.size) - levels.size
        radius = levels.radius[own + before[:, None]]
        return torch.from_numpy(own).to(self._device), torch.from_numpy(radius).to(self._device)


def levels_of(
    rows: Rows, label: np.ndarray, k: int, *, seed: int, balanced: bool, device: str
) -> Levels:
    """Level 0 and those above it, of `rows` of length 1; label: int64 [image], class or -1. There
    is level 0 alone when fewer than 2 classes are known, or every image is in one of them."""
    old = int(label.max()) + 1
    common: dict[str, Any] = {"n_init": 1, "max_iter": PASSES, "tol": TOL, "device": device}
    size = even_size(len(rows), k) if balanced else None
    fit = sskmeans(rows, label, k, seeds=[seed], cluster_size=size, **common)
    own = assign(rows, fit.centroids, label=label, device=device).assignment[0]
    upper = list[Level]()
    if (own >= old).any():
        upper = hierarchy(rows, own, fit.centroids[0], old, seed=seed, balance=balanced, **common)
    centroids = [fit.centroids[0], *(level.centroids for level in upper)]
    return Levels(
        np.stack([own, *(level.assignment for level in upper)]),
        np.array([len(each) for each in centroids]),
        np.concatenate(centroids),
        np.concatenate([radii(each, device) for each in centroids]),
    )


def as_read(levels: np.ndarray, known: np.ndarray, label: np.ndarray) -> np.ndarray:
    """What the published code takes for the `levels` (int32 [level, image]): listed with the images
    in known clusters (`known`, bool [image]) first, read with labelled images first."""
    loader = np.argsort(label < 0, kind="stable")
    listed = loader[np.argsort(~known[loader], kind="stable")]
    read = np.empty_like(levels)
    read[:, loader] = levels[:, listed]
    return read
