"""What the page proposes, by cluster.suggest: doubts, merges, splits, what to look at next.

Groups are codes here, int32 [image] (pages.review.groups); the evidence is what the page shows.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster.neighbors.knn_vote import voter_weights
from cluster.neighbors.table import Neighbors
from cluster.suggest.doubt import Doubt, doubt
from pages.review.collection import Collection
from pages.review.refused import Refused

if TYPE_CHECKING:
    from cluster.suggest.sort_rest import Sorted
    from cluster.suggest.space import Space

PATIENCE = 20.0  # seconds that a request waits for the space
MOST = 8  # suggestions of a sort
KERNEL = 64_000_000  # bytes of the kernel's features: of more images there are fewer landmarks
FEWEST = 128  # landmarks
SAMPLE = 5_000  # images on which a split into more than two is fitted


class Merge(NamedTuple):
    """Two groups, by code, that may be one."""

    one: int
    other: int
    score: float
    evidence: str


class Split(NamedTuple):
    """A group, by code, that may be two."""

    code: int
    score: float
    evidence: str


class Labelled(NamedTuple):
    """Categories by number. decided, named: int [image], by a person or the cluster, -1: none;
    names: how many clusters have a name."""

    decided: np.ndarray
    named: np.ndarray
    names: int


def doubts(
    near: Neighbors | None, code: np.ndarray, decided: np.ndarray, runs: Sequence[np.ndarray]
) -> Doubt:
    """Of each image in its group; code: -1 of those that have no vote; decided: bool [image]."""
    if near is None:
        none = np.zeros(len(code), np.float32)
        return Doubt(none, np.full(len(code), -1, np.int32), none)
    return doubt(near.neighbor, near.similarity, code, runs, decided)


def votes(near: Neighbors | None, code: np.ndarray, row: int, many: int) -> list[tuple[int, float]]:
    """The groups of most weight among the neighbours of an image, and their shares."""
    if near is None:
        return [(int(code[row]), 1.0)]
    of, weight = code[near.neighbor[row]], voter_weights(near.similarity[row][None])[0]
    each, at = np.unique(of, return_inverse=True)
    share = np.bincount(at, weight) / weight.sum()
    best = np.argsort(-share, kind="stable")[:many]
    return [(int(each[b]), float(share[b])) for b in best]


class Proposer:
    """Of one collection. The space that suggestions are computed in is made once, in the
    background, when the first one is asked for: some seconds for each 10,000 images."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock, self._ready = threading.Lock(), threading.Event()
        self._space: Space | None = None
        self._why, self._begun = "", False
        self._known: dict[bytes, Split | None] = {}  # by the members of a group

    def space(self) -> "Space":
        """Refused while it is being made, and where it cannot be."""
        with self._lock:
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._make, daemon=True, name="suggestions").start()
        if not self._ready.wait(PATIENCE):
            raise Refused(503, "suggestions are being prepared: ask again in a moment")
        if self._space is None:
            raise Refused(409, self._why)
        return self._space

    def _make(self) -> None:
        try:
            near = self._collection.near
            if near is None:
                raise Refused(409, "no suggestions without neighbours: run `dvc repro neighbors`")
            from cluster.suggest.space import LANDMARKS, make_space

            most = max(FEWEST, KERNEL // (4 * max(1, len(near.neighbor))))
            self._space = make_space(
                self._collection.found, near.neighbor, landmarks=min(LANDMARKS, most), seed=0
            )
        except Exception as error:  # whatever it is, those who wait are told
            self._why = " ".join(f"{error}".split()) or type(error).__name__
        finally:
            self._ready.set()

    def merges(self, code: np.ndarray, names: np.ndarray) -> list[Merge]:
        """Pairs of groups; code: -1 outside of all; names: int [group], -1 without a name."""
        from cluster.suggest.merges import propose_merges

        space = self.space()
        found = propose_merges(space.graph, space.unit, code, names, most=MOST)
        return [
            Merge(
                one,
                other,
                score,
                f"{ratio:.1f} times as many of their pictures are neighbours as by chance; the "
                f"cosine of their means is {cosine:.2f}",
            )
            for one, other, score, ratio, cosine in zip(
                *(each.tolist() for each in found), strict=True
            )
        ]

    def splits(self, code: np.ndarray, decided: np.ndarray) -> list[Split]:
        """Groups that fall apart; decided: int [image], categories, -1 for none. Those whose
        members are as they were are not looked at again."""
        from cluster.suggest.splits import propose_splits

        space = self.space()
        order = np.argsort(code, kind="stable")
        groups, first = np.unique(code[order], return_index=True)
        members = np.split(order, first[1:]) if len(order) else []
        keys = {
            group: _key(rows, decided)
            for group, rows in zip(groups.tolist(), members, strict=True)
            if group >= 0
        }
        new = np.array([group for group, key in keys.items() if key not in self._known], np.int64)
        if len(new):
            only = np.where(np.isin(code, new), code, -1)
            found = propose_splits(space.graph, space.unit, only, decided, most=len(new))
            made = dict.fromkeys(new.tolist(), None) | {
                split.code: split for split in map(_split, *(each.tolist() for each in found))
            }
            self._known |= {keys[group]: split for group, split in made.items()}
        every = [
            split._replace(code=group)
            for group, key in keys.items()
            if (split := self._known[key]) is not None
        ]
        return sorted(every, key=lambda split: -split.score)[:MOST]

    def split(self, rows: np.ndarray, parts: int, decided: np.ndarray) -> np.ndarray:
        """The part of each image at these rows (int [image]), int [image]; of two parts each has
        the images of one label, where a person gave several."""
        from cluster.kmeans.api import kmeans
        from cluster.kmeans.assign import assign
        from cluster.suggest.splits import split_in_two
        from cluster.vectors.rows import ArrayRows

        space = self.space()
        if parts == 2:
            return split_in_two(space.unit, rows, 0, decided).half
        drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:SAMPLE])
        sample = ArrayRows(space.unit[rows[drawn]])
        fit = kmeans(sample, parts, seeds=[0], n_init=3, max_iter=50, tol=1e-3)
        return assign(ArrayRows(space.unit[rows]), fit.centroids).assignment[0]

    def probabilities(self, labelled: Labelled) -> np.ndarray:
        """float64 [image, category]. ClusterError while nothing has a label."""
        from cluster.suggest.sort_rest import class_probabilities

        return class_probabilities(self.space(), *labelled)

    def ask_next(self, best: "Sorted", may: np.ndarray, many: int, seed: int) -> np.ndarray:
        """int64 [row], among those that `may` (bool [image]) be asked for."""
        from cluster.suggest.ask_next import ask_next

        return ask_next(self.space().graph, best.margin, may, many, seed)


def _split(code: int, score: float, stability: float, crossing: float, differ: bool) -> Split:
    text = f"{crossing:.0%} of the neighbours between its halves that chance would give; "
    text += f"{stability:.0%} the same halves from other starts"
    return Split(code, score, text + "; different labels inside" * differ)


def _key(rows: np.ndarray, decided: np.ndarray) -> bytes:
    from hashlib import blake2b

    return blake2b(rows.tobytes() + decided[rows].tobytes(), digest_size=16).digest()
