"""Settings: sections of params.yaml as checked models, and how to run on this machine."""

import difflib
import json
import os
import re
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from pipeline.free_memory import memory_gb
from pipeline.yaml_as_dvc import Loader

PARAMS = Path("params.yaml")


class StageError(Exception):
    """What the user asked for cannot be done; the message says what to do."""


class Section(pydantic.BaseModel):
    """A section of params.yaml. Every key must be there, known, and of the type said here."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


def _gigabytes(value: Any) -> float:
    """One line for what pydantic says of each part of a union."""
    if value == "auto":
        return memory_gb()
    if type(value) in (int, float) and 0 < value < float("inf"):
        return float(value)
    raise ValueError("expected a number above 0, or auto")


Gigabytes = Annotated[float, pydantic.PlainValidator(_gigabytes)]


class Runtime(Section):
    """How to run on this machine. No stage watches it: it changes no result."""

    device: str  # auto, cpu, cuda, cuda:1
    workers: int = pydantic.Field(ge=0)  # threads that decode images; 0: one a core
    batch_size: int = pydantic.Field(ge=0)  # images a forward pass; 0: as many as the device likes
    memory_gb: Gigabytes  # for features in RAM, and for decoding; auto: a share of what is free
    gpus: int = pydantic.Field(ge=1)  # that a backbone trains on (adapt)
    share_decoding: int = pydantic.Field(ge=1)  # backbones embedded in one reading of the images
    engine: Literal["local", "ray"]  # ray: some stages over a cluster
    ray_address: str  # auto, local, HOST:PORT

    def of_driver(self) -> "Runtime":
        """Of the process that asks a Ray cluster, which may have no GPU where others have one."""
        if self.engine != "ray" or not self.device.startswith("cuda"):
            return self
        import torch

        return self if torch.cuda.is_available() else self.model_copy(update={"device": "cpu"})


Model = typing.TypeVar("Model", bound=Section)


def section(model: type[Model], path: str) -> Model:
    """The section of params.yaml at `path` (dots go deeper) as a checked, frozen model."""
    return validated(model, read_params(path), path)


def validated(model: type[Model], found: Any, path: str) -> Model:
    """What was found at `path` as such a model. StageError says what is wrong with the first."""
    try:
        return model.model_validate_json(json.dumps(found, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise StageError(f"{PARAMS}: {_first_mistake(error, model, path)}") from None
    except (TypeError, ValueError, RecursionError):  # a name that is no text, a list in itself
        raise StageError(f"{PARAMS}: {path} holds names or lists that no setting can be") from None


def read_params(path: str) -> Any:
    """What params.yaml holds at `path`, as plain lists and dicts; '': all of it."""
    try:
        found = yaml.load(PARAMS.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise StageError(f"no {PARAMS} here: run in the folder that holds it") from None
    # PyYAML meets odd scalars, such as 2020-99-99, with any exception there is.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StageError(f"{PARAMS}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise StageError(f"{PARAMS}: not valid YAML: nested without end") from None
    for depth, key in enumerate(keys := path.split(".") if path else []):
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
    return f"{key} is {wrong!r}: {mistake['msg']}{more}"


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


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
