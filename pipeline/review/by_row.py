"""What `label_images` says, for who asks after each decision: rows are looked up once.

A decision about 20 of 100,000 images costs what 20 cost; to replay all of them after an `undo`
takes some microseconds each.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.review.clustering import Clustering
from pipeline.review.decisions import Audit, Decision, Place, Rename
from pipeline.review.labels import STATUS, Labels, by_cluster, names_of_clusters
from pipeline.review.replay import Said, replay_but_places

_NOTHING = 255  # was said of an image


class ByRow:
    """The decisions about one dataset as rows of one clustering."""

    def __init__(self, clustering: Clustering) -> None:
        self._of = clustering
        # Of images with the same bytes all rows
        self._at: dict[str, int] = {}
        self._more: dict[str, list[int]] = {}
        for row, digest in enumerate(clustering.digest):
            if self._at.setdefault(digest, row) != row:
                self._more.setdefault(digest, [self._at[digest]]).append(row)
        self._rows: dict[int, tuple[Decision, np.ndarray]] = {}

    def labels(self, decisions: Sequence[Decision]) -> tuple[Labels, Said]:
        """The label of every image; and what was said, with audits alone under `placed`."""
        said, stand = replay_but_places(decisions)
        category = np.full(len(self._of.row), -1, np.int32)
        status = np.full(len(category), _NOTHING, np.uint8)
        number: dict[str, int] = {}
        for decision in stand:
            if isinstance(decision, Rename):
                old = number.get(decision.category)
                if old is not None:
                    category[category == old] = number.setdefault(decision.to, len(number))
            elif isinstance(decision, Place | Audit):
                rows = self._rows_of(decision)
                if decision.status == "undecided":
                    category[rows], status[rows] = -1, _NOTHING
                    continue
                has = decision.category
                category[rows] = number.setdefault(has, len(number)) if has else -1
                status[rows] = STATUS.index(decision.status)
        there = np.bincount(category[category >= 0], minlength=len(number)) > 0
        used = {name for name, at in number.items() if there[at]}
        of_cluster = names_of_clusters(said, self._of, self._at)
        found = by_cluster(of_cluster, used, self._of)
        place = {name: at for at, name in enumerate(found.categories)}
        # The last one is for -1
        to = np.array([*(place.get(name, -1) for name in number), -1], np.int32)
        at = status != _NOTHING
        found.label[at], found.status[at] = to[category[at]], status[at]
        return found, said

    def _rows_of(self, decision: Place | Audit) -> np.ndarray:
        """Looked up once for each decision: a journal keeps the same objects."""
        known = self._rows.get(id(decision))
        if known is not None and known[0] is decision:
            return known[1]
        images = decision.images if isinstance(decision, Place) else (decision.image,)
        rows: list[int] = []
        for digest in images:
            row = self._at.get(digest)
            if row is not None:
                rows += self._more.get(digest, (row,))
        found = np.array(rows, np.int64)
        self._rows[id(decision)] = (decision, found)
        return found
