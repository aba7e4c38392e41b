"""The map of all pictures, and groups of equal ones: what other files read, by rows of the page."""

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import Response

from pages.review.pictures.read import Away
from pages.review.refused import Refused
from pages.review.server.asking import Question
from pages.review.server.served import Served

if TYPE_CHECKING:
    from pages.review.duplicates import Sizes

GROUPS = 500  # of duplicates that are told at once, at most


class Laid:
    """The answers about one server's state. What is read is kept until another run is opened."""

    def __init__(self, served: Served) -> None:
        self._served, self._lock = served, threading.Lock()
        self._map: tuple[str, bytes, dict[str, str]] | None = None  # of which cell, body, headers
        self._alike: tuple[str, Any, Any] | None = None  # of which cell, pairs, sizes of pictures

    def map(self, asked: Question) -> Response:
        """The places as bytes (map_points.packed); x-note: where they are not those of stage
        map."""
        from pages.review.map_points import headers, map_points, packed  # which load torch

        collection = self._served.state.collection
        with self._lock:
            if self._map is None or self._map[0] != str(collection.cell):
                points = map_points(collection.cell)
                points = points._replace(row=np.arange(len(points.row), dtype=np.uint32))
                self._map = (str(collection.cell), packed(points), headers(points))
            _, body, note = self._map
        return Response(body, headers=note, media_type="application/octet-stream")

    def duplicates(self, asked: Question) -> dict[str, Any]:
        """Groups of pictures that are equal, or as similar as `threshold` says."""
        from pages.review.duplicates import LOWEST, duplicates, read_alike  # which load torch

        collection = self._served.state.collection
        said = asked.text("threshold", "0.98")
        try:
            threshold = float(said)
        except ValueError:
            raise Refused(400, f"threshold is {said[:40]!r}: expected {LOWEST} to 1") from None
        start = asked.number("start", 0, 0, 2**31)
        most = asked.number("n", 100, 1, GROUPS)
        index = collection.clustering.row  # rising
        with self._lock:
            if self._alike is None or self._alike[0] != str(collection.cell):
                alike = read_alike(collection.cell)
                self._alike = (str(collection.cell), alike, self._sizes(index))
            _, alike, sizes = self._alike
        found = duplicates(alike, threshold, sizes, start, most)
        for group in found["groups"]:
            group["rows"] = np.searchsorted(index, group["rows"]).tolist()
        return found

    def _sizes(self, index: np.ndarray) -> "Sizes":
        """By rows of the index; each picture is looked at once."""
        pictures = self._served.pictures

        @cache
        def sizes(row: int) -> tuple[int, int, int]:
            try:
                return pictures.size(int(np.searchsorted(index, row)))
            except Away:
                return 0, 0, 0

        return sizes
