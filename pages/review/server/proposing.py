"""What the page proposes, and what it finds by likeness: answers that compute."""

import threading
from typing import Any

import numpy as np

from cluster.suggest.audit import audit, with_decided
from cluster.suggest.sheets import propose_sheets
from cluster.suggest.sort_rest import top_two
from pages.review import proposals
from pages.review.groups import by_pair, name_of
from pages.review.refused import Refused
from pages.review.search.similar import most_similar
from pages.review.server.asking import Question, parsed
from pages.review.server.served import Served
from pages.review.server.showing import find
from pages.review.server.wanted import SortRest, SplitGroup
from pages.review.view import View
from pipeline.review.decisions import Audit

FOUND = 2000  # pictures of a search at most
AUDIT = 100  # pictures of an audit
# Pictures of a sheet for each root of the number of all: with that, actions are fewest
SHEET, SMALLEST = 0.75, 30
SHEETS = 4  # that are told at once
GUESSES = 4  # of an image
LONGEST_QUERY = 500  # characters


class Proposing:
    """The answers about one server's state."""

    def __init__(self, served: Served) -> None:
        self._served, self._lock = served, threading.Lock()
        self._known: tuple[View, np.ndarray] | None = None

    @property
    def _view(self) -> View:
        return self._served.state.view

    def suggestions(self, asked: Question) -> dict[str, Any]:
        """Groups that look alike, and groups that fall apart."""
        view = self._view
        key, categories = view.groups.key, len(view.labels.categories)
        code = np.where(view.groups.code < view.groups.marked, view.groups.code, -1)
        names = np.where(np.arange(len(key)) < categories, np.arange(len(key)), -1)
        merges = self._served.proposer.merges(code, names)
        splits = self._served.proposer.splits(code, view.labelled.decided)
        return {
            "merges": [
                {
                    "groups": [key[m.one], key[m.other]],
                    "evidence": m.evidence,
                    "score": round(m.score, 4),
                }
                for m in merges
            ],
            "splits": [
                {"group": key[s.code], "evidence": s.evidence, "score": round(s.score, 4)}
                for s in splits
            ],
            "version": view.version,
        }

    def split(self, asked: Question) -> dict[str, Any]:
        """The parts of a group by k-means, most typical first; nothing is decided by that."""
        view, wanted = self._view, parsed(SplitGroup, asked.body)
        rows = view.groups.rows(find(view, wanted.key))
        if len(rows) < wanted.parts:
            raise Refused(409, f"{len(rows)} pictures cannot be {wanted.parts} groups")
        part = self._served.proposer.split(rows, wanted.parts, view.labelled.decided)
        order = np.argsort(view.collection.untypical[rows], kind="stable")
        parts = [rows[order][part[order] == number] for number in range(wanted.parts)]
        parts = sorted((p.tolist() for p in parts if len(p)), key=len, reverse=True)
        return {"parts": parts, "version": view.version}

    def next(self, asked: Question) -> dict[str, Any]:
        """What to look at next: single pictures, or sheets of what is likely of one category."""
        view, kind = self._view, asked.text("kind", "ask")
        sheet = max(SMALLEST, round(SHEET * len(view.collection) ** 0.5))
        many = asked.number("n", 12 if kind == "ask" else min(sheet, 500), 1, 500)
        if kind == "ask":
            return self._ask(view, many)
        if kind == "batch":
            return self._batch(view, many)
        raise Refused(400, f"no kind {kind[:40]!r}: expected ask or batch")

    def _ask(self, view: View, many: int) -> dict[str, Any]:
        if not view.labels.categories:
            return self._doubtful(view, many)
        p = self._probabilities(view)
        best = top_two(p)
        rows = self._served.proposer.ask_next(best, view.undecided, many, view.version)
        names, items = view.labels.categories, []
        for row in rows.tolist():
            order = np.argsort(-p[row], kind="stable")[:GUESSES].tolist()
            guesses = [
                {"category": names[c], "key": f"n:{names[c]}", "p": round(float(p[row, c]), 3)}
                for c in order
                if p[row, c] > 0
            ]
            why = f"{_percent(best.margin[row])} between its two likeliest answers"
            items.append({"row": row, "guesses": guesses, "why": why})
        return {"items": items, "version": view.version}

    def _doubtful(self, view: View, many: int) -> dict[str, Any]:
        """Before anything has a name: what lies between clusters."""
        rows = np.flatnonzero(view.undecided)
        rows = rows[np.argsort(-view.doubt[rows], kind="stable")[:many]]
        near, key, items = view.collection.near, view.groups.key, []
        for row in rows.tolist():
            guesses = [
                {"category": _title(key[c]), "key": key[c], "p": round(p, 3)}
                for c, p in proposals.votes(near, view.groups.code, row, GUESSES)
            ]
            items.append({"row": row, "guesses": guesses, "why": "it lies between clusters"})
        return {"items": items, "version": view.version}

    def _batch(self, view: View, many: int) -> dict[str, Any]:
        """Sheets, the most useful first; the first one is told at the top too."""
        nothing: dict[str, Any] = {"category": None, "rows": [], "second": [], "items": []}
        if not view.labels.categories or not view.undecided.any():
            return {**nothing, "version": view.version}
        p = self._probabilities(view)
        unit = self._served.proposer.space().unit
        names, items = [*view.labels.categories, None], []
        for sheet in propose_sheets(unit, p, view.undecided, size=many, most=SHEETS):
            items.append(
                {
                    "category": names[sheet.label],
                    "rows": sheet.rows.tolist(),
                    "second": [names[second] for second in sheet.second.tolist()],
                    "probability": [round(float(each), 3) for each in sheet.probability],
                    "value": round(sheet.value, 3),
                }
            )
        return {**nothing, **(items[0] if items else {}), "items": items, "version": view.version}

    def sort_rest(self, asked: Question) -> dict[str, Any]:
        """Where the pictures that nobody looked at would go by what was said of others."""
        view = self._view
        parsed(SortRest, asked.body)
        if not view.labels.categories:
            return {"moves": [], "share_changed": 0, "version": view.version}
        best = top_two(self._probabilities(view))
        rows = np.flatnonzero(view.undecided & (best.label != view.labels.label))
        key, names = view.groups.key, view.labels.categories
        moves = [
            {"from": key[old], "to": names[new], "rows": own}
            for old, new, own in by_pair(view.groups.code[rows], best.label[rows], rows)
        ]
        share = len(rows) / max(1, len(view.collection))
        return {"moves": moves, "share_changed": round(share, 4), "version": view.version}

    def _probabilities(self, view: View) -> np.ndarray:
        """Of the view that was asked about last."""
        with self._lock:
            if self._known is None or self._known[0] is not view:
                self._known = (view, self._served.proposer.probabilities(view.labelled))
            return self._known[1]

    def audit(self, asked: Question) -> dict[str, Any]:
        """A random sample of what nobody looked at, and what its answers say of all labels; again:
        begin another one."""
        view = self._view
        own = {digest: row for row, digest in enumerate(view.collection.clustering.digest)}
        said = [one for one in view.said.audited if one.image in own]
        again = asked.text("again", "") in ("1", "true")
        latest = len(said) % AUDIT or (0 if again else AUDIT)
        answered = said[max(0, len(said) - latest) :] if latest else []
        # The digests are random numbers themselves, the same ones on every machine
        order = np.argsort(np.ascontiguousarray(view.collection.found.id).view("S16").ravel())
        left = order[view.undecided[order]]
        right = sum(_is_right(one) for one in answered)
        of = audit(right, len(answered), len(left) + len(answered))
        whole = with_decided(of, len(view.collection) - of.images)
        sample = left[: AUDIT - len(answered)].tolist()
        share = whole.right if answered or not len(left) else None
        return {
            "size": len(answered) + len(sample),
            "sample": sample,
            "answered": len(answered),
            "right": right,
            "share": None if share is None else round(share, 4),
            "interval": [round(whole.low, 4), round(whole.high, 4)],
            "note": (
                "Share of right labels among all pictures, those that you looked at taken as "
                "right; 95 % by Wilson's interval, of a random sample of the others"
            ),
            "version": view.version,
        }

    def search(self, asked: Question) -> dict[str, Any]:
        """By a row or by words."""
        view, many = self._view, asked.number("n", 200, 1, FOUND)
        found = view.collection.found
        if "like" in asked.query:
            row = asked.number("like", None, 0, len(found) - 1)
            return _found(view, found.take(np.array([row]))[0], many)
        words = " ".join(asked.text("text").split())
        if not words or len(words) > LONGEST_QUERY:
            raise Refused(400, f"write what to look for, at most {LONGEST_QUERY} characters")
        return _found(view, self._served.towers.of_words(words), many)

    def search_by_file(self, asked: Question) -> dict[str, Any]:
        """By the bytes of a picture."""
        many = asked.number("n", 200, 1, FOUND)
        return _found(self._view, self._served.towers.of_picture(asked.body), many)


def _found(view: View, vector: np.ndarray, many: int) -> dict[str, Any]:
    if len(vector) != view.collection.found.dim:
        raise Refused(409, "the vector is of another width than those of the collection")
    rows, cosine = most_similar(view.collection.found, vector, many)
    return {
        "rows": rows.tolist(),
        "similarity": [round(float(c), 4) for c in cosine],
        "status": view.letters(rows),
        "version": view.version,
    }


def _is_right(one: Audit) -> bool:
    """Whether an image was called what it is."""
    return one.status == "decided" and one.called == one.category


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _title(key: str) -> str:
    """What the page calls a group."""
    return name_of(key) or (f"cluster {key[2:]}" if key.startswith("c:") else key[2:])
