"""The places of all images on the map of the review page, for GET api/map.

They are those of stage map in two dims. But: a project without that map is looked at all the same,
by its first two principal components, with a note that says how to get the map.
"""

import json
from typing import NamedTuple

import numpy as np

import store
from cluster.vectors.rows import TILE
from pipeline.fitting.map import read_map
from pipeline.io.absent import read_h5_mark
from pipeline.io.cell import Cell
from pipeline.io.space import open_space
from pipeline.params import StageError

HOW = "`runs: map: [map]` in params.yaml and `dvc repro` make the map of neighbours (UMAP)"


class MapPoints(NamedTuple):
    """place: float32 [image, 2] within 0 to 1; row: uint32 [image], in the index; note: what the
    places are, where they are not those of stage map, else ""."""

    place: np.ndarray
    row: np.ndarray
    note: str


def map_points(cell: Cell) -> MapPoints:
    """Where each image of the cell lies.

    Raises StageError or StoreError where the cell has no vectors, or neither map nor projections.
    """
    if why := read_h5_mark(cell.map) or read_h5_mark(cell.pca):
        raise StageError(f"there is no map of {cell.dataset} by {cell.backbone}: {why}")
    place, note = _of_stage(cell)
    if place is None:
        place = _leading(cell)
        note = f"Two principal components, which show less than a map of neighbours: {note}"
    found = store.Features(cell.features)
    return MapPoints(normalized(place), found.row.astype(np.uint32), note)


def packed(points: MapPoints) -> bytes:
    """The body of the answer, little-endian: uint32 n, float32 x [n], float32 y [n], uint32 row
    [n]."""
    x, y = np.ascontiguousarray(points.place.T, "<f4")
    count = np.array([len(points.row)], "<u4")
    return b"".join(array.tobytes() for array in (count, x, y, points.row.astype("<u4")))


def headers(points: MapPoints) -> dict[str, str]:
    """Those of the answer: the note as JSON, in ASCII as headers have to be, where there is one."""
    return {"X-Note": json.dumps({"note": points.note})} if points.note else {}


def normalized(place: np.ndarray) -> np.ndarray:
    """Places, float [image, 2], moved and scaled alike on both axes to lie within 0 to 1, in the
    middle of the axis on which they are spread less: float32 [image, 2]."""
    if not len(place):
        return place.astype(np.float32)
    wide = place.astype(np.float64)
    low, high = wide.min(axis=0), wide.max(axis=0)
    extent = (high - low).max() or 1.0
    return ((wide - (low + high) / 2) / extent + 0.5).astype(np.float32)


def _of_stage(cell: Cell) -> tuple[np.ndarray | None, str]:
    """The places that stage map found, or None and why there are none."""
    if not cell.map.exists():
        return None, HOW
    try:
        found = store.Features(cell.features)
        return read_map(cell.map, found, 2, "the number of dims on the page")[0], ""
    except (StageError, store.StoreError) as error:
        return None, str(error)


def _leading(cell: Cell) -> np.ndarray:
    """The first two principal components of all images, float32 [image, 2]; 0 where there are
    fewer."""
    space = open_space(cell.features, cell.pca)
    count = min(2, len(space.basis.components))
    out = np.zeros((len(space.found), 2), np.float32)
    if count:
        rows = space.rows(count)
        for low in range(0, len(rows), TILE):
            out[low : low + TILE, :count] = rows.block(low, min(low + TILE, len(rows)))
    return out
