"""Pictures with 16 bits a channel that hold fewer: they come out dark, and nobody would know."""

from threading import Lock
from typing import final

from PIL.Image import Image

from images import BRIGHTEST

DEPTHS = (8, 10, 12, 14)  # bits of cameras and scanners whose files have 16


@final
class Dark:
    """Counts them. Thread-safe."""

    def __init__(self) -> None:
        self._deep, self._dark, self._brightest, self._lock = 0, 0, 0, Lock()

    def see(self, picture: Image) -> None:
        """Count a decoded picture; one that is black all over has no depth to tell."""
        if brightest := picture.info.get(BRIGHTEST):
            with self._lock:
                self._deep += 1
                if brightest < 2 ** DEPTHS[-1]:
                    self._dark += 1
                    self._brightest = max(self._brightest, brightest)

    def said(self, dataset: str) -> str:
        """One line on what was counted since the last call; "" where nothing is dark."""
        with self._lock:
            deep, dark, brightest = self._deep, self._dark, self._brightest
            self._deep = self._dark = self._brightest = 0
        if not dark:
            return ""
        bits = next(bits for bits in DEPTHS if brightest < 2**bits)
        return (
            f"{dark} of {deep} pictures with 16 bits a channel have no value above {brightest:,} "
            f"of 65,535 and are nearly black: if {bits} bits count, say depth: {bits} of {dataset}"
        )
