"""Every module here is a stage of dvc.yaml: words of the command line and one section of
params.yaml in, files out.

`run(main)` reads both from main's signature. A `cell: Cell` stands for the words DATASET BACKBONE
and `--run`, the section that `params` is read from and the name of what is written; a `pair: Pair`
for FIRST SECOND BACKBONE; a `str` is a word; `runtime` and other models are sections of their name.
What main returns are facts, written with what the stage cost; dvc.yaml says which of them are for
`dvc metrics`. A user's mistake ends in one line, not in a traceback.
"""

import argparse
import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

try:
    import numpy  # noqa: F401
except ModuleNotFoundError:
    raise SystemExit(
        f"{sys.executable} is a Python without the libraries of the project: say "
        "`source .venv/bin/activate` first, or `make repro`, which installs them"
    ) from None

from pipeline.cost import cost
from pipeline.graph import require_graph
from pipeline.io.absent import Absent, mark, reason
from pipeline.io.cell import Cell, Pair
from pipeline.io.whole import write_json
from pipeline.params import Section, read_params, section

# Before torch and its like are imported: threads of theirs that wait for work, turning, take the
# cores from those that have some. They turn for some tens of microseconds, for to wake them between
# the operations of a training step takes longer than most of these.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

Places = Callable[..., Iterable[Path]]  # of main's arguments, those that it names


def run(
    main: Callable[..., Any], *writes: str | Places, metrics: Callable[..., Path] | None = None
) -> None:
    """Call a stage's `main` from the command line; print a user's mistake as one line, exit 1.

    writes: the outs of the stage in dvc.yaml, as attributes of its cell or as functions of main's
    arguments; where the cell is absent, they get a mark. metrics: where the facts go, of a stage
    without a cell.
    """
    module: str = sys.modules[main.__module__].__spec__.name  # type: ignore[union-attr]
    name = module.rpartition(".")[2]
    if main is getattr(sys.modules[main.__module__], "main", None):
        # By its name, not as __main__: over a Ray cluster others look its functions up
        main = importlib.import_module(module).main
    try:
        given = _arguments(main, name)
        _run(main, name, given, writes, metrics)
    except KeyboardInterrupt:
        raise SystemExit(f"{name}: stopped; what was done is kept, run again to go on") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise SystemExit(f"{name}: {one_line(f'{where}{error.strerror or error}')}") from None
    except Exception as error:
        if _is_out_of_memory(error):
            raise SystemExit(
                f"{name}: out of memory ({one_line(error)[:120]}): close other programs, or lower "
                "runtime.memory_gb or runtime.batch_size (0 is 256 on a GPU); run again to resume"
            ) from None
        if not _is_for_users(error):
            raise
        raise SystemExit(f"{name}: {one_line(error)}") from None


def one_line(error: BaseException | str) -> str:
    """What an error says, as one line of signs that can be shown: file names may hold others."""
    shown = (c if c.isprintable() else repr(c)[1:-1] for c in str(error))
    return "".join(shown) or type(error).__name__


def _arguments(main: Callable[..., Any], name: str) -> dict[str, Any]:
    """Those of `main`: from the command line, and sections of params.yaml."""
    hints = typing.get_type_hints(main)
    wants = inspect.signature(main).parameters
    text = inspect.getdoc(main) or inspect.getdoc(sys.modules[main.__module__]) or ""
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for word in wants:
        for one in _WORDS.get(hints[word], [word] if hints[word] is str else []):
            parser.add_argument(one)
    if "params" in wants:
        parser.add_argument("--run", default=name, help="section of params.yaml (%(default)s)")
    said = vars(parser.parse_args())
    run = said.pop("run", name)
    require_graph(read_params(""))
    given: dict[str, Any] = {}
    for word in wants:
        if hints[word] is Cell:
            given[word] = Cell(said["dataset"], said["backbone"], run)
        elif hints[word] is Pair:
            both = (Cell(said[one], said["backbone"], run) for one in ("first", "second"))
            given[word] = Pair(*both)
        elif word == "params":
            given[word] = section(hints[word], run)
        elif isinstance(hints[word], type) and issubclass(hints[word], Section):
            given[word] = section(hints[word], word)
        else:
            given[word] = said[word]
    return given


_WORDS: dict[Any, list[str]] = {
    Cell: ["dataset", "backbone"],
    Pair: ["first", "second", "backbone"],
}


def _run(
    main: Callable[..., Any],
    name: str,
    given: dict[str, Any],
    writes: Iterable[str | Places],
    metrics: Callable[..., Path] | None,
) -> None:
    """Run `main`, or pass on that the cell is absent."""
    where = given.get("cell") or given.get("pair")
    cells = where if isinstance(where, Pair) else [where] if where else []
    why = next((f"{c.dataset}: {r}" for c in cells if (r := reason(c))), None)
    to: Path | None = _place(metrics, given) if metrics else where and _metrics(where, given)
    try:
        if why and name not in ("embed", "fuse"):  # which find out
            raise Absent(why)
        facts = main(**given)
    except Absent as absent:
        outs = [getattr(where, w) if isinstance(w, str) else _place(w, given) for w in writes]
        each = [path for out in outs for path in ([out] if isinstance(out, Path) else out)]
        mark([*each, *([to] if to else [])], str(absent))
        print(f"{name}: there is nothing to do: {absent}")
        return
    if to:
        # In a list, which DVC passes over: no one compares the seconds of two experiments
        write_json(to, {"cost": [cost()], **(facts or {})})


def _metrics(where: Cell | Pair, given: dict[str, Any]) -> Path:
    """Where the facts go: named by the run, and by all else that tells it from others."""
    cell, *other = where if isinstance(where, Pair) else (where,)
    words = [word for word in given.values() if isinstance(word, str)]
    parts = [cell.run, *(one.dataset for one in other), *(Path(word).name for word in words)]
    return cell.metric(f"{'_'.join(parts)}.json")


def _place(find: Callable[..., Any], given: dict[str, Any]) -> Any:
    return find(**{word: given[word] for word in inspect.signature(find).parameters})


def _is_for_users(error: Exception) -> bool:
    """StageError and the one exception class of each package, without importing the packages."""
    ours = {"StageError", "StoreError", "ImagesError", "BackboneError", "ClusterError"}
    return any(kind.__name__ in ours for kind in type(error).__mro__)


def _is_out_of_memory(error: Exception) -> bool:
    """Of Python and numpy, of threads, and of torch, whose CPU has no class for it."""
    words = ("can't allocate memory", "can't start new thread")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
