"""Loops over numbers that numba compiles for this processor.

They let other threads work, and touch each vector once, while it is in the cache. Compiled code is
kept beside the source (or in the user's cache folder), so that only the first run waits for it. It
is made anew when its file changes: after a change of this one, or of a constant that comes from
another, remove `cluster/__pycache__`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])

# Sums may be taken in any order, which is what lets them be vectors; infinity is a number here.
FREE = {"nnan", "nsz", "reassoc", "contract"}


def compiled(loop: Loop) -> Loop:
    """The loop as machine code: once for each dtype and layout of its arrays, so give it few."""
    return _made(loop, FREE)


def in_order(loop: Loop) -> Loop:
    """The same, whose sums are taken in the order in which they are written."""
    return _made(loop, set())


def _made(loop: Loop, free: set[str]) -> Loop:
    settings: dict[str, Any] = {"nogil": True, "fastmath": free, "error_model": "numpy"}
    try:
        return cast(Loop, numba.njit(cache=True, **settings)(loop))
    except RuntimeError:  # there is no folder to keep it in
        return cast(Loop, numba.njit(**settings)(loop))
