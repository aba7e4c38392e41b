"""Processes that kill themselves at a moment that is counted: the same however busy a machine is.

A kill between two system calls that change a disk leaves there what a kill before the second one
leaves, so to count these calls is to have all moments.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("pwrite", "ftruncate", "posix_fallocate", "fsync", "replace", "unlink", "chmod")
EVER = 10**9


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(call: int = EVER, *, halves: bool = False) -> Callable[[], int]:
    """Have this process killed before its n-th system call that changes a disk (the first is 0);
    halves: of that call, if it writes, half is done. Returns what tells how many there were."""
    made = 0

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            nonlocal made
            if made == call:
                if halves and real is pwrite:
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
                die()
            made += 1
            return real(*arguments, **more)

        return run

    pwrite = os.pwrite
    for name in CALLS:
        if hasattr(os, name):
            setattr(os, name, guarded(getattr(os, name)))
    return lambda: made


def die_after(
    holder: Any, name: str, number: int = 1, where: Callable[[Any], bool] = lambda _: True
) -> None:
    """Have this process killed when the method `name` of a class has returned for the n-th time to
    an object of which `where` is true."""
    method, left = getattr(holder, name), number

    def run(self: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal left
        found = method(self, *arguments, **more)
        left -= where(self)
        if not left:
            die()
        return found

    setattr(holder, name, run)


def first(code: str) -> str:
    """For the `before` of a stage (conftest.Project.start): code that has all of this file."""
    here = str(Path(__file__).parent)
    return f"import sys\nsys.path.append({here!r})\nfrom killed import *\n{code}"
