"""SelEx: contrastive losses with soft targets and pseudo-labels from a hierarchy of clusters.

After Rastegar, Salehi, Asano, Doughty and Snoek (ECCV 2024, arXiv:2408.14371) and what is known of
their code. Before each epoch ("Hierarchical semi-supervised k-means") all images are clustered by
their features f of length 1: level 0 is balanced semi-supervised k-means with k clusters, the upper
levels are those of cluster.objectives.selex_hierarchy. In each step, half of whose images are
labelled,

    L = (1 - lambda) L_u + lambda L_s / 2, lambda = .35

with L_u and L_s of selex_loss.py and the targets of selex_targets.py. A labelled image belongs to
its own class at level 0, and to the group of that class above.
But: the features that are clustered are those of the centre view, where the original clusters an
augmented view; and where the published code differs from the paper, this follows the paper.
`paper_formula=False` follows the code instead (except for the view that is clustered):

- results of the upper levels list the images of known classes first, but are read in the order of
  the data loader, which has labelled images first, so that unlabelled images get each other's
  classes;
- conf uses f unnormalised, while radii are those of features of length 1;
- radii are computed in the first epoch only;
- conf is divided by column sums (selex_targets.py).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.heads.half_labelled import HalfLabelled
from cluster.kmeans.assign import assign
from cluster.kmeans.balanced import even_size
from cluster.kmeans.semi_supervised import require_label, sskmeans
from cluster.objectives import Drawn, Loss, Objective, Outputs
from cluster.objectives.contrastive import by_image
from cluster.objectives.projector import Projector
from cluster.objectives.same_images_twice import half_labelled
from cluster.objectives.selex_hierarchy import Level, hierarchy
from cluster.objectives.selex_loss import Distances, supervised, unsupervised
from cluster.objectives.selex_targets import radii, smoothing_scores, soft_targets
from cluster.vectors.rows import Basis, Reduced, Rows

PASSES = 10  # of k-means after the balanced passes, with one initialisation, as published
TOL = 1e-4  # as in the settings of sskmeans


class Levels(NamedTuple):
    """The clusters of all levels. label: int32 [level, image], the cluster of each image; size:
    int64 [level], the number of clusters; concatenated over levels: centroids, float32 [cluster,
    dim], and radius, float32 [cluster]."""

    label: np.ndarray
    size: np.ndarray
    centroids: np.ndarray
    radius: np.ndarray


@final
class Selex(Objective):
    """SelEx's objective; no head assigns images to clusters."""

    needs_features = True
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
        paper_formula: bool,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        """label: int64 [image of train], the known class or -1; k: known and new classes together.

        supervised: lambda, the weight of the supervised loss; smoothing: s of the soft targets;
        temperature: of L_u; label_temperature: of L_s; hidden, bottleneck, width: of the Projector;
        balanced: whether the passes of k-means that balance cluster sizes come first; batch: images
        of a step. Raises ClusterError when k, the labels and the number of images do not match, or
        the projector is too narrow for the levels.
        """
        self._old = require_label(label, len(label), k)
        levels, out = self._old.bit_length(), width or bottleneck
        if out >> levels == 0:
            raise ClusterError(
                f"the projector's width is {out}, and the levels of {self._old} known classes "
                f"halve it {levels} times: set it to {2**levels} or more"
            )
        self.heads: torch.nn.Module = Projector(
            dim, hidden=hidden, bottleneck=bottleneck, width=width, seed=seed
        ).to(device)
        self._label, self._k, self._balanced = label, k, balanced
        self._paper_formula = paper_formula
        self._supervised, self._smoothing = supervised, smoothing
        self._temperature, self._label_temperature = temperature, label_temperature
        self._stream, self._seed, self._device = HalfLabelled([label], batch, [seed]), seed, device
        self._levels: Levels | None = None

    def draw(self, step: int) -> Drawn:
        """Both slots show the same images, half of them labelled."""
        return half_labelled(self._stream, step)

    def outputs(self, features: torch.Tensor) -> Outputs:
        """z: float32 [slot, image, width], of length 1; f: float32 [slot, image, dim], the features
        without gradient, of length 1 if `paper_formula`."""
        f = features.detach().float()
        f = torch.nn.functional.normalize(f, dim=2) if self._paper_formula else f
        return self.heads(features), f

    def loss(self, outputs: Outputs, drawn: Drawn, epoch: float) -> Loss:
        """(1 - lambda) L_u + lambda L_s / 2; needs `before_epoch` to have been called."""
        z, f = outputs
        return self.contrast(z, f, drawn)

    def contrast(
        self, z: torch.Tensor, f: torch.Tensor, drawn: Drawn, distances: Distances | None = None
    ) -> Loss:
        """The loss of vectors z, compared by `distances`; f: see outputs."""
        assert self._levels is not None, "before_epoch was not called"
        own, radius = self._of(self._levels, drawn.image[0])
        conf = smoothing_scores(f.flatten(0, 1), radius.repeat(1, len(z)))
        positive = by_image(z.shape[0], z.shape[1], z.device).positive
        target = soft_targets(conf, positive, self._smoothing, by_row=self._paper_formula)
        instance = unsupervised(z, target, self._temperature, distances)
        label = torch.from_numpy(drawn.label).to(z.device)
        by_class = supervised(z, label, own, self._label_temperature, distances)
        total = (1 - self._supervised) * instance + self._supervised * by_class / 2
        return Loss(total, {"unsupervised": instance, "supervised": by_class})

    def before_epoch(self, rows: Rows, epoch: int) -> None:
        """Cluster all images again, by features of any length; seeded with the number of the
        epoch."""
        unit = Reduced(rows, Basis(np.zeros(0), np.zeros(0), np.zeros(0), True, False), 0)
        found = levels_of(
            unit, self._label, self._k,
            seed=int(np.random.default_rng([self._seed, epoch]).integers(2**31)),
            balanced=self._balanced, device=self._device,
        )  # fmt: skip
        if not self._paper_formula:
            finest, upper = found.label[:1], found.label[1:]
            upper = in_published_order(upper, finest[0] < self._old, self._label)
            found = found._replace(label=np.concatenate([finest, upper]))
            if self._levels is not None and np.array_equal(self._levels.size, found.size):
                found = found._replace(radius=self._levels.radius)
        self._levels = found

    def state_dict(self) -> Mapping[str, np.ndarray]:
        """The arrays of Levels by name; empty before the first epoch."""
        return {} if self._levels is None else self._levels._asdict()

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Load what `state_dict` returned."""
        self._levels = Levels(**state) if state else None

    def _of(self, levels: Levels, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The clusters of some images at each level, int64 [level, image], and their radii."""
        own = levels.label[:, image].astype(np.int64)
        before = np.cumsum(levels.size) - levels.size
        radius = levels.radius[own + before[:, None]]
        return torch.from_numpy(own).to(self._device), torch.from_numpy(radius).to(self._device)


def levels_of(
    rows: Rows, label: np.ndarray, k: int, *, seed: int, balanced: bool, device: str
) -> Levels:
    """Level 0 and the levels above it, of `rows` of length 1; label: int64 [image], class or -1.
    Level 0 is the only one when fewer than 2 classes are known, or every image is in a known
    class."""
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


def in_published_order(levels: np.ndarray, known: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`levels` (int32 [level, image]) as the published code misreads them: listed with images in
    known clusters (`known`, bool [image]) first, read with labelled images (`label` >= 0) first."""
    loader = np.argsort(label < 0, kind="stable")
    listed = loader[np.argsort(~known[loader], kind="stable")]
    read = np.empty_like(levels)
    read[:, loader] = levels[:, listed]
    return read
