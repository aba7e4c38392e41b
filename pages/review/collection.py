"""One clustering with all that the page shows beside it: names of files, vectors, neighbours."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import store
from cluster.neighbors.table import Neighbors
from images import Raw, open_images
from pages.report.chosen.away import away
from pages.review.asked import Asked, runs_of
from pages.review.near import read_near
from pipeline.indexing.vectors import is_vectors
from pipeline.io.absent import Absent, read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.clusters import seed_of_lowest_loss
from pipeline.naming.proposals import place, read_proposals
from pipeline.params import StageError, read_params
from pipeline.review.by_row import ByRow
from pipeline.review.clustering import Clustering, read_clustering

ALIKE = 1.5  # times as many clusters
Opener = Callable[[str], Raw]


class Collection(NamedTuple):
    """found: the store, an image a row as in the clustering; name: [image], of the files;
    untypical: float32 [image], 0 (most typical) to 1 within the own cluster; by_typical: int32
    [image], the rows by it; by_row: what turns decisions into labels; near: the nearest
    neighbours as rows, None without stage neighbors; others: clusters of another run with about as
    many, int [image], if there is one; words: of each cluster, most probable first;
    notes: what is missing, a line each."""

    asked: Asked
    clustering: Clustering
    found: store.Features
    name: store.Text
    split: np.ndarray
    untypical: np.ndarray
    by_typical: np.ndarray
    by_row: ByRow
    near: Neighbors | None
    others: list[np.ndarray]
    words: list[list[str]]
    notes: list[str]

    @property
    def cell(self) -> Cell:
        return self.asked.cell

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.clustering.row)


def open_collection(asked: Asked) -> Collection:
    """Read it. Raises StageError, StoreError or Absent in a line where something is missing."""
    cell = asked.cell
    if not (cell.features / "features.h5").exists():
        raise StageError(f"{cell.features} is not there: run `dvc repro embed`")
    clustering = read_clustering(cell, asked.folder, asked.setting, asked.seed)
    found = store.Features(cell.features)
    if not np.array_equal(found.row, clustering.row):
        raise StageError(
            f"{clustering.path} is not of the images in {cell.features}: run `dvc repro`"
        )
    with store.read(cell.images, "index") as file:
        name, split = file.text("name").of(clustering.row), file["split"][clustering.row]
        split = np.array(file.attrs["splits"], object)[split]
    notes: list[str] = []
    untypical = _untypical(clustering)
    near = _near(cell, found, notes)
    words = _words(asked, clustering, notes)
    for path, stage in ((cell.map, "map"), (cell.duplicates, "duplicates")):
        _note(path, stage, notes)
    by_typical = np.argsort(untypical, kind="stable").astype(np.int32)
    by_row = ByRow(clustering)
    return Collection(
        asked, clustering, found, name, split, untypical, by_typical, by_row, near,
        _others(asked, clustering), words, notes,
    )  # fmt: skip


def opener(dataset: str) -> tuple[Opener | None, str]:
    """What reads a picture by its name, or None and a line why there are none."""
    datasets = read_params("datasets")
    spec: Any = datasets.get(dataset) if isinstance(datasets, Mapping) else None
    if spec is None:
        return None, f"params.yaml has no dataset {dataset}, so that its pictures are not found"
    if is_vectors(spec):
        return None, f"{dataset} was imported as vectors, without pictures"
    return open_images(spec), ""


def _untypical(of: Clustering) -> np.ndarray:
    """The place of each image in its cluster by distance to the centre or by probability."""
    with store.read(of.path, "clusters") as file:
        untypical = away(file, of.setting)[of.seed]
    order = np.lexsort((untypical, of.assignment))
    size = np.bincount(of.assignment, minlength=of.k)
    first = np.cumsum(size) - size
    own = of.assignment[order]
    out = np.empty(len(order), np.float32)
    out[order] = (np.arange(len(order)) - first[own]) / np.maximum(size[own] - 1, 1)
    return out


def _near(cell: Cell, found: store.Features, notes: list[str]) -> Neighbors | None:
    if _note(cell.neighbors, "neighbors", notes):
        return None
    return read_near(cell.neighbors, found)


def _others(asked: Asked, of: Clustering) -> list[np.ndarray]:
    """Of the first other run that can be compared: doubtful is what methods do not agree on."""
    for key in runs_of(asked.cell.dataset, asked.cell.backbone):
        path = asked.cell.file(f"{key}.h5")
        with store.read(path, "clusters") as file:
            k = int(file["k"][0])
            alike = key != asked.key and max(k, of.k) <= ALIKE * min(k, of.k)
            if alike and np.array_equal(file["row"], of.row):
                return [file["0/assignment"][seed_of_lowest_loss(file, 0)]]
    return []


def _words(asked: Asked, of: Clustering, notes: list[str]) -> list[list[str]]:
    """What stage names proposes, for the first setting of the run; nothing for discovered classes,
    which are none of its."""
    if asked.folder != "clusters":
        return []
    try:
        found = read_proposals(place(asked.cell, asked.cell.run))
    except Absent as absent:
        notes.append(f"no names are proposed: {absent}")
        return []
    except StageError:
        notes.append(
            f"no names are proposed: put {asked.cell.run} under runs.names of params.yaml, then "
            "run `dvc repro names`"
        )
        return []
    with store.read(of.path, "clusters") as file:
        seeds, k = file.attrs["seeds"], int(file["k"][0])
        if found.seed not in seeds or found.k != k:
            notes.append("no names are proposed: those there are belong to other clusters")
            return []
        named = file["0/assignment"][seeds.index(found.seed)]
    words = [[word for word, _ in cluster] for cluster in found.words]
    # Of another seed or setting each cluster has the words of that with most of its images
    common = np.bincount(of.assignment * k + named, minlength=of.k * k).reshape(of.k, k)
    empty = common.sum(axis=1) == 0
    return [[] if empty[c] else words[best] for c, best in enumerate(common.argmax(axis=1))]


def _note(path: Any, stage: str, notes: list[str]) -> bool:
    """Whether a file is missing, and a note of it."""
    if not path.exists():
        on = ": put map under runs.map of params.yaml, then" * (stage == "map")
        notes.append(f"{path} is not there{on or ':'} run `dvc repro {stage}`")
        return True
    if (why := read_h5_mark(path)) is not None:
        notes.append(f"no {stage}: {why}")
        return True
    return False
