"""What every reader gives back: which images there are, in which split, with which label."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


class ImagesError(Exception):
    """Something is wrong with the user's images or their description.

    One line: what was found, what was expected, what to do.
    """


Raw = bytes | np.ndarray
"""An encoded image file's bytes, or a uint8 array [height, width] or [height, width, 3]."""

Opener = Callable[[str], Raw]
"""Reads one image by its name. Thread-safe; raises ImagesError."""

Stater = Callable[[str], tuple[int, ...] | None]
"""Of one image's file: size in bytes, time of last change in ns, inode, and time in ns at which the
inode last changed, which nobody can set; None where it has no file."""


@dataclass(frozen=True)
class Listing:
    """One collection of images, in the order of its index."""

    names: Sequence[str]
    """[image] Unique, '/'-separated names, relative to the collection."""
    split: np.ndarray
    """int32 [image] Index into `splits`."""
    splits: list[str]
    """The names of the splits, each once; some may have no image."""
    labels: np.ndarray
    """int32 [image] Index into `classes`; -1 = none."""
    classes: list[str]
    """[class] Class names in label order; empty for a collection without labels."""
    n_classes: int
    """How many classes are expected; 0 = nobody said."""
    notes: tuple[str, ...] = ()
    """What a user should know of it: what was left out, read by content or is empty; lines."""


def coded(values: Iterable[str]) -> tuple[np.ndarray, list[str]]:
    """Which of the distinct values each one is, int32 [value]; and these, the first met first."""
    seen: dict[str, int] = {}
    at = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.int32)
    return at, list(seen)
