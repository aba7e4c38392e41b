"""What the server holds: one clustering, the decisions, and the view of both that all tabs share.

Requests run in threads. They read `view`, which never changes but is replaced; whoever replaces it
holds the lock. Decisions are on the disk (Journal.append) before the view changes.
"""

import threading
from collections.abc import Callable

from pages.review import seen
from pages.review.asked import Asked, asked
from pages.review.collection import Collection, Opener, open_collection, opener
from pages.review.described import described
from pages.review.refused import Refused
from pages.review.view import View
from pipeline.params import StageError
from pipeline.review.decisions import Decision
from pipeline.review.journal import Journal, journal_of
from pipeline.review.replay import standing
from store.disk import FULL

Listener = Callable[[str, dict[str, object]], None]  # an event and its data


class State:
    """tell: called with each event, from any thread; pictures, no_pictures: what reads one by its
    name, or why nothing does; trouble: what is wrong with the file of decisions, "" if nothing."""

    def __init__(self, first: Asked, tell: Listener = lambda event, data: None) -> None:
        self.dataset, self.tell, self.trouble = first.cell.dataset, tell, ""
        self._lock = threading.RLock()
        self.journal = Journal(journal_of(self.dataset), self.dataset)
        self.pictures: Opener | None
        self.pictures, self.no_pictures = opener(self.dataset)
        self.view = self._look(open_collection(first))
        self.before = seen.read(self.dataset)

    @property
    def collection(self) -> Collection:
        return self.view.collection

    def decide(self, make: Callable[[View], Decision]) -> View:
        """Append what `make` makes of the present view, and show what comes of it.

        Raises Refused where it cannot be written: then nothing is lost, and nothing has changed.
        """
        with self._lock:
            self.refresh()
            if self.trouble:
                raise Refused(500, f"not saved: {self.trouble}")
            decision, before = make(self.view), len(self.journal.decisions)
            try:
                self.journal.append(decision)
            except StageError as error:  # somebody has taken the file away at this moment
                self.trouble = str(error)
                raise Refused(500, f"not saved: {error}") from None
            except OSError as error:
                full = error.errno in FULL
                why = "the disk is full" if full else (error.strerror or str(error))
                raise Refused(
                    507 if full else 500,
                    f"not saved: {self.journal.path}: {why}; all that was decided before is kept",
                ) from error
            finally:
                if len(self.journal.decisions) != before and not self.trouble:
                    self._show()
            return self.view

    def refresh(self) -> bool:
        """Read what other processes have appended; whether there was something."""
        with self._lock:
            try:
                # What a file that was damaged held until then is shown when it is sound again
                changed = self.journal.refresh() or bool(self.trouble)
                self.trouble = ""
            except StageError as error:
                if self.trouble != str(error):
                    self.trouble = str(error)
                    print(f"review: {error}")
                return False
            if changed:
                self._show()
            return changed

    def open(self, backbone: str, run: str, setting: int = 0, seed: int | None = None) -> View:
        """Look at another clustering of the same dataset."""
        collection = open_collection(asked(self.dataset, backbone, run, setting, seed))
        with self._lock:
            old = self.view
            if old.collection.clustering.fingerprint != collection.clustering.fingerprint:
                self.before = seen.of(old)
                seen.write(self.dataset, self.before)
            self.view = self._look(collection)
        self.tell("opened", {})
        return self.view

    def close(self) -> None:
        """Keep the labels as they were seen last."""
        with self._lock:
            seen.write(self.dataset, seen.of(self.view))

    def _show(self) -> None:
        self.view = self._look(self.collection)
        self.tell("changed", {"version": self.view.version, "said": self.view.said_last})

    def _look(self, collection: Collection) -> View:
        decisions = self.journal.decisions
        last = described(decisions[-1], standing(decisions)) if decisions else ""
        return View(collection, decisions, last)
