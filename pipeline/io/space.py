"""What a method clusters: the vectors of a store through a PCA, fitted on the split `train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, StringConstraints

import store
from cluster.vectors.rows import Basis, Reduced, Rows, Subset, cached
from pipeline.io.clusters import read_basis
from pipeline.io.estimate import read_estimate
from pipeline.params import StageError

Count = Annotated[int, Field(ge=1)]
Multiple = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?x$")]  # of the number of classes
K = Annotated[tuple[Count | Multiple | Literal["auto"], ...], Field(min_length=1)]
Dims = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]  # 0: no projection
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class Space(NamedTuple):
    """found: the store; train: its rows of that split, int64 [image]."""

    found: store.Features
    basis: Basis
    train: np.ndarray

    def rows(self, dims: int) -> Rows:
        """All images."""
        return Reduced(self.found, self.basis, dims)

    def fitted(self, dims: int, memory_gb: float) -> Rows:
        """Those of `train`, in RAM if they fit."""
        return cached(Subset(self.rows(dims), self.train), memory_gb)

    def fitted_view(self, view: store.Features, dims: int) -> Rows:
        """Those of `train` in another view of the same images."""
        return Subset(Reduced(view, self.basis, dims), self.train)


def open_space(features: Path, pca: Path) -> Space:
    """The store FEATURES and the projections of PCA."""
    found = store.Features(features)
    with store.read(pca, "pca") as file:
        basis = read_basis(file)
    if len(basis.mean) != found.dim:
        raise StageError(f"{pca} is {len(basis.mean)} wide, {features} {found.dim}: not alike")
    return Space(found, basis, train_rows(found))


def open_rows(features: Path, pca: Path, dims: int) -> Rows:
    """All images of the same."""
    return open_space(features, pca).rows(dims)


def plain_space(found: store.Features, *, normalize: bool) -> Space:
    """The vectors of a store as they are, or at length 1, with no projection."""
    empty = np.zeros((0, found.dim))
    basis = Basis(np.zeros(found.dim), empty, np.zeros(0), normalize, whiten=False)
    return Space(found, basis, train_rows(found))


def train_rows(found: store.Features) -> np.ndarray:
    """The rows of the split `train`, int64 [image]."""
    return np.flatnonzero(found.split == found.splits.index("train"))


def print_space(
    run: str, basis: Basis, settings: Sequence[tuple[int, int]], *more: str
) -> dict[str, str]:
    """Print in which space a run clusters by its `settings` (k, dims), and return that as the fact
    `space` of its metrics. more: what else becomes of the vectors."""
    each = list(dict.fromkeys(dims for _, dims in settings))
    projected = ", ".join(str(dims) for dims in each if dims)
    components = f"{projected} principal components" + ", whitened" * basis.whiten
    spaces = ["no projection"] * (0 in each) + [components] * bool(projected)
    length = "unit length" if basis.normalize else "as they are"
    space = ", ".join([length, " or ".join(spaces), *filter(None, more)])
    print(f"{run}: space: {space}")
    return {"space": space}


def settings(
    k: Sequence[int | str], dims: Sequence[int], index: Path, estimate: Path, space: Space
) -> list[tuple[int, int]]:
    """Every (k, dims) that is asked for, each once; the k of one dims lie side by side.

    INDEX says how many classes are expected, for a k such as 1.5x, and ESTIMATE how many there seem
    to be, for `auto`; no label is read.
    """
    all_k = numbers_of_clusters(k, index, estimate)
    return [
        (k, d) for d in _dims(dims, space.found.dim, len(space.basis.components)) for k in all_k
    ]


def numbers_of_clusters(k: Sequence[int | str], index: Path, estimate: Path) -> list[int]:
    """Every k as a number, each once."""
    with store.read(index, "index") as file:
        n_classes, dataset = file.attrs["n_classes"], file.attrs["dataset"]
    estimated = read_estimate(estimate) if "auto" in k else 0
    return list(
        dict.fromkeys(
            estimated if one == "auto" else number_of_clusters(one, n_classes, dataset) for one in k
        )
    )


def number_of_clusters(k: int | str, n_classes: int, dataset: str) -> int:
    """A k such as 20 or 1.5x as a number. Raises StageError when no number of classes is known."""
    if isinstance(k, int):
        return k
    if not n_classes:
        raise StageError(
            f"k '{k}' is a multiple of the number of classes, and {dataset} has no known number: "
            "write numbers, such as k: [20], or k: [auto], or expect some: "
            f"datasets.{dataset}.classes: 20"
        )
    return max(1, round(float(k[:-1]) * n_classes))


def _dims(wanted: Sequence[int], dim: int, components: int) -> list[int]:
    """The wanted numbers of leading components that there are; all dims would be no reduction."""
    fit = [dims for dims in dict.fromkeys(wanted) if dims < dim and dims <= components]
    if len(fit) < len(set(wanted)):
        most = min(dim - 1, components)
        print(f"the features have {most} leading components; dims beyond are left out")
    return fit or [0]
