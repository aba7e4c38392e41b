"""The kind `similar_examples`: what the page shows of a target collection and of what it found."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import store
from pages.report.charts.bins import binned
from pages.report.chosen.pick import Examples
from pipeline.io.cell import Pair

ROWS = 2  # of found images beside a target


class Side(NamedTuple):
    """The images of one of both collections, as positions count them: name [image], digest
    uint8 [image, 16]."""

    name: store.Strings
    digest: np.ndarray


def save_similar(
    pair: Pair,
    target: Side,
    among: Side,
    neighbor: np.ndarray,
    like: np.ndarray,
    k: Sequence[int],
    minimum: float,
    wanted: Examples,
) -> None:
    """Write pair.examples. target: of those that asked; neighbor: int [target, neighbor], images of
    `among`, most similar first; like: float32 [target, neighbor], their cosines."""
    enough = like >= np.float32(minimum)
    which = spread(like, wanted.clusters)
    kept = enough[which].sum(axis=1)  # of each, the first ones
    shown = np.minimum(kept, ROWS * wanted.images)
    of = np.repeat(np.arange(len(which)), shown)
    rank = np.concatenate([*map(np.arange, shown.tolist()), np.zeros(0, np.int64)]).astype(int)
    found = neighbor[which[of], rank]
    last = like[which, np.maximum(kept, 1) - 1]
    counts = binned({"nearest": like[:, 0], "every": like.ravel()})
    arrays = {
        "edge": counts["every"].edges,
        "nearest": counts["nearest"].counts,
        "every": counts["every"].counts,
        "name": target.name[which],
        "digest": target.digest[which],
        "most": np.where(kept > 0, like[which, 0], np.float32("nan")),
        "least": np.where(kept > 0, last, np.float32("nan")),
        "found_target": of.astype(np.int32),
        "found_name": among.name[found],
        "found_digest": among.digest[found],
        "found_similarity": like[which[of], rank],
    }
    attrs: dict[str, str | int | float | list[int]] = {
        "target": pair.first.dataset,
        "among": pair.second.dataset,
        "backbone": pair.first.backbone,
        "k": sorted(set(k)),
        "minimum": minimum,
        "images": wanted.images,
        "targets": len(like),
        "found": [len(np.unique(neighbor[:, :n][enough[:, :n]])) for n in sorted(set(k))],
        "median_nearest": counts["nearest"].median,
        "median_every": counts["every"].median,
        "below": float((~enough).mean()),
    }
    store.save(pair.examples, "similar_examples", arrays, attrs)


def spread(similarity: np.ndarray, shown: int) -> np.ndarray:
    """At most `shown` targets, evenly from the best matched to the worst: int [target].

    similarity: float [target, neighbor], most similar first.
    """
    order = np.argsort(-similarity[:, 0], kind="stable")
    at = np.linspace(0, len(order) - 1, min(shown, len(order))).round().astype(int)
    return order[at]


class Similar(NamedTuple):
    """The file as it is: arrays and attributes by name."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, object]


def read_similar(path: Path) -> Similar:
    """What stage similar chose."""
    with store.read(path, "similar_examples") as file:
        names = store.KINDS["similar_examples"].arrays
        return Similar({name: file[name] for name in names}, dict(file.attrs))
