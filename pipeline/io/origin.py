"""What a backbone is: a row of the zoo, vectors from elsewhere, or one that was adapted.

Each has a folder data/backbones/NAME, which stage embed depends on: an adapted one its weights and
row.yaml, and stored.json where its vectors are no float16; the others the file backbone.json.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import backbones
import store
from backbones.row import base_of
from pipeline.io.cell import BACKBONES
from pipeline.io.whole import as_written, facts_in, write_json
from pipeline.params import PARAMS, Section, StageError, did_you_mean, read_params

FACTS, STORED = "backbone.json", "stored.json"
# Ends the encoder of imported vectors, which is of one dataset: others have theirs
OF_A_FILE = "-imported"


class Stored(Section):
    """What may be said of every backbone in params.yaml: how its vectors are stored."""

    dtype: Literal["float16", "float32"] = "float16"


class Source(NamedTuple):
    """The vectors of one dataset: FILE or FILE:KEY, that of their ids or "", and the digest of
    both files' bytes."""

    features: str
    ids: str
    digest: str


class Imported(NamedTuple):
    """Vectors that were computed elsewhere. sources: by dataset; dtype: that they are stored in."""

    name: str
    sources: dict[str, Source]
    dtype: str = "float16"


def folder_of(name: str) -> Path:
    """The folder of a backbone."""
    return BACKBONES / name


def write_zoo_row(row: backbones.Backbone, dtype: str = "float16") -> None:
    """Say that a backbone is a row of the zoo, which one, and how its vectors are stored."""
    _write(row.name, {"origin": "zoo", "digest": row.digest}, dtype)


def write_imported(found: Imported) -> None:
    """Say which files the vectors of a backbone are read from."""
    sources = {dataset: source._asdict() for dataset, source in found.sources.items()}
    _write(found.name, {"origin": "imported", "sources": sources}, found.dtype)


def read_origin(name: str) -> backbones.Backbone | Imported:
    """A row of the zoo or of an adapted backbone, or what was imported. StageError: neither is
    there, or the zoo's row has changed since."""
    folder = folder_of(name)
    path = folder / FACTS
    if not path.exists():
        if folder.is_dir():
            return backbones.row(str(folder))
        known = read_params("all") or {}
        if name not in known:
            where = "backbones:, imported: or adapted:"
            raise StageError(f"{PARAMS}: no {name} under {where}{did_you_mean(name, known)}")
        raise StageError(f"{folder} is not there: run `dvc repro embed`")
    facts = _read(path)
    if facts["origin"] == "imported":
        with as_written(path):
            sources = {d: Source(**source) for d, source in facts["sources"].items()}
        return Imported(name, sources, facts["dtype"])
    row = backbones.row(name)
    if row.digest != facts["digest"]:
        raise StageError(f"the zoo's row of {name} has changed: run `dvc repro backbone`")
    return row


def read_imported(name: str) -> Imported | None:
    """What stage import has written before, if it has."""
    if not (folder_of(name) / FACTS).exists():
        return None
    found = read_origin(name)
    return found if isinstance(found, Imported) else None


def dtype_of(name: str) -> str:
    """In which the vectors of a backbone are stored; an adapted one has that of its base."""
    origin = read_origin(name)
    if isinstance(origin, Imported):
        return origin.dtype
    if (own := folder_of(name) / STORED).exists():
        with facts_in(own) as said:
            return str(said["dtype"])
    path = folder_of(_root(origin).name) / FACTS
    return str(_read(path)["dtype"]) if path.exists() else "float16"


def write_adapted(name: str, base: str) -> None:
    """Say in the folder of an adapted backbone how its vectors are stored, as those of `base`: else
    nothing that its stage embed depends on would change with them."""
    own, dtype = folder_of(name) / STORED, dtype_of(base)
    if dtype == "float16":
        own.unlink(missing_ok=True)
    else:
        write_json(own, {"dtype": dtype})


def to_float32(origin: backbones.Backbone | Imported) -> str:
    """What a user writes to have its vectors stored so."""
    if isinstance(origin, Imported):
        return f"write `dtype: float32` beside `features` of imported.{origin.name} in {PARAMS}"
    name = _root(origin).name
    return f"write `{name}: {{dtype: float32}}` under backbones: in {PARAMS}"


def _root(row: backbones.Backbone) -> backbones.Backbone:
    """The row of the zoo that an adapted backbone began with; every other is its own."""
    return _root(base_of(row)) if row.loader == "adapted" else row


def base_name(name: str) -> str:
    """What `backbones.row` is asked for: the folder of an adapted backbone, the name of a row."""
    adapted = not (folder_of(name) / FACTS).exists() and folder_of(name).is_dir()
    return str(folder_of(name)) if adapted else name


def _write(name: str, facts: dict[str, Any], dtype: str) -> None:
    # float16 goes without saying: what was written before there was another stays as it is
    said = {} if dtype == "float16" else {"dtype": dtype}
    write_json(folder_of(name) / FACTS, {**facts, **said})


def _read(path: Path) -> dict[str, Any]:
    with facts_in(path) as found:
        facts: dict[str, Any] = found
        if facts["origin"] not in ("zoo", "imported"):
            raise ValueError(f"origin is {facts['origin']!r}")
        if facts["origin"] == "zoo" and not isinstance(facts["digest"], str):
            raise ValueError(f"digest is {facts['digest']!r}")
        if facts.setdefault("dtype", "float16") not in store.DTYPES:
            raise ValueError(f"dtype is {facts['dtype']!r}")
    return facts
