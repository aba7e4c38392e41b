"""The kind `curated_examples`: what the page shows of the images that stage curate has dropped."""

from typing import NamedTuple

import numpy as np

import store
from cluster.vectors.rows import Rows
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Cell

ROWS = 2  # of dropped images beside a kept one
STRANGEST = 100  # images


class Curated(NamedTuple):
    """The file as it is: arrays and attributes by name."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, object]


def save_curated(
    cell: Cell,
    rows: Rows,
    name: store.Strings,
    digest: np.ndarray,
    kept: np.ndarray,
    score: np.ndarray,
    wanted: Examples,
) -> None:
    """Write cell.curated_examples: groups of near-duplicates, evenly from the largest to the
    smallest, and the strangest of the images that were not dropped for another.

    rows: [image, dim]; name: [image]; digest: uint8 [image, 16]; kept: int64 [image], which
    image is kept for each; score: float32 [image]."""
    dropped = np.flatnonzero(kept != np.arange(len(kept)))
    group, size = np.unique(kept[dropped], return_counts=True)
    by_size = np.argsort(-size, kind="stable")
    at = np.linspace(0, len(group) - 1, min(wanted.clusters, len(group))).round().astype(int)
    shown = group[by_size[at]]
    place = np.full(len(kept), -1, np.int32)
    place[shown] = np.arange(len(shown), dtype=np.int32)
    some = dropped[place[kept[dropped]] >= 0]
    like = _cosines(rows, some, kept[some])
    order = np.lexsort((some, like, place[kept[some]]))
    of = place[kept[some[order]]]
    rank = np.arange(len(of)) - np.searchsorted(of, of)
    order = order[rank < ROWS * wanted.images]
    alone = np.flatnonzero(kept == np.arange(len(kept)))  # no copy of another
    strange = alone[np.argsort(-score[alone], kind="stable")]
    strange = strange[: STRANGEST if wanted.clusters else 0]
    arrays = {
        "name": name[shown],
        "digest": digest[shown],
        "size": size[by_size[at]],
        "dropped_group": place[kept[some[order]]],
        "dropped_name": name[some[order]],
        "dropped_digest": digest[some[order]],
        "dropped_similarity": like[order],
        "strange_name": name[strange],
        "strange_digest": digest[strange],
        "strange_score": score[strange],
    }
    attrs: dict[str, str | int] = {
        "dataset": cell.dataset, "backbone": cell.backbone, "run": cell.run,
        "images": wanted.images,
    }  # fmt: skip
    store.save(cell.curated_examples, "curated_examples", arrays, attrs)


def read_curated(cell: Cell) -> Curated:
    """What stage curate chose to be shown."""
    with store.read(cell.curated_examples, "curated_examples") as file:
        names = store.KINDS["curated_examples"].arrays
        return Curated({name: file[name] for name in names}, dict(file.attrs))


def _cosines(rows: Rows, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of pairs of images that are near-duplicates: float32 [pair]; 1 of two vectors of zeros."""
    x, y = (rows.take(each).astype(np.float64) for each in (one, other))
    lengths = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.divide((x * y).sum(1), lengths, where=lengths > 0, out=np.ones(len(x))).astype(
        np.float32
    )
