"""The order of a group's pictures: most typical first, or most doubtful, or by likeness.

An order is made once for each version of the labels and kept, since a grid asks for it in pages.
"""

import threading
from collections import OrderedDict

import numpy as np

from pages.review.refused import Refused
from pages.review.search.similar import similarities
from pages.review.view import View

KEPT = 16  # orders


class Orders:
    """Of groups of one view after another. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._known = threading.Lock(), OrderedDict[tuple[object, ...], np.ndarray]()

    def of(self, view: View, code: int, order: str) -> np.ndarray:
        """int32 [image of the group]: its rows. Refused for an order that there is not."""
        fingerprint = view.collection.clustering.fingerprint
        key = (fingerprint, view.version, code, order)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = _ordered(view, view.groups.rows(code), order).astype(np.int32)
        with self._lock:
            self._known[key] = found
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found


def _ordered(view: View, rows: np.ndarray, order: str) -> np.ndarray:
    if order == "typical":
        by = view.collection.untypical[rows]
    elif order == "doubt":
        by = -view.doubt[rows]
    elif order.startswith("like:") and order[5:].isdecimal():
        row = int(order[5:])
        if row >= len(view.collection):
            raise Refused(404, f"there is no picture {row}")
        found = view.collection.found
        by = -similarities(found, found.take(np.array([row]))[0], rows)
    else:
        raise Refused(400, f"no order {order[:40]!r}: expected typical, doubt or like:ROW")
    return rows[np.argsort(by, kind="stable")]
