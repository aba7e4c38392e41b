"""The inputs of a run of `adapt`: the features of its base backbone, and its supervision.

The store of features lists the images to learn from and, by the digest of its encoder, the initial
weights, so that the stage runs again when either changes.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import backbones
import store
from cluster.heads.model import Linear
from cluster.vectors.rms_scale import rms_scale
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale, identity_scale
from pipeline.adapting.settings import KNOWN, NEIGHBORS
from pipeline.adapting.tokens import Collection
from pipeline.fitting.feasible_k import limits_of_k
from pipeline.io.absent import reason
from pipeline.io.cell import Cell
from pipeline.io.collection import open_collection
from pipeline.io.known import Known, read_known
from pipeline.io.learned import Learned, read_learned
from pipeline.io.neighbors import neighbors_in_train
from pipeline.io.origin import Imported, base_name, read_origin
from pipeline.io.space import Space, number_of_clusters, plain_space
from pipeline.params import StageError


class Inputs(NamedTuple):
    """base: the argument of `backbones.row`. Of the images of train: collection; known: without
    classes if none is known; neighbor: int32 [image, neighbor]. learned: the heads of the base, if
    it has any; k: the number of clusters, 0 if the run has no such setting; scale: of the features,
    the identity unless the run centres them."""

    base: str
    collection: Collection
    known: Known
    neighbor: np.ndarray
    learned: Learned | None
    k: int
    scale: Scale

    def heads(self) -> dict[str, Linear]:
        """The heads by which the base assigns images to clusters."""
        return self.learned.heads if self.learned else {}


def read_inputs(run: Any, wanted: str) -> Inputs:
    """Read and check all inputs; `wanted`: the place of the run in params.yaml."""
    cell = Cell(run.dataset, run.backbone)
    if why := reason(cell):
        raise StageError(f"{wanted}: {run.dataset} by {run.backbone} is absent: {why}")
    found = open_collection(cell.features, cell.images).features
    base, path = _base(run, wanted, found), cell.file(run.learns_from)
    space = plain_space(found, normalize=False)
    n = len(space.train)
    known, neighbor = Known(np.full(n, -1), []), np.zeros((n, 0), np.int32)
    if not path.exists():
        where = f"{path}, which is not there{_how(run)}"
        raise StageError(f"{wanted}: {run.objective} learns from {where}")
    if run.learns_from == KNOWN:
        known = read_known(cell.known, space)
    if run.learns_from == NEIGHBORS:
        neighbor = neighbors_in_train(cell.neighbors, space, run.neighbors)
    with store.read(cell.images, "index") as file:
        names, n_classes = file.text("name"), file.attrs["n_classes"]
    plan = store.Plan(
        found.dataset, found.backbone, found.encoder, found.dim, found.splits,
        found.id[space.train], found.row[space.train], found.split[space.train],
    )  # fmt: skip
    return Inputs(
        base,
        Collection(names, plan),
        known,
        neighbor,
        _learned(store.place("learned", backbone=run.backbone), found),
        _k(run, n_classes, space, known),
        _scale(space.fitted(0, 0)) if run.center else identity_scale(found.dim),
    )


def _k(run: Any, n_classes: int, space: Space, known: Known) -> int:
    if not hasattr(run, "k"):
        return 0
    k = number_of_clusters(run.k, n_classes, space.found.dataset)
    limits = limits_of_k(space.found, space.train, k, known if known.old else None)
    if why := limits.refusal(k):
        raise StageError(why)
    return k


def _base(run: Any, wanted: str, found: store.Features) -> str:
    """The base as `backbones.row` wants it; refuses features of another one."""
    if isinstance(read_origin(run.backbone), Imported):
        raise StageError(f"{wanted}: {run.backbone} was imported, and has no network to train")
    base = base_name(run.backbone)
    if (found.dataset, found.backbone) != (run.dataset, run.backbone):
        raise StageError(
            f"{wanted} is of {run.dataset} and {run.backbone}, {found.path} of {found.dataset} and "
            f"{found.backbone}"
        )
    if backbones.row(base).sizes:
        raise StageError(
            f"{wanted}: {run.backbone} is a mean of several sizes, and a network learns at one: "
            "write size in place of sizes"
        )
    if backbones.row(base).digest != found.encoder:
        raise StageError(
            f"{found.path} was made by another version of {run.backbone} than there is now: run "
            "`dvc repro`"
        )
    return base


def _learned(path: Path, found: store.Features) -> Learned | None:
    """The heads of the base; refuses those of another version of it."""
    learned = read_learned(path) if path.exists() else None
    if learned and learned.encoder != found.encoder:
        raise StageError(f"{path} was not learned with the backbone beside it: run `dvc repro`")
    return learned


def _scale(rows: Rows) -> Scale:
    """Centre features and scale dims to a mean square of 1, as after a layer norm. With smaller
    features, a projector with small initial weights maps all images to nearly one point, and
    training does not leave it."""
    scale = rms_scale(rows, center=True)
    return Scale(scale.mean, scale.deviation / np.float32(rows.dim**0.5))


def _how(run: Any) -> str:
    if run.learns_from == NEIGHBORS:
        return ": run `dvc repro neighbors`"
    return f": say under known: of which images of {run.dataset} the class is known"
