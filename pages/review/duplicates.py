"""Groups of images that are the same, or nearly, for GET api/duplicates.

Exact ones have equal bytes (the digests of the index). Near ones are joined by pairs whose cosine
is at least a threshold: the components of that graph. Pairs are those of the table of neighbours,
and of stage duplicates, which has looked at all. But: of images with equal bytes one stands for all
among the near ones, so that none is named twice for the same reason; and images that a chain of
pairs joins may be less alike than the threshold, so each comes with its cosine to the one to keep.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import store
from images import ImagesError, Raw, picture_size
from pipeline.io.cell import Cell
from pipeline.io.duplicates import read_leaders
from pipeline.io.neighbors import read_neighbors
from pipeline.params import StageError

LOWEST = 0.9  # cosine of the pairs that are kept: below it most are different pictures
PAIRS = 2**12  # whose vectors are in memory at once
Sizes = Callable[[int], Sequence[int]]  # of a row: width, height in pixels, bytes; 0 where unknown


def sizes_of(read: Callable[[str], Raw], name: Sequence[str]) -> Sizes:
    """The sizes of the images with these names in the index; each file is looked at once. 0 of one
    that is gone or can no longer be read."""

    @cache
    def sizes(row: int) -> tuple[int, int, int]:
        try:
            raw = read(name[row])
            return *picture_size(raw), raw.nbytes if isinstance(raw, np.ndarray) else len(raw)
        except (ImagesError, OSError):
            return 0, 0, 0

    return sizes


class Alike(NamedTuple):
    """All pairs of images of a store that may be shown.

    found: the store; same: int64 [image], for each the first position with the same bytes;
    pair: int64 [pair, 2], positions of images of different bytes; cosine: float32 [pair].
    """

    found: store.Features
    same: np.ndarray
    pair: np.ndarray
    cosine: np.ndarray


def read_alike(cell: Cell) -> Alike:
    """The pairs of the cell whose cosine is at least LOWEST, each once. Read it once: of a metric
    other than the cosine all neighbours' vectors are compared.

    Raises StageError or StoreError where the neighbours are missing or of other images.
    """
    found = store.Features(cell.features)
    with store.read(cell.neighbors, "neighbors") as file:
        by_cosine, columns = file.attrs["metric"] == "cosine", file.raw("neighbor").shape[1]
    table = read_neighbors(cell.neighbors, found, columns)
    kept = table.similarity >= LOWEST if by_cosine else np.ones(table.neighbor.shape, bool)
    pair = np.stack([np.nonzero(kept)[0], table.neighbor[kept]], axis=1).astype(np.int64)
    if cell.duplicates.exists():
        leader = read_leaders(cell.duplicates, found.dataset, found.backbone, found.row)
        joined = np.flatnonzero(leader != found.row)
        pair = np.concatenate([pair, np.stack([joined, found.places(leader[joined])], axis=1)])
    same = first_of_same(found.id)
    pair = np.sort(same[pair], axis=1)
    pair = np.unique(pair[pair[:, 0] < pair[:, 1]], axis=0)
    cosine = cosines(found, pair)
    enough = cosine >= np.float32(LOWEST)
    return Alike(found, same, pair[enough], cosine[enough])


def first_of_same(digest: np.ndarray) -> np.ndarray:
    """Of each image the first with the same digest: uint8 [image, 16] → int64 [image]."""
    if not len(digest):
        return np.zeros(0, np.int64)
    # All have one length, so that S, which drops zeros at the end, tells them apart
    whole = np.ascontiguousarray(digest).view("S16").ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)


def cosines(found: store.Features, pair: np.ndarray) -> np.ndarray:
    """Of the vectors at each pair of positions, int [pair, 2] → float32 [pair]; 0 of zeros."""
    out = np.empty(len(pair), np.float32)
    for low in range(0, len(pair), PAIRS):
        here = slice(low, low + PAIRS)
        one, other = (found.take(pair[here, side]) for side in (0, 1))
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        product = np.einsum("nd,nd->n", one, other)
        out[here] = np.divide(product, lengths, where=lengths > 0, out=np.zeros_like(product))
    return np.minimum(out, 1)  # above it by rounding


def duplicates(
    alike: Alike, threshold: float, sizes: Sizes, start: int = 0, most: int = 100
) -> dict[str, Any]:
    """What the page shows of groups start .. start + most: exact ones first, then near ones, those
    with the most similar pair first; in a group the largest picture, which is to be kept, first.

    similarity: cosines to the first of the group; spare: images that are not the first of any, so
    many can go. StageError for a threshold that is no cosine from LOWEST on.
    """
    if not LOWEST <= threshold <= 1:
        raise StageError(f"threshold is {threshold:g}, expected {LOWEST} to 1")
    exact, near = _exact(alike.same), _near(alike, threshold)
    groups = [("exact", each) for each in exact] + [("near", each) for each in near]
    return {
        "threshold": threshold,
        "lowest": LOWEST,
        "groups": _described(alike.found, groups[start : start + most], sizes),
        "total": len(groups),
        "exact": len(exact),
        "near": len(near),
        "spare": sum(len(members) - 1 for _, members in groups),
    }


def _exact(same: np.ndarray) -> list[np.ndarray]:
    """The positions of each group of more than one, by the first."""
    return _split(same, np.arange(len(same)))


def _near(alike: Alike, threshold: float) -> list[np.ndarray]:
    """The positions of each component of the pairs above the threshold, most similar first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    kept = alike.cosine >= np.float32(threshold)
    (one, other), cosine = alike.pair[kept].T, alike.cosine[kept]
    count = len(alike.same)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    highest = np.zeros(count, np.float32)
    np.maximum.at(highest, group[one], cosine)
    joined = np.unique(alike.pair[kept])
    groups = _split(group[joined], joined)
    return sorted(groups, key=lambda members: (-highest[group[members[0]]], members[0]))


def _split(group: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """The members of each group that has two or more, groups by their first."""
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    parts = [members[part] for part in np.split(order, ends) if len(part) > 1]
    return sorted(parts, key=lambda part: int(part[0]))


def _described(
    found: store.Features, groups: Sequence[tuple[str, np.ndarray]], sizes: Sizes
) -> list[dict[str, Any]]:
    """Kind, rows, cosines and sizes of each group, given by kind and positions."""
    if not groups:
        return []
    out, ordered = list[dict[str, Any]](), list[np.ndarray]()
    for kind, members in groups:
        rows = found.row[members].tolist()
        size = [list(map(int, sizes(row))) for row in rows]
        width, height, of_file = np.array(size).T
        by = np.lexsort((-of_file, -width * height)).tolist()  # the largest first
        ordered.append(members[by])
        out.append({"kind": kind, "rows": [rows[i] for i in by], "sizes": [size[i] for i in by]})
    pairs = [np.stack([np.full(len(each), each[0]), each], axis=1) for each in ordered]
    like = cosines(found, np.concatenate(pairs))
    ends = np.cumsum([len(each) for each in ordered])
    for group, cosine in zip(out, np.split(like, ends[:-1]), strict=True):
        # Of equal bytes, of itself, and of vectors that are zero too
        one = np.ones_like(cosine) if group["kind"] == "exact" else cosine
        group["similarity"] = [1.0, *(round(value, 4) for value in one[1:].tolist())]
    return out
