"""What stands at one moment: labels, groups and doubts after so many decisions. Never changed."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cluster.suggest.doubt import Doubt
from pages.review import proposals
from pages.review.collection import Collection
from pages.review.groups import Groups, first_of_each, group
from pages.review.proposals import Labelled
from pipeline.review.decisions import Decision
from pipeline.review.labels import CLUSTER, DECIDED, NONE, STATUS

TYPICAL = 12  # pictures of a card
LETTERS = np.frombuffer(b"dcujn", np.uint8)  # of a status, in the order of STATUS


class View:
    """version: how many decisions were read; said_last: what the last one did."""

    def __init__(
        self, collection: Collection, decisions: Sequence[Decision], said_last: str = ""
    ) -> None:
        self.collection, self.version, self.said_last = collection, len(decisions), said_last
        self.labels, self.said = collection.by_row.labels(decisions)
        self.groups: Groups = group(self.labels, collection.clustering)

    @cached_property
    def _doubts(self) -> Doubt:
        votes = np.where(self.groups.code < self.groups.marked, self.groups.code, -1)
        return proposals.doubts(
            self.collection.near, votes, ~self.undecided, self.collection.others
        )

    @property
    def doubt(self) -> np.ndarray:
        """float32 [image], 0 to 1; 0 of images that somebody looked at."""
        return self._doubts.doubt

    @property
    def second(self) -> np.ndarray:
        """int32 [image], the other group, by code, that most neighbours are for; -1: none."""
        return self._doubts.second

    @cached_property
    def undecided(self) -> np.ndarray:
        """bool [image], of which nobody said what it is."""
        return (self.labels.status == NONE) | (self.labels.status == CLUSTER)

    @cached_property
    def labelled(self) -> Labelled:
        """Labels that a person gave, and those of clusters."""
        label, status = self.labels.label, self.labels.status
        decided = np.where(status == DECIDED, label, -1)
        named = np.where(status == CLUSTER, label, -1)
        # A group that was put into a category unseen is like a cluster with a name
        names = max(len(self.labels.of_cluster), len(np.unique(named[named >= 0])))
        return Labelled(decided, named, names)

    @cached_property
    def byte_of_doubt(self) -> np.ndarray:
        """The same as uint8, 0 to 255."""
        return np.rint(self.doubt * 255).astype(np.uint8)

    @cached_property
    def typical(self) -> list[list[int]]:
        """The rows of the most typical images of each group."""
        return first_of_each(self.groups, self.collection.by_typical, TYPICAL)

    def progress(self) -> dict[str, int]:
        """How many images have which status."""
        count = np.bincount(self.labels.status, minlength=len(STATUS)).tolist()
        return {**dict(zip(STATUS, count, strict=True)), "images": len(self.collection)}

    def category(self, row: int) -> str | None:
        """The label of an image."""
        at = int(self.labels.label[row])
        return self.labels.categories[at] if at >= 0 else None

    def letters(self, rows: np.ndarray) -> str:
        """The status of images, a letter each."""
        return LETTERS[self.labels.status[rows]].tobytes().decode()
