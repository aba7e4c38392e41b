"""What the page lists: categories, clusters without a name, and what was marked."""

from typing import NamedTuple

import numpy as np

from pipeline.review.clustering import Clustering
from pipeline.review.labels import JUNK, UNKNOWN, Labels

MARKED = ("unknown", "junk")


class Groups(NamedTuple):
    """key: by code, "n:CATEGORY", "c:CLUSTER", "s:unknown" or "s:junk"; code: int32 [image], the
    group of each image; size: int64 [group], many of them 0."""

    key: list[str]
    code: np.ndarray
    size: np.ndarray

    @property
    def marked(self) -> int:
        """The code from which on are the marked ones."""
        return len(self.key) - len(MARKED)

    def find(self, key: str) -> int | None:
        """The code of a group with at least one image."""
        try:
            code = self.key.index(key)
        except ValueError:
            return None
        return code if self.size[code] else None

    def rows(self, code: int) -> np.ndarray:
        """int64 [image of the group], rising."""
        return np.flatnonzero(self.code == code)


def group(labels: Labels, of: Clustering) -> Groups:
    """Each image in its category, else in its cluster; the marked ones by their mark."""
    many = len(labels.categories)
    keys = [f"n:{name}" for name in labels.categories]
    keys += [f"c:{number}" for number in range(of.k)]
    keys += [f"s:{mark}" for mark in MARKED]
    code = np.where(labels.label >= 0, labels.label, many + of.assignment).astype(np.int32)
    code[labels.status == UNKNOWN] = many + of.k
    code[labels.status == JUNK] = many + of.k + 1
    return Groups(keys, code, np.bincount(code, minlength=len(keys)))


def name_of(key: str) -> str | None:
    """The category of a group; None of a cluster without a name and of what was marked."""
    return key[2:] if key.startswith("n:") else None


def first_of_each(groups: Groups, order: np.ndarray, many: int) -> list[list[int]]:
    """The first `many` rows of each group, by code; order: int [image], all rows."""
    # numpy sorts integers of 16 bits by radix, in linear time
    small = np.uint16 if len(groups.key) < 2**16 else np.int32
    order = order[np.argsort(groups.code[order].astype(small), kind="stable")]
    first = np.cumsum(groups.size) - groups.size
    return [
        order[low : low + min(many, size)].tolist()
        for low, size in zip(first.tolist(), groups.size.tolist(), strict=True)
    ]


def by_pair(
    one: np.ndarray, other: np.ndarray, rows: np.ndarray
) -> list[tuple[int, int, list[int]]]:
    """The rows (int [image]) of each pair of numbers (int [image] both), the most rows first."""
    if not len(rows):
        return []
    pair, at = np.unique(np.stack([one, other], axis=1), axis=0, return_inverse=True)
    order = np.argsort(at.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(at.reshape(-1)))[:-1]
    parts = [part.tolist() for part in np.split(rows[order], ends)]
    found = [(a, b, part) for (a, b), part in zip(pair.tolist(), parts, strict=True)]
    return sorted(found, key=lambda each: -len(each[2]))
