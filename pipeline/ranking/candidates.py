"""The kind `candidates`: all clusterings of a cell, and the neighbours that they are judged by.

Cells are compared by what this file holds: the images of train that the backbone could read, the
cluster of each in every run, setting and seed. Only runs that were fitted on the dataset itself are
candidates, and none that knows classes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import store
from pipeline.io.absent import Absent, read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.clusters import require_runs
from pipeline.params import StageError
from pipeline.ranking.settings import RankSettings
from pipeline.ranking.silhouette import is_as_stored, sampled_silhouettes

FOLDER = Path("candidates")


class Candidate(NamedTuple):
    """One clustering: its setting of a run, and one of the seeds; silhouette: nan where there is
    none; part: where the file has it, (number of the setting, position of the seed)."""

    backbone: str
    run: str
    setting: int
    k: int
    dims: int
    seed: int
    silhouette: float
    part: tuple[int, int]


def place_of(cell: Cell) -> Path:
    return store.place("candidates", dataset=cell.dataset, backbone=cell.backbone)


def save_candidates(cell: Cell, settings: RankSettings) -> int:
    """Write the file of a cell; how many clusterings it holds. Raises Absent where none is a
    candidate, StageError where files are of other images."""
    found, table = store.Features(cell.features), _lists(cell, settings.neighbors)
    row, neighbor = table
    arrays: dict[str, np.ndarray] = {"row": row, "neighbor": neighbor}
    facts: list[tuple[str, int, int, int]] = []
    lazy: dict[str, tuple[Path, str, np.ndarray]] = {}
    paths = require_runs(cell.file("clusters"))
    unit = not any(is_as_stored(path) for path in paths)
    for path in paths:
        with store.read(path, "clusters") as file:
            here = np.flatnonzero(file["split"] == file.attrs["splits"].index("train"))
            if file.attrs["fitted_on"] != cell.dataset or not len(here):
                continue
            if not np.array_equal(file["row"][here], row):
                raise StageError(f"{path} is not of the images of {cell.neighbors}: run dvc repro")
            width = sampled_silhouettes(
                file, found, found.places(file["row"]), here, settings.silhouette_images,
                settings.seed, unit,
            )  # fmt: skip
            seeds = np.array(file.attrs["seeds"], np.int64)
            for setting, (k, dims) in enumerate(zip(file["k"], file["dims"], strict=True)):
                number = len(facts)
                facts.append((path.stem, setting, int(k), int(dims)))
                arrays[f"{number}/seed"] = seeds
                arrays[f"{number}/silhouette"] = width[setting]
                lazy[f"{number}/assignment"] = path, f"{setting}/assignment", here
    if not facts:
        raise Absent("no run was fitted on train of the dataset itself")
    runs, *columns = zip(*facts, strict=True)
    arrays["run"] = np.array(runs, object)
    numbers = dict(zip(("setting", "k", "dims"), columns, strict=True))
    arrays |= {name: np.array(own, np.int32) for name, own in numbers.items()}
    of = {"dataset": cell.dataset, "backbone": cell.backbone}
    store.save(place_of(cell), "candidates", _Clusters(arrays, lazy), of)
    return sum(len(arrays[f"{number}/seed"]) for number in range(len(facts)))


class _Clusters(Mapping[str, np.ndarray]):
    """Arrays, of which those of the clusters are read when they are asked for: a setting at once
    lies in memory beside the file."""

    def __init__(
        self, arrays: dict[str, np.ndarray], lazy: dict[str, tuple[Path, str, np.ndarray]]
    ) -> None:
        self._arrays, self._lazy = arrays, lazy

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._arrays:
            return self._arrays[name]
        path, inside, here = self._lazy[name]
        with store.read(path, "clusters") as file:
            return file[inside][:, here]

    def __iter__(self) -> Iterator[str]:
        yield from self._arrays
        yield from self._lazy

    def __len__(self) -> int:
        return len(self._arrays) + len(self._lazy)


def _lists(cell: Cell, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of train (int64 [image]), and their nearest as positions among these (int32 [image,
    neighbor])."""
    with store.read(cell.neighbors, "neighbors") as file:
        train = file["split"] == file.attrs["splits"].index("train")
        row, near = file["row"][train], file["neighbor"][train, :neighbors]
    if near.shape[1] < min(neighbors, len(row) - 1):
        raise StageError(
            f"rank.neighbors is {neighbors}, {cell.neighbors} has {near.shape[1]}: set neighbors.k "
            f"to {neighbors}"
        )
    at = np.searchsorted(row, near)
    if len(row) and (row[np.minimum(at, len(row) - 1)] != near).any():
        raise StageError(f"{cell.neighbors} has neighbours outside of train: run dvc repro")
    return row, at.astype(np.int32)


class Candidates(NamedTuple):
    """row: int64 [image], in the index; every: all candidates of the file, setting by setting."""

    path: Path
    row: np.ndarray
    every: list[Candidate]

    def neighbor(self) -> np.ndarray:
        """int32 [image, neighbor], positions among the images."""
        with store.read(self.path, "candidates") as file:
            return file["neighbor"]

    def assignments(self) -> Iterator[tuple[Candidate, np.ndarray]]:
        """Each candidate with its clusters, int32 [image]."""
        with store.read(self.path, "candidates") as file:
            number, own = -1, np.empty((0, 0), np.int32)
            for candidate in self.every:
                if candidate.part[0] != number:
                    number = candidate.part[0]
                    own = file[f"{number}/assignment"]
                yield candidate, own[candidate.part[1]]


def read_candidates(path: Path) -> Candidates:
    """The candidates of a cell. Raises Absent where it has none."""
    if (why := read_h5_mark(path)) is not None:
        raise Absent(why)
    with store.read(path, "candidates") as file:
        columns: dict[str, Any] = {name: file[name] for name in ("run", "setting", "k", "dims")}
        every = []
        for number, run in enumerate(columns["run"]):
            setting, k, dims = (int(columns[name][number]) for name in ("setting", "k", "dims"))
            each = zip(file[f"{number}/seed"], file[f"{number}/silhouette"], strict=True)
            every += [
                Candidate(
                    file.attrs["backbone"], str(run), setting, k, dims, int(seed), float(width),
                    (number, at),
                )
                for at, (seed, width) in enumerate(each)
            ]  # fmt: skip
        return Candidates(path, file["row"], every)
