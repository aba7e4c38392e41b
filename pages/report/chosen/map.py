"""The kind `map_examples`: what the page shows of the map of a cell, coloured by the clustering of
the cell that ranks highest.

Stage map_examples chooses, so that the report reads neither the map nor the clusters.
"""

from typing import Any, NamedTuple

import numpy as np

import store
from pages.report.chosen.clusters import Chosen, read_chosen, run_file
from pages.report.chosen.dense import dense
from pipeline.io.absent import Absent, read_h5_mark
from pipeline.io.cell import Cell
from pipeline.params import StageError

DIMS = 2  # of a page


class OnMap(NamedTuple):
    """Images of train on the map; `store.kinds` says what the arrays are. run, setting, k, seed: of
    the clustering; images: of train in all; across: how many pictures fit side by side."""

    run: str
    setting: int
    k: int
    seed: int
    images: int
    across: int
    place: np.ndarray
    cluster: np.ndarray
    center: np.ndarray
    picture: np.ndarray
    name: np.ndarray
    digest: np.ndarray


ARRAYS = ("place", "cluster", "center", "picture", "name", "digest")
FACTS = tuple(name for name in OnMap._fields if name not in ARRAYS)


def save_on_map(cell: Cell, points: int, pictures: int, across: int, seed: int) -> OnMap:
    """Write cell.map_examples: `points` images of train at most, drawn by `seed`, and of all of
    them `pictures` at dense places. Raises Absent where no clustering of the cell is ranked, or its
    map has no 2 dims."""
    shown = read_chosen(cell.examples)
    if shown is None:
        raise Absent(f"{cell.dataset}: no clustering of {cell.backbone} is ranked")
    row, cluster = _clusters(cell, shown)
    place, here = _places(cell, row), cluster >= 0
    row, cluster, place = row[here], cluster[here], _unit(place[here])
    seen = dense(place, across, pictures)
    drawn = np.random.default_rng(seed).choice(len(row), min(points, len(row)), replace=False)
    kept = np.union1d(drawn, seen)  # what is seen is drawn too
    with store.read(cell.images, "index") as file:
        name, digest = file.text("name")[row[seen]], file.mapped("digest")[row[seen]]
    found = OnMap(
        shown.run, shown.setting, shown.k, shown.seed, len(row), across,
        place[kept], cluster[kept], _medians(place, cluster, shown.k),
        np.searchsorted(kept, seen).astype(np.int32), name, digest,
    )  # fmt: skip
    arrays = {name: getattr(found, name) for name in ARRAYS}
    facts = {name: getattr(found, name) for name in FACTS}
    of = {"dataset": cell.dataset, "backbone": cell.backbone}
    store.save(cell.map_examples, "map_examples", arrays, {**of, **facts})
    return found


def read_on_map(cell: Cell, shown: Chosen) -> OnMap | None:
    """What was chosen; None where nothing was, or of another clustering than is `shown`."""
    path = cell.map_examples
    if not path.exists() or read_h5_mark(path) is not None:
        return None
    with store.read(path, "map_examples") as file:
        said: dict[str, Any] = {name: file.attrs[name] for name in FACTS}
        said |= {name: file[name] for name in ARRAYS}
        found = OnMap(**said)
    same = all(getattr(found, what) == getattr(shown, what) for what in FACTS[:4])
    return found if same else None


def _clusters(cell: Cell, shown: Chosen) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all images, and the cluster of each, int32 [image]; -1: not of train."""
    with store.read(run_file(cell, shown.run), "clusters") as file:
        at = file.attrs["seeds"].index(shown.seed)
        train = file["split"] == file.attrs["splits"].index("train")
        assignment = file[f"{shown.setting}/assignment"][at]
        return file["row"], np.where(train, assignment, -1).astype(np.int32)


def _places(cell: Cell, row: np.ndarray) -> np.ndarray:
    """The map of the images `row`, float32 [image, axis]."""
    with store.read(cell.map, "map") as file:
        if not np.array_equal(file["row"], row):
            raise StageError(f"{cell.map} is of other images than the clusters: run `dvc repro`")
        there = file["dims"].tolist()
        if DIMS not in there:
            every = ", ".join(map(str, there))
            raise Absent(f"the map has {every} dims: add {DIMS} to map.dims to see it")
        return file[f"{there.index(DIMS)}/place"]


def _unit(place: np.ndarray) -> np.ndarray:
    """Turned so that the map is longest along its first axis, as pages are wider than high and no
    direction of a map has a meaning; moved and scaled so that its longer side is from 0 to 1."""
    place = place - place.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(place.T @ place)
    axes = axes[:, ::-1]  # by falling variance
    place = place @ (axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1))
    low, high = place.min(axis=0), place.max(axis=0)
    return ((place - low) / (float((high - low).max()) or 1)).astype(np.float32)


def _medians(place: np.ndarray, cluster: np.ndarray, k: int) -> np.ndarray:
    """float32 [cluster, axis]; nan: no image."""
    out = np.full((k, DIMS), np.nan, np.float32)
    order = np.argsort(cluster, kind="stable")
    live, first = np.unique(cluster[order], return_index=True)
    for c, own in zip(live, np.split(order, first[1:]), strict=True):
        out[c] = np.median(place[own], axis=0)
    return out
