"""From a few words under `datasets:` in params.yaml to a reader and its checked options.

The folder is the registry: a dataset is one file here, and its functions' keywords are its options.
"""

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from images._listing import ImagesError

EVERYWHERE = ("from", "splits", "train", "part", "classes")
_NOT_A_READER = {"decode"}
# Of lists: what they are of, and an example
_LISTS = {str: ("texts", '["*.gif"]'), str | int: ("labels", "[255, unsorted]")}
_KINDS = {str: "text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class Reader:
    """A reader's data sheet: what it reads; its options, what they may be, their defaults."""

    name: str
    summary: str
    options: dict[str, str]


def readers() -> list[str]:
    """The words that `from:` understands, in order."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return sorted({file.stem for file in files} - _NOT_A_READER)


def reader(name: str) -> Reader:
    """The data sheet of one reader; the table of docs/own_images.md is made of these."""
    module = load(name)
    takes = {}
    for option in inspect.signature(module.list_images).parameters.values():
        kind = _kind(_hints(module)[option.name])
        required = option.default is inspect.Parameter.empty
        default = "none" if option.default in ((), 0) else option.default
        takes[option.name] = f"{kind}; " + ("required" if required else f"default {default}")
    return Reader(name, (module.__doc__ or "").strip().splitlines()[0], takes)


def load(name: object) -> ModuleType:
    """The module of the reader called `name`."""
    if name not in readers():
        raise ImagesError(f"from: {name} is no reader of images{_nearest(name, readers())}")
    return importlib.import_module(f"images.{name}")


def parse(spec: Mapping[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    """The reader that a dataset's description names, and the options that are the reader's own."""
    if not isinstance(spec, Mapping) or "from" not in spec:
        raise ImagesError(
            f"a dataset needs a reader, e.g. {{from: folder, root: ~/Pictures}}; found {spec!r}"
        )
    module, name = load(spec["from"]), spec["from"]
    options = {key: value for key, value in spec.items() if key not in EVERYWHERE}
    known = inspect.signature(module.list_images).parameters
    for key, value in options.items():
        if key not in known:
            raise ImagesError(
                f"from: {name} has no option {key}{_nearest(key, [*known, *EVERYWHERE])}"
            )
        _check(f"from: {name}: {key}", value, _hints(module)[key])
    for key, option in known.items():
        if option.default is inspect.Parameter.empty and key not in options:
            raise ImagesError(f"from: {name} needs {key} ({_kind(_hints(module)[key])})")
    if "root" in options:
        options["root"] = _root(options["root"])
    return module, options


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Which images a description names: its reader and all options, those left out by their
    defaults. Equal for two that differ in where the files lie or which splits are kept."""
    module, options = parse(spec)
    known = inspect.signature(module.list_images).parameters
    filled = {key: options.get(key, option.default) for key, option in known.items()}
    chosen = {key: spec[key] for key in ("train", "part") if key in spec}
    return {"from": spec["from"], **filled, **chosen, "root": None}


def _root(root: str) -> str:
    """With the home folder in place of ~."""
    if not root.strip():
        raise ImagesError("root is empty; expected a folder, e.g. root: ~/Pictures")
    try:
        return str(Path(root).expanduser())
    except RuntimeError as error:
        raise ImagesError(f"root: {root} names no home folder; write the path in full") from error


def _hints(module: ModuleType) -> dict[str, Any]:
    return get_type_hints(module.list_images)


def _check(where: str, value: object, hint: Any) -> None:
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return
        near = _nearest(value, get_args(hint))
        raise ImagesError(f"{where} must be {_kind(hint)}; found {value!r}{near}")
    if get_origin(hint) is Sequence:
        kinds = get_args(hint)[0]
        if isinstance(value, list) and all(_is_word(each, kinds) for each in value):
            return
        example = _LISTS[kinds][1]
        raise ImagesError(f"{where} must be {_kind(hint)}, e.g. {example}; found {value!r}")
    if not _is(value, hint):
        raise ImagesError(f"{where} must be {_kind(hint)}; found {value!r}")


def _is(value: object, kind: Any) -> bool:
    # True is an int to Python, never to the user.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_word(value: object, kind: Any) -> bool:
    return value != "" and _is(value, kind)


def _kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_origin(hint) is Sequence:
        return f"a list of {_LISTS[get_args(hint)[0]][0]}"
    return _KINDS[hint]


def _nearest(word: object, known: Iterable[str]) -> str:
    known = sorted(known)
    close = get_close_matches(str(word), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
