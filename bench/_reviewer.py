"""A person who knows the labels and does only what the review page proposes, counted in actions.

One action each: a cluster's name, typed; a click or drag that selects pictures which lie side by
side; the move of what is selected to another label; the acceptance of what is shown; the answer for
one asked picture. Labels are read to answer, and to see when enough are right; what is proposed is
computed without them.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import assign
from cluster.suggest.ask_next import ask_next
from cluster.suggest.sheets import propose_sheets
from cluster.suggest.sort_rest import class_probabilities, top_two
from cluster.suggest.space import Space
from cluster.suggest.typical import away_from_centre, own_support, typical_order
from cluster.vectors.rows import ArrayRows

TYPICAL = 12  # pictures of a card, by which it is named
SECTIONS = 4  # labels whose sheets are shown, and accepted, at once


class Plan(NamedTuple):
    """How many clusters are named first, how many pictures a sheet has, and after how many answers
    the rest is sorted again: all from the number of images."""

    clusters: int
    sheet: int
    asked: int


def plan_for(images: int) -> Plan:
    root = images**0.5
    return Plan(max(10, round(root / 5)), max(30, round(0.75 * root)), max(10, round(root)))


class Person:
    """truth: int [image]. Has `label` (the page's at this moment), `decided` and `named` (int
    [image], -1 none), the number of `actions`, and the processor's `seconds` of each proposal."""

    def __init__(self, space: Space, truth: np.ndarray) -> None:
        self.space, self.truth = space, truth
        self.decided = np.full(len(truth), -1, np.int64)
        self.named, self.label = self.decided.copy(), self.decided.copy()
        self.actions, self.names = 0, 0
        self.probability = np.zeros((len(truth), 0))
        self.seconds: dict[str, list[float]] = {}

    def right(self) -> float:
        return float((self.label == self.truth).mean())

    def name_clusters(self, k: int, seed: int, near: tuple[np.ndarray, np.ndarray]) -> None:
        """Name each cluster of an over-clustering after most of its typical pictures; near: the
        neighbours and their similarities."""
        rows = ArrayRows(self.space.unit)
        fit = kmeans(rows, k, seeds=[seed], n_init=3, max_iter=100, tol=1e-4)
        cluster = assign(rows, fit.centroids).assignment[0]
        supported = own_support(*near, cluster)
        away = away_from_centre(self.space.unit, cluster)
        for number in range(k):
            shown = typical_order(np.flatnonzero(cluster == number), supported, away)
            if len(shown):
                most = np.bincount(self.truth[shown[:TYPICAL]]).argmax()
                self.named[cluster == number] = most
                self.actions += 1
                self.names += 1
        self.label = self.named.copy()

    def sort(self) -> None:
        self.probability = self._timed(
            "sort_rest", class_probabilities, self.space, self.decided, self.named, self.names
        )
        self.label = top_two(self.probability).label.astype(np.int64)

    def verify(self, size: int, enough: float) -> None:
        """Sheets of some labels on one page: move what is wrong, the labels with the most wrong
        pictures an action first, and accept the rest; stop when `enough` are right."""
        sheets = self._timed(
            "sheets", propose_sheets, self.space.unit, self.probability, self.decided < 0,
            size=size, most=SECTIONS,
        )  # fmt: skip
        moves = []
        shown = np.concatenate([sheet.rows for sheet in sheets])
        for label in np.unique(self.truth[shown]):
            drags = sum(selections(self.truth[s.rows] == label, s.label != label) for s in sheets)
            wrong = shown[(self.truth[shown] == label) & (self.label[shown] != label)]
            if len(wrong):
                moves.append((-len(wrong) / (drags + 1), int(label), drags, wrong))
        for _, label, drags, wrong in sorted(moves, key=lambda move: move[:2]):
            self.actions += drags + 1
            self.label[wrong] = self.decided[wrong] = label
            if self.right() >= enough:
                return
        self.actions += 1
        self.decided[shown] = self.truth[shown]

    def answer(self, count: int, seed: int, enough: float) -> None:
        """Answer for asked pictures one by one."""
        margin = top_two(self.probability).margin
        asked = self._timed(
            "ask_next", ask_next, self.space.graph, margin, self.decided < 0, count, seed
        )
        for image in asked:
            self.actions += 1
            self.label[image] = self.decided[image] = self.truth[image]
            if self.right() >= enough:
                return

    def _timed(self, what: str, call: Callable[..., Any], *words: Any, **named: Any) -> Any:
        begin = time.process_time()
        found = call(*words, **named)
        self.seconds.setdefault(what, []).append(time.process_time() - begin)
        return found


def selections(of_label: np.ndarray, wrong: bool) -> int:
    """The drags or clicks that select the images of a label, bool [row] in the order of a sheet:
    one a run; 0 if they are not `wrong` there."""
    if not wrong or not len(of_label):
        return 0
    return int(of_label[0]) + int((of_label[1:] & ~of_label[:-1]).sum())


def review(person: Person, plan: Plan, enough: float) -> None:
    """Verify sheet after sheet, the rest sorted after each, until `enough` are right."""
    person.sort()
    while person.right() < enough and (person.decided < 0).any():
        person.verify(plan.sheet, enough)
        if person.right() < enough:
            person.sort()


def ask(person: Person, plan: Plan, most: int, enough: float) -> None:
    """Answer picture after picture, up to `most` actions in all."""
    person.sort()
    while person.right() < enough and person.actions < most and (person.decided < 0).any():
        person.answer(min(plan.asked, most - person.actions), person.actions, enough)
        if person.right() < enough:
            person.sort()
