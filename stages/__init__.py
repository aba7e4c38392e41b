"""Every module here is a stage of dvc.yaml: paths and one section of params.yaml in, files out.

`run(main)` reads both from main's signature: its `Path` and `str` arguments are the command line,
its `params` argument names the model of the section. A user's mistake ends in one line, not in a
traceback.
"""

import argparse
import difflib
import inspect
import json
import os
import re
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

# Before torch and its like are imported: threads of theirs that wait for work, turning, take the
# cores from those that have some. They turn for some tens of microseconds, for to wake them between
# the operations of a training step takes longer than most of these.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if typing.TYPE_CHECKING:
    import store
    from cluster.rows import Basis

PARAMS = Path("params.yaml")
# The same in C reads five times as fast, which every stage waits for; not every build has it
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StageError(Exception):
    """What the user asked for cannot be done; the message says what to do."""


class Section(pydantic.BaseModel):
    """A section of params.yaml. Every key must be there, known, and of the type said here."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


class Runtime(Section):
    """How to run on this machine. No stage watches it: it changes no result."""

    device: str  # auto, cpu, cuda, cuda:1
    workers: int = pydantic.Field(ge=0)  # threads that decode images; 0: one a core
    batch_size: int = pydantic.Field(ge=1)  # images a forward pass
    memory_gb: float = pydantic.Field(gt=0)  # features kept in RAM when they fit in this
    gpus: int = pydantic.Field(ge=1)  # that a backbone trains on (adapt)
    share_decoding: int = pydantic.Field(ge=1)  # backbones embedded in one reading of the images
    engine: Literal["local", "ray"]  # ray: embed, neighbors and kmeans over a cluster
    ray_address: str  # auto, local, HOST:PORT


Model = typing.TypeVar("Model", bound=Section)


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


def section(model: type[Model], path: str) -> Model:
    """The section of params.yaml at `path` (dots go deeper) as a checked, frozen model."""
    found = read_params(path)
    try:
        return model.model_validate_json(json.dumps(found, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise StageError(f"{PARAMS}: {_first_mistake(error, model, path)}") from None
    except (TypeError, ValueError, RecursionError):  # a name that is no text, a list in itself
        raise StageError(f"{PARAMS}: {path} holds names or lists that no setting can be") from None


def read_params(path: str) -> Any:
    """What params.yaml holds at `path`, as plain lists and dicts."""
    try:
        found = yaml.load(PARAMS.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise StageError(f"no {PARAMS} here: run in the folder that holds it") from None
    # PyYAML meets odd scalars, such as 2020-99-99, with any exception there is.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StageError(f"{PARAMS}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise StageError(f"{PARAMS}: not valid YAML: nested without end") from None
    for depth, key in enumerate(keys := path.split(".")):
        if not isinstance(found, dict) or key not in found:
            known = list(found) if isinstance(found, dict) else []
            where = ".".join(keys[:depth]) or "the file"
            raise StageError(f"{PARAMS}: {where} has no '{key}'{did_you_mean(key, known)}")
        found = found[key]
    return found


def did_you_mean(word: str, known: typing.Iterable[str]) -> str:
    """A close known word as the end of a message, or the known words when they are few."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(word, known, 1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 12 else ""


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


def _first_mistake(error: pydantic.ValidationError, model: type[Section], path: str) -> str:
    # A misspelt key is also a missing one: the key that is there says what is wrong.
    mistake = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    # Of a setting that may be of several types pydantic adds which of them it speaks of
    steps = [str(step) for step in mistake["loc"] if not re.search(r"[-\[]", str(step))]
    key = ".".join([path, *steps])
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    if mistake["type"] == "extra_forbidden":
        word = str(mistake["loc"][-1])
        return f"{key} is not a setting{did_you_mean(word, model.model_fields)}{more}"
    if mistake["type"] == "missing":
        return f"{key} is missing{more}"
    wrong = mistake["input"]
    if isinstance(wrong, str) and re.fullmatch(r"[+-]?\d+e[+-]?\d+", wrong, re.IGNORECASE):
        # YAML 1.1 takes a number without a point for a text
        return f"{key} is the text {wrong!r}: write {wrong.lower().replace('e', '.0e')}{more}"
    return f"{key} is {wrong!r}: {mistake['msg']}{more}"


def _is_out_of_memory(error: Exception) -> bool:
    """Of Python and numpy, of threads, and of torch, whose CPU has no class for it."""
    words = ("can't allocate memory", "can't start new thread")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def torch_device(wanted: str) -> str:
    """What `runtime.device` means here: `auto` is the GPU when torch sees one."""
    if wanted == "cpu":
        return wanted
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise StageError(
            f"{PARAMS}: runtime.device is {wanted}, but torch sees no GPU: set auto or cpu"
        )
    return wanted


def read_basis(file: "store.File") -> "Basis":
    """The projection that a file of kind pca or clusters holds."""
    from cluster.rows import Basis

    mean, components, variance = (file[name] for name in ("mean", "components", "variance"))
    return Basis(mean, components, variance, file.attrs["normalize"], file.attrs["whiten"])


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
