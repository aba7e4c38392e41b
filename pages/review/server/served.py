"""What one server serves: the state, its pictures and towers, and what the page is told first."""

import threading
from collections import OrderedDict
from hashlib import blake2b
from typing import Any

import numpy as np
from starlette.responses import Response

from pages.report.tables.ranking import read_ranked
from pages.review.asked import backbones_of, runs_of
from pages.review.pictures.drawn import no_picture, whole
from pages.review.pictures.read import Away, Pictures
from pages.review.pictures.thumbnails import Thumbnails, folder_of
from pages.review.proposals import Proposer
from pages.review.refused import Refused
from pages.review.search.towers import Towers
from pages.review.server.asking import Question
from pages.review.state import State
from pages.review.true_labels import has_labels
from pipeline.params import Runtime, count_cores

IMMUTABLE = {"cache-control": "private, max-age=31536000, immutable"}
WHOLE_KEPT = 16  # pictures


class Served:
    """Opens pictures anew where another clustering has other images."""

    def __init__(self, state: State, runtime: Runtime) -> None:
        self.state = state
        self._memory = min(runtime.memory_gb * 1e9, 1e9)
        self._threads = runtime.workers or count_cores()
        self._lock = threading.Lock()
        self._whole = OrderedDict[int, tuple[bytes, str]]()
        self._opened = ""
        self.thumbnails: Thumbnails
        self.follow()

    def follow(self) -> None:
        """The pictures and the towers of the present clustering."""
        collection = self.state.collection
        self.towers = Towers(collection.cell.backbone)
        self.proposer = Proposer(collection)
        order = blake2b(collection.found.id.tobytes(), digest_size=8).hexdigest()
        if order == self._opened:
            return
        if self._opened:
            self.thumbnails.stop()
        self._opened = order
        with self._lock:
            self._whole.clear()
        read, why = self.state.pictures, self.state.no_pictures
        ids = collection.found.id
        self.pictures = Pictures(read, why, collection.name, ids, self._memory)
        self.thumbnails = Thumbnails(
            folder_of(self.state.dataset), self.pictures, ids, self._threads
        )
        if read is not None:
            self.thumbnails.start()

    def thumb(self, asked: Question) -> Response:
        """WebP of a picture; a grey square where it is gone, which is asked for again next time."""
        row = self._row(asked)
        try:
            found = self.thumbnails.of(row)
            return Response(found, headers=self._cached(asked), media_type="image/webp")
        except Away as away:
            headers = {"cache-control": "no-store", "x-note": _latin(str(away))}
            return Response(no_picture(), headers=headers, media_type="image/webp")

    def full(self, asked: Question) -> Response:
        """A picture as large as it is shown."""
        row = self._row(asked)
        try:
            found, kind = self._drawn(row)
            return Response(found, headers=self._cached(asked), media_type=kind)
        except Away as away:
            headers = {"cache-control": "no-store", "x-note": _latin(str(away))}
            return Response(no_picture(), headers=headers, media_type="image/webp")

    def _cached(self, asked: Question) -> dict[str, str]:
        """For ever, if the address says of which order of the rows (`v`) the picture is."""
        return IMMUTABLE if asked.query.get("v") == self._opened else {"cache-control": "no-store"}

    def about(self, asked: Question | None = None) -> dict[str, Any]:
        """What is looked at, what else there is, and what is missing."""
        view = self.state.view
        collection = view.collection
        cell, of = collection.cell, collection.asked
        rank: dict[tuple[str, str], int] = {}
        for one in read_ranked(cell.dataset):
            rank.setdefault((one.backbone, one.run), one.rank)
        runs = [
            {
                "key": key,
                "label": key.split("/", 1)[1],
                "rank": rank.get((cell.backbone, key.rpartition("/")[2])),
                "current": key == of.key,
            }
            for key in runs_of(cell.dataset, cell.backbone)
        ]
        gone = len(self.thumbnails.away)
        notes = [*collection.notes, self.state.no_pictures, self.state.trouble]
        if not self.state.no_pictures and gone:
            first = next(iter(self.thumbnails.away.values()))
            notes.append(f"{gone} pictures cannot be shown, the first: {first}")
        if self.towers.why_not:
            notes.append(f"no search by a file: {self.towers.why_not}")
        return {
            "dataset": cell.dataset,
            "backbone": cell.backbone,
            "run": cell.run,
            "folder": of.folder,
            "setting": of.setting,
            "seed": collection.clustering.seed,
            "images": len(collection),
            "rows": self._opened,
            "version": view.version,
            "k": collection.clustering.k,
            "runs": runs,
            "backbones": backbones_of(cell.dataset),
            "has": {
                "map": cell.map.exists(),
                "duplicates": cell.duplicates.exists(),
                "neighbors": collection.near is not None,
                "names": bool(collection.words),
                "text": self.towers.has_text,
                "embed": not self.towers.why_not,
                "pictures": self.state.pictures is not None,
                "labels": has_labels(cell),
            },
            "notes": [note for note in notes if note],
            "review_file": str(self.state.journal.path),
            "categories": view.labels.categories,
        }

    def _row(self, asked: Question) -> int:
        row = int(asked.path["row"])
        if row >= len(self.state.collection):
            raise Refused(404, f"there is no picture {row}")
        return row

    def _drawn(self, row: int) -> tuple[bytes, str]:
        with self._lock:
            if row in self._whole:
                self._whole.move_to_end(row)
                return self._whole[row]
        raw = self.pictures.raw(row)
        with self.pictures.decoded(raw) as picture:
            found = whole(picture, lossless=isinstance(raw, np.ndarray))
        with self._lock:
            self._whole[row] = found
            while len(self._whole) > WHOLE_KEPT:
                self._whole.popitem(last=False)
        return found


def _latin(text: str) -> str:
    """As a header may hold it."""
    return text.encode("ascii", "replace").decode()[:200]
