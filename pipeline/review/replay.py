"""What all decisions come to, once those are left out that were taken back."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.review.decisions import (
    Audit,
    Cluster,
    Decision,
    Name,
    Place,
    Redo,
    Rename,
    Status,
    Together,
    Undo,
)


class Placed(NamedTuple):
    """What was said of one image."""

    status: Status
    category: str


class Said(NamedTuple):
    """placed: by digest (hex), of the images of which something was said; named: the clusters that
    were named and their category, the latest last; audited: the answers of random audits; renamed:
    categories and what they were called then, in order; can_undo, can_redo: whether something may
    be taken back, and made to stand again."""

    placed: dict[str, Placed]
    named: list[tuple[Cluster, str]]
    audited: list[Audit]
    renamed: list[tuple[str, str]]
    can_undo: bool
    can_redo: bool


def standing(decisions: Iterable[Decision]) -> tuple[list[Decision], list[Decision]]:
    """Those that stand, in order, and those that were taken back and can be made to stand again,
    the next one last. A new decision after an `undo` ends that possibility, as in an editor."""
    stand: list[Decision] = []
    undone: list[Decision] = []
    for decision in decisions:
        if isinstance(decision, Undo):
            if stand:
                undone.append(stand.pop())
        elif isinstance(decision, Redo):
            if undone:
                stand.append(undone.pop())
        else:
            stand.append(decision)
            undone.clear()
    return stand, undone


def apart(stand: Iterable[Decision]) -> list[Decision]:
    """Decisions with each part of `together` as one of its own."""
    return [
        one
        for decision in stand
        for one in (decision.of if isinstance(decision, Together) else (decision,))
    ]


def replay(decisions: Sequence[Decision]) -> Said:
    """The last word about each image and each cluster."""
    stand, undone = standing(decisions)
    return Said(*_last_words(apart(stand)), bool(stand), bool(undone))


def replay_but_places(decisions: Sequence[Decision]) -> tuple[Said, list[Decision]]:
    """The same without what was said by `place`, and the decisions that stand, apart: for who
    replays those in numpy (pipeline.review.by_row)."""
    stand, undone = standing(decisions)
    parts = apart(stand)
    others = [decision for decision in parts if not isinstance(decision, Place)]
    return Said(*_last_words(others), bool(stand), bool(undone)), parts


def _last_words(
    stand: Iterable[Decision],
) -> tuple[dict[str, Placed], list[tuple[Cluster, str]], list[Audit], list[tuple[str, str]]]:
    placed: dict[str, Placed] = {}
    named: list[tuple[Cluster, str]] = []
    audited: list[Audit] = []
    renamed: list[tuple[str, str]] = []
    for decision in stand:
        if isinstance(decision, Place):
            one = Placed(decision.status, decision.category)
            if decision.status == "undecided":
                for image in decision.images:
                    placed.pop(image, None)
            else:
                placed.update(dict.fromkeys(decision.images, one))
        elif isinstance(decision, Audit):
            placed[decision.image] = Placed(decision.status, decision.category)
            audited.append(decision)
        elif isinstance(decision, Name):
            named += [(cluster, decision.category) for cluster in decision.clusters]
        elif isinstance(decision, Rename):
            old, new = decision.category, decision.to
            renamed.append((old, new))
            placed = {
                image: one._replace(category=new) if one.category == old else one
                for image, one in placed.items()
            }
            named = [(cluster, new if name == old else name) for cluster, name in named]
    return placed, named, audited, renamed
