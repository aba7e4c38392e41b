"""The labels as they were seen last, so that the page can say what moved since.

`data/DATASET/seen.npz`: by digest, so that it holds across clusterings and new pictures. It is a
cache: without it, or with a damaged one, nothing is said to have moved.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pages.review.groups import MARKED, by_pair
from pages.review.view import View
from pipeline.io.arrays import read_arrays, save_arrays
from store import StoreError


class Seen(NamedTuple):
    """digest: S16 [image]; label: int32 [image] in `names`, -1 for none; renamed: categories and
    what they were called then, in order, as said until the last look; its run, its fingerprint and
    its time."""

    digest: np.ndarray
    label: np.ndarray
    names: list[str]
    renamed: list[tuple[str, str]]
    run: str
    fingerprint: str
    when: str


def place(dataset: str) -> Path:
    return Path("data", dataset, "seen.npz")


def of(view: View) -> Seen:
    """The labels of all images of a view; marks are labels too."""
    asked, labels = view.collection.asked, view.labels
    digest, number = labelled(view)
    run = f"{asked.cell.backbone} {asked.key}"
    when = datetime.now(UTC).isoformat(timespec="seconds")
    fingerprint = view.collection.clustering.fingerprint
    names, renamed = [*labels.categories, *MARKED], view.said.renamed
    return Seen(digest, number, names, renamed, run, fingerprint, when)


def labelled(view: View) -> tuple[np.ndarray, np.ndarray]:
    """S16 [image] and int32 [image]: the digests, and labels with the marks after them."""
    labels, many = view.labels, len(view.labels.categories)
    number = labels.label.copy()
    for at, mark in enumerate((2, 3)):  # unknown, junk
        number[labels.status == mark] = many + at
    digest = np.ascontiguousarray(view.collection.found.id).view("V16").ravel()
    return digest, number


def write(dataset: str, found: Seen) -> None:
    """A disk that is full loses the cache, nothing else."""
    arrays = {
        "digest": found.digest.view(np.uint8).reshape(-1, 16),
        "label": found.label,
        "names": np.array(found.names, "U"),
        "renamed": np.array(found.renamed, "U").reshape(-1, 2),
        "facts": np.array([found.run, found.fingerprint, found.when], "U"),
    }
    try:
        save_arrays(place(dataset), arrays)
    except (OSError, StoreError) as error:
        print(f"review: what moved will not be known next time: {error}")


def read(dataset: str) -> Seen | None:
    """None where nothing was written, or it is damaged."""
    try:
        found = read_arrays(place(dataset))
        run, fingerprint, when = found["facts"].tolist()
        digest = np.ascontiguousarray(found["digest"]).view("V16").ravel()
        renamed = [(old, new) for old, new in found["renamed"].tolist()]
        names = found["names"].tolist()
        return Seen(digest, found["label"], names, renamed, run, fingerprint, when)
    except (OSError, ValueError, LookupError):
        return None


def moved(before: Seen | None, view: View) -> dict[str, object]:
    """The images with a label now that is not the one they had, by both, but for those of which a
    person said it; rows: of each."""
    if before is None or before.fingerprint == view.collection.clustering.fingerprint:
        return {"since": None, "moves": []}
    digest, now = labelled(view)
    names = [*view.labels.categories, *MARKED]
    before = before._replace(names=_called_now(before, view.said.renamed, names))
    then = _then(before, digest, names)
    changed = np.flatnonzero((then != now) & (now >= 0) & view.undecided)
    every = [*names, *[name for name in before.names if name not in names]]
    moves = [
        {"from": every[old] if old >= 0 else None, "to": every[new], "rows": rows}
        for old, new, rows in by_pair(then[changed], now[changed], changed)
    ]
    return {"since": {"run": before.run, "when": before.when}, "moves": moves}


def _called_now(before: Seen, renamed: list[tuple[str, str]], names: list[str]) -> list[str]:
    """The former categories by their present names: who renames one has moved no picture.

    A name that was taken back since is followed back, unless others still use it."""
    same = 0
    while same < min(len(renamed), len(before.renamed)) and renamed[same] == before.renamed[same]:
        same += 1
    out = list(before.names)
    for old, new in reversed(before.renamed[same:]):
        out = [old if name == new and new not in names else name for name in out]
    for old, new in renamed[same:]:
        out = [new if name == old else name for name in out]
    return out


def _then(before: Seen, digest: np.ndarray, names: list[str]) -> np.ndarray:
    """The former label of each image as a place in `names` and what else there was; -1: none."""
    gone = list(dict.fromkeys(name for name in before.names if name not in names))
    place = {name: at for at, name in enumerate([*names, *gone])}
    number = np.array([*(place[name] for name in before.names), -1], np.int64)
    old = before.digest.view("S16")
    order = np.argsort(old, kind="stable")
    at = np.searchsorted(old, digest.view("S16"), sorter=order)
    at = order[np.minimum(at, len(order) - 1)] if len(order) else at * 0 - 1
    out = np.full(len(digest), -1, np.int64)
    if len(order):
        same = old[at] == digest.view("S16")
        out[same] = number[before.label[at[same]]]
    return out
