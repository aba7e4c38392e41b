"""The kind `clusters`: one form for every method, so that every later stage reads it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

import store
from cluster.vectors.rows import Basis
from pipeline.io.absent import Absent, read_h5_mark
from pipeline.params import StageError

# How other images are assigned; several heads at once: they cannot be
How = Literal["centroids", "linear", "mlp", "neighbors", "together"]


def run_files(folder: Path) -> list[Path]:
    """All runs of a dataset and backbone, and those of heads that were learned with it; without
    absent ones."""
    return [path for path in _every_run(folder) if read_h5_mark(path) is None]


def require_runs(folder: Path) -> list[Path]:
    """As run_files. Raises Absent where all runs are absent, StageError where none is there."""
    if found := run_files(folder):
        return found
    if every := _every_run(folder):
        raise Absent(f"no run has clusters: {read_h5_mark(every[0])}")
    raise StageError(f"{folder}: no file *.h5; no stage that clusters has run (dvc repro)")


def _every_run(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.h5")) + sorted(folder.glob("learned/*.h5"))


@contextmanager
def read_clusters(path: Path) -> Iterator[store.File]:
    """Open the clusters of a run. Raises Absent where the run is."""
    if (why := read_h5_mark(path)) is not None:
        raise Absent(why)
    with store.read(path, "clusters") as file:
        yield file


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
    category discovery the known classes, which the first clusters are. Empty clusters are told.
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
    for (k, dims), fit in zip(settings, fits, strict=True):
        _say_empty(f"{path.stem} k={k}" + f" dims={dims}" * bool(dims), k, fit["assignment"], seeds)


def _say_empty(name: str, k: int, assignment: np.ndarray, seeds: Sequence[int]) -> None:
    """Print a line where clusters have no image; assignment: int32 [seed, image]."""
    empty = [int((np.bincount(own, minlength=k) == 0).sum()) for own in assignment]
    said = [f"{n} (seed {seed})" for n, seed in zip(empty, seeds, strict=True) if n]
    if said:
        print(f"{name}: clusters without an image: {', '.join(said)}")
