"""What the page shows of the groups and their pictures: the answers that only read."""

from typing import Any

import numpy as np

from pages.review import seen
from pages.review.groups import MARKED, name_of
from pages.review.orders import Orders
from pages.review.pictures.read import Away
from pages.review.refused import Refused
from pages.review.server.asking import Question, whole
from pages.review.server.served import Served
from pages.review.true_labels import true_labels
from pages.review.view import View

MOST_ROWS = 2000  # of a page of a grid
TOLD = 500  # rows that are told of at once
SHOWN_NEIGHBORS = 12
WORDS = 5  # proposed for a group


class Showing:
    """The answers about one server's state."""

    def __init__(self, served: Served) -> None:
        self._served, self._orders = served, Orders()

    @property
    def _view(self) -> View:
        return self._served.state.view

    def progress(self, asked: Question) -> dict[str, Any]:
        return standing(self._view)

    def groups(self, asked: Question) -> dict[str, Any]:
        """All groups with an image, the largest or the most doubtful first."""
        view, sort = self._view, asked.text("sort", "size")
        size = view.groups.size
        doubt = np.bincount(view.groups.code, view.doubt, len(size)) / np.maximum(size, 1)
        if sort not in ("size", "doubt"):
            raise Refused(400, f"no sort {sort[:40]!r}: expected size or doubt")
        order = np.argsort(-(size if sort == "size" else doubt), kind="stable")
        decided = np.bincount(view.groups.code[view.labels.status == 0], minlength=len(size))
        there = [code for code in order.tolist() if size[code]]
        cards = [
            {
                **_card(view, code),
                "decided": int(decided[code]),
                "sure": round(1 - float(doubt[code]), 4),
                "typical": view.typical[code],
            }
            for code in there
        ]
        return {"groups": cards, "progress": view.progress()}

    def group(self, asked: Question) -> dict[str, Any]:
        """A page of the grid of one group."""
        view, key = self._view, asked.text("key")
        code = find(view, key)
        rows = self._orders.of(view, code, asked.text("order", "typical"))
        low = asked.number("offset", 0, 0, 2**31)
        page = rows[low : low + asked.number("limit", 500, 1, MOST_ROWS)]
        own = view.groups.code == code
        return {
            **_card(view, code),
            "decided": int((view.labels.status[own] == 0).sum()),
            "sure": round(1 - float(view.doubt[own].mean()), 4),
            "rows": page.tolist(),
            "status": view.letters(page),
            "doubt": view.byte_of_doubt[page].tolist(),
            "version": view.version,
        }

    def colors(self, asked: Question) -> dict[str, Any]:
        """One number for each picture, in the order of the rows: what the map is coloured by."""
        view, by = self._view, asked.text("by")
        title = by
        said: dict[str, Any]
        if by == "doubt":
            value, said = view.byte_of_doubt, {"low": 0, "high": 1}
        elif by == "cluster":
            names = [f"cluster {c}" for c in range(view.collection.clustering.k)]
            value, said = view.collection.clustering.assignment, {"names": names}
        elif by == "split":
            splits, value = np.unique(view.collection.split.astype(str), return_inverse=True)
            said = {"names": splits.tolist()}
        elif by == "name":
            _, value = seen.labelled(view)
            said = {"names": [*view.labels.categories, *MARKED]}
        elif by == "label":
            title = "true label"
            names, value = true_labels(view.collection)
            said = {"names": names}
        else:
            raise Refused(400, f"no {by[:40]!r}: expected cluster, name, doubt, split or label")
        return {"title": title, **said, "value": value.tolist(), "version": view.version}

    def rows(self, asked: Question) -> dict[str, Any]:
        """What there is to say of some pictures."""
        view, many = self._view, len(self._view.collection)
        said = asked.text("rows").split(",")
        if len(said) > TOLD:
            raise Refused(400, f"{len(said)} rows: at most {TOLD} can be asked for at once")
        rows = np.array([whole("rows", one, 0, many - 1) for one in said], np.int64)
        return {
            "rows": rows.tolist(),
            "path": view.collection.name[rows].tolist(),
            "label": [view.category(row) for row in rows.tolist()],
            "status": view.letters(rows),
            "doubt": view.byte_of_doubt[rows].tolist(),
            "cluster": view.collection.clustering.assignment[rows].tolist(),
        }

    def image(self, asked: Question) -> dict[str, Any]:
        """All about one picture."""
        view = self._view
        collection, groups = view.collection, view.groups
        row = asked.number("row", None, 0, len(collection) - 1)
        other = int(view.second[row])
        near = collection.near.neighbor[row, :SHOWN_NEIGHBORS].tolist() if collection.near else []
        width, height, note = 0, 0, ""
        try:
            width, height, _ = self._served.pictures.size(row)
        except Away as away:
            note = str(away)
        return {
            "row": row,
            "path": str(collection.name[row]),
            "split": str(collection.split[row]),
            "label": view.category(row),
            "group": groups.key[int(groups.code[row])],
            "status": view.letters(np.array([row])),
            "cluster": int(collection.clustering.assignment[row]),
            "doubt": round(float(view.doubt[row]), 4),
            "second": (name_of(groups.key[other]) or groups.key[other]) if other >= 0 else None,
            "second_key": groups.key[other] if other >= 0 else None,
            "neighbors": near,
            "width": width,
            "height": height,
            "digest": collection.clustering.digest[row],
            "note": note,
        }

    def moved(self, asked: Question) -> dict[str, Any]:
        """The labels as they were seen last against those of now."""
        return seen.moved(self._served.state.before, self._view)


def standing(view: View) -> dict[str, Any]:
    """How far the review is."""
    return {
        **view.progress(),
        "can_undo": view.said.can_undo,
        "can_redo": view.said.can_redo,
        "version": view.version,
        "said_last": view.said_last,
        "categories": view.labels.categories,
    }


def find(view: View, key: str) -> int:
    """The code of a group. Refused where it is no more."""
    code = view.groups.find(key)
    if code is None:
        raise Refused(404, f"there is no group {key[:60]!r}: it was renamed or emptied")
    return code


def _card(view: View, code: int) -> dict[str, Any]:
    key = view.groups.key[code]
    name = name_of(key)
    if name is None:
        clusters = [int(key[2:])] if key.startswith("c:") else []
    else:
        clusters = [c for c, category in view.labels.of_cluster.items() if category == name]
    words = view.collection.words
    proposed = [word for c in clusters if c < len(words) for word in words[c]]
    marked = key[2:] if key.startswith("s:") and key[2:] in MARKED else None
    return {
        "key": key,
        "name": name or marked,
        "clusters": clusters,
        "size": int(view.groups.size[code]),
        "proposals": list(dict.fromkeys(proposed))[:WORDS],
    }
