"""Every module here is a stage of dvc.yaml: paths and one section of params.yaml in, files out.

`run(main)` reads both from main's signature: its `Path` and `str` arguments are the command line,
its `params` argument names the model of the section. A user's mistake ends in one line, not in a
traceback.
"""

import argparse
import inspect
import os
import sys
import typing
from collections.abc import Callable

from pipeline.params import Runtime, section

# Before torch and its like are imported: threads of theirs that wait for work, turning, take the
# cores from those that have some. They turn for some tens of microseconds, for to wake them between
# the operations of a training step takes longer than most of these.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def run(main: Callable[..., None]) -> None:
    """Call a stage's `main` from the command line; print a user's mistake as one line, exit 1."""
    name = sys.modules[main.__module__].__spec__.name.rpartition(".")[2]  # type: ignore[union-attr]
    try:
        _call(main, name)
    except KeyboardInterrupt:
        raise SystemExit(f"{name}: stopped; what was done is kept, run again to go on") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise SystemExit(f"{name}: {one_line(f'{where}{error.strerror or error}')}") from None
    except Exception as error:
        if _is_out_of_memory(error):
            raise SystemExit(
                f"{name}: the memory is not enough ({one_line(error)[:120]}): free some, or lower "
                "runtime.memory_gb or runtime.batch_size; run again to go on"
            ) from None
        if not _is_for_users(error):
            raise
        raise SystemExit(f"{name}: {one_line(error)}") from None


def one_line(error: BaseException | str) -> str:
    """What an error says, as one line of signs that can be shown: file names may hold others."""
    shown = (c if c.isprintable() else repr(c)[1:-1] for c in str(error))
    return "".join(shown) or type(error).__name__


def _call(main: Callable[..., None], name: str) -> None:
    hints = typing.get_type_hints(main)
    wants = inspect.signature(main).parameters
    text = inspect.getdoc(main) or inspect.getdoc(sys.modules[main.__module__]) or ""
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for word in wants:
        if word == "params":
            parser.add_argument(
                "--params", default=name, help="section of params.yaml (%(default)s)"
            )
        elif word != "runtime":
            parser.add_argument(word, type=hints[word])
    given = vars(parser.parse_args())
    if "params" in wants:
        given["params"] = section(hints["params"], given["params"])
    if "runtime" in wants:
        given["runtime"] = section(Runtime, "runtime")
    main(**given)


def _is_for_users(error: Exception) -> bool:
    """StageError and the one exception class of each package, without importing the packages."""
    ours = {"StageError", "StoreError", "ImagesError", "BackboneError", "ClusterError"}
    return any(kind.__name__ in ours for kind in type(error).__mro__)


def _is_out_of_memory(error: Exception) -> bool:
    """Of Python and numpy, of threads, and of torch, whose CPU has no class for it."""
    words = ("can't allocate memory", "can't start new thread")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
