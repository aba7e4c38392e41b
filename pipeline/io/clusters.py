"""The kind `clusters`: one form for every method, so that every later stage reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

import store
from cluster.vectors.rows import Basis

# How other images are assigned; several heads at once: they cannot be
How = Literal["centroids", "linear", "mlp", "neighbors", "together"]


def run_files(folder: Path) -> list[Path]:
    """All runs of a dataset and backbone, and those of heads that were learned with it."""
    return sorted(folder.glob("*.h5")) + sorted(folder.glob("learned/*.h5"))


def read_basis(file: store.File) -> Basis:
    """The projection that a file of kind pca or clusters holds."""
    mean, components, variance = (file[name] for name in ("mean", "components", "variance"))
    return Basis(mean, components, variance, file.attrs["normalize"], file.attrs["whiten"])


def seed_of_lowest_loss(file: store.File, setting: int) -> int:
    """The position of that seed in a file of kind clusters."""
    return int(file[f"{setting}/loss"].argmin())


def save_clusters(
    path: Path,
    found: store.Features,
    basis: Basis,
    settings: Sequence[tuple[int, int]],
    fits: Sequence[Mapping[str, np.ndarray]],
    *,
    how: How,
    seeds: Sequence[int],
    metric: str = "euclidean",
    fitted_on: str = "",
    old: Sequence[str] = (),
) -> None:
    """Clusters of all images of the store `found`: of each setting (k, dims) what was fitted.

    `fits`: arrays by their names in store.kinds, without the number of the setting. `old`: of
    category discovery the known classes, which the first clusters are.
    """
    components = max((dims for _, dims in settings), default=0)
    out: dict[str, np.ndarray] = {
        "row": found.row,
        "split": found.split,
        "k": np.array([k for k, _ in settings], np.int32),
        "dims": np.array([dims for _, dims in settings], np.int32),
        "mean": basis.mean,
        "components": basis.components[:components],
        "variance": basis.variance[:components],
    }
    for setting, fit in enumerate(fits):
        out |= {f"{setting}/{name}": array for name, array in fit.items()}
    attrs: dict[str, str | bool | list[int] | list[str]] = {
        "dataset": found.dataset,
        "backbone": found.backbone,
        "run": path.stem,
        "fitted_on": fitted_on or found.dataset,
        "how": how,
        "metric": metric,
        "normalize": basis.normalize,
        "whiten": basis.whiten,
        "seeds": list(seeds),
        "splits": found.splits,
        **({"old": list(old)} if old else {}),
    }
    store.save(path, "clusters", out, attrs)
