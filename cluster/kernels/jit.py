"""Compile loops with numba for this processor.

Compiled loops release the GIL and read each vector once, while it is in the cache. The machine code
is cached beside the source (or in the user's cache folder), so that only the first run compiles. It
is recompiled when its source file changes, but not when this file or an imported constant does:
then remove the `__pycache__` folders of `cluster`.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])

# Sums may be reordered, which allows SIMD instructions; infinities keep their meaning.
FAST_MATH = {"nnan", "nsz", "reassoc", "contract"}


def compiled(loop: Loop) -> Loop:
    """The loop as machine code, compiled once for each combination of dtypes and array layouts:
    keep those few."""
    return _compile(loop, FAST_MATH)


def in_order(loop: Loop) -> Loop:
    """The same, but sums keep the order in which they are written."""
    return _compile(loop, set())


def _compile(loop: Loop, fast_math: set[str]) -> Loop:
    loop = cast(Loop, inspect.unwrap(loop))  # tests wrap functions to check types; numba cannot
    settings: dict[str, Any] = {"nogil": True, "fastmath": fast_math, "error_model": "numpy"}
    try:
        return cast(Loop, numba.njit(cache=True, **settings)(loop))
    except RuntimeError:  # no folder is writable: compile without a cache
        return cast(Loop, numba.njit(**settings)(loop))
