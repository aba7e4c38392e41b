"""Where a stage's time goes: imports, reading, writing, and computing, which is the rest.

`bench/first_run.py` lays this file as `sitecustomize.py` on the path of what it measures: Python
imports it before anything else, and it wraps some functions of ours once their modules are there.
Stages are run by the very commands that DVC runs, and hold no code that measures. Each moment of a
main counts once: a lazy import in the midst of reading is an import. Other threads are not looked
at: what they read beside the main thread is its computing, or its waiting.
"""

import builtins
import contextlib
import functools
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

FILE = "CAIRN_STOPWATCH"  # the file that a line is added to
KINDS = ("imports", "reading", "computing", "writing")

# What of a module is reading or writing. `name()` gives a context: to open and to leave it counts,
# what is done within does not.
WRAPPED: dict[str, dict[str, str]] = {
    "store.files": {"read()": "reading", "File.__getitem__": "reading", "save": "writing"},
    "store.features": dict.fromkeys(
        ("Features.__init__", "Features.block", "Features.take"), "reading"
    ),
    "store.writer": dict.fromkeys(
        [f"FeatureWriter.{name}" for name in ("__init__", "put", "finish", "close")], "writing"
    ),
    "store.disk": {"replacing()": "writing"},
    "pipeline.io.arrays": {"read_arrays": "reading", "save_arrays": "writing"},
    "pages.report.tables.rows": {"read_rows": "reading"},
    "images": {"list_images": "reading", "open_images": "reading"},
}


class Clock:
    """Seconds of each kind, from `begin` on. `now`: seconds since any moment."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now, self.seconds = now, dict.fromkeys(KINDS, 0.0)
        self.kind, self.since = "", 0.0  # of no kind before main and after it

    def turn(self, kind: str) -> str:
        """From now on it is of this kind; returns what it was."""
        now, was = self.now(), self.kind
        if was:
            self.seconds[was] += now - self.since
        self.kind, self.since = kind, now
        return was

    @contextlib.contextmanager
    def during(self, kind: str) -> Iterator[None]:
        """The main thread's time in this block, where main runs."""
        if not self.kind or threading.current_thread() is not threading.main_thread():
            yield
            return
        was = self.turn(kind)
        try:
            yield
        finally:
            self.turn(was)


class Within:
    """A context whose beginning and end take time of a kind."""

    def __init__(self, context: Any, clock: Clock, kind: str) -> None:
        self._context, self._clock, self._kind = context, clock, kind

    def __enter__(self) -> Any:
        with self._clock.during(self._kind):
            return self._context.__enter__()

    def __exit__(self, *raised: Any) -> Any:
        with self._clock.during(self._kind):
            return self._context.__exit__(*raised)


class Finder:
    """Finds our modules as Python does, and wraps what they hold when they are there."""

    def __init__(self, clock: Clock, file: str) -> None:
        self.clock, self.file = clock, file

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "stages" and name not in WRAPPED:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                self._wrap(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec

    def _wrap(self, module: ModuleType) -> None:
        if module.__name__ == "stages":
            real = module.run

            def run(main: Callable[..., Any], *writes: Any, **named: Any) -> None:
                real(measured(main, self.clock, self.file), *writes, **named)

            module.run = run  # type: ignore[attr-defined]
        for name, kind in WRAPPED.get(module.__name__, {}).items():
            *inside, last = name.removesuffix("()").split(".")
            owner: Any = getattr(module, inside[0]) if inside else module
            make = counted_context if name.endswith("()") else counted
            setattr(owner, last, make(getattr(owner, last), self.clock, kind))


def counted(function: Callable[..., Any], clock: Clock, kind: str) -> Callable[..., Any]:
    """The function, its time counted."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        with clock.during(kind):
            return function(*args, **named)

    return call


def counted_context(function: Callable[..., Any], clock: Clock, kind: str) -> Callable[..., Any]:
    """The function that gives a context, whose ends are counted."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        return Within(function(*args, **named), clock, kind)

    return call


def measured(main: Callable[..., Any], clock: Clock, file: str) -> Callable[..., Any]:
    """A stage's main, which adds a line to `file` when it is done: when it began and ended, in
    seconds since 1970, and the seconds of each kind between."""

    @functools.wraps(main)
    def call(*args: Any, **named: Any) -> Any:
        clock.turn("computing")
        begin = clock.since
        try:
            return main(*args, **named)
        finally:
            clock.turn("")
            said = {"main": begin, "done": clock.since, **clock.seconds}
            with open(file, "a", encoding="utf-8") as lines:
                lines.write(json.dumps({"stage": os.environ.get("DVC_STAGE"), **said}) + "\n")

    return call


def watch(file: str) -> None:
    """Measure the stage that this process is going to run."""
    clock = Clock()
    for owner, name in ((builtins, "__import__"), (importlib, "import_module")):
        setattr(owner, name, _importing(getattr(owner, name), clock))
    sys.meta_path.insert(0, Finder(clock, file))  # type: ignore[arg-type]


def _importing(real: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        if not clock.kind or clock.kind == "imports":  # the outermost one alone is counted
            return real(*args, **named)
        with clock.during("imports"):
            return real(*args, **named)

    return call


# DVC names the stage to the commands that it runs, so DVC's own Python is left alone
if __name__ == "sitecustomize" and FILE in os.environ and "DVC_STAGE" in os.environ:
    watch(os.environ[FILE])
