"""What a backbone is: a row of the zoo, vectors from elsewhere, or one that was adapted.

Each of these has a folder data/backbones/NAME, which stage embed depends on: an adapted one its
weights and row.yaml, and stored.json where its vectors are no float16; the others the file
backbone.json. A fused one has none: it is made of their features.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

import backbones
import store
from backbones.row import base_of
from pipeline.io.cell import BACKBONES
from pipeline.io.whole import as_written, facts_in, write_json
from pipeline.params import PARAMS, Section, StageError, did_you_mean, read_params, section

FACTS, STORED = "backbone.json", "stored.json"
# Ends the encoder of imported vectors, which is of one dataset: others have theirs
OF_A_FILE = "-imported"
# Ends that of fused vectors, which is of one dataset too: their principal components are
OF_PARTS = "-fused"


class Stored(Section):
    """What may be said of every backbone in params.yaml: how its vectors are stored."""

    dtype: Literal["float16", "float32"] = "float16"


Size = Annotated[int, Field(ge=1)]  # of pictures, in pixels; backbones.sizes says which can be


class OfZoo(Stored):
    """How a row of the zoo is used: all that may be set of it, for to change it is to write another
    one. size: of its pictures; sizes: several, of which the mean is taken."""

    size: Size | None = None
    sizes: Annotated[tuple[Size, ...], Field(min_length=2)] | None = None


class Resized(OfZoo):
    """The same under another name, so that a row may be used at several sizes."""

    row: str


class Used(NamedTuple):
    """row: as `backbones.row` wants it, with the sizes; dtype: that its vectors are stored in."""

    row: str
    dtype: str


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


def read_used(name: str) -> Used:
    """What params.yaml says of a backbone under `backbones` or `resized`."""
    if _is_under("resized", name):
        where = f"resized.{name}"
        said: OfZoo = (found := section(Resized, where))
        row = found.row
    else:
        where, row = f"backbones.{name}", name
        said = section(OfZoo, where)
    if said.size and said.sizes:
        raise StageError(f"{PARAMS}: {where} has size and sizes: take one of them away")
    sizes = said.sizes or ((said.size,) if said.size else ())
    return Used(f"{row}@{'+'.join(map(str, sizes))}" if sizes else row, said.dtype)


def _is_under(where: str, name: str) -> bool:
    """Whether a key of params.yaml, which it need not have, names a backbone."""
    params = read_params("")
    found = params.get(where) if isinstance(params, dict) else None
    return isinstance(found, dict) and name in found


def write_zoo_row(row: backbones.Backbone, dtype: str = "float16", name: str = "") -> None:
    """Say that a backbone is a row of the zoo, which one, and how its vectors are stored. name: its
    own, where that is not the row's."""
    other = {} if (name or row.name) == row.name else {"row": row.name}
    _write(name or row.name, {"origin": "zoo", "digest": row.digest, **other}, dtype)


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
            where = "backbones:, resized:, imported:, adapted: or fused:"
            raise StageError(f"{PARAMS}: no {name} under {where}{did_you_mean(name, known)}")
        if _is_under("fused", name):
            raise StageError(
                f"{name} is fused, and has no network of its own: name one of its parts"
            )
        raise StageError(f"{folder} is not there: run `dvc repro embed`")
    facts = _read(path)
    if facts["origin"] == "imported":
        with as_written(path):
            sources = {d: Source(**source) for d, source in facts["sources"].items()}
        return Imported(name, sources, facts["dtype"])
    row = backbones.row(facts.get("row", name))
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
    path = folder_of(name) / FACTS
    if not path.exists():
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
    name, resized, _ = _root(origin).name.partition("@")
    if resized:
        return f"write `dtype: float32` beside the size of {name} in {PARAMS}"
    return f"write `{name}: {{dtype: float32}}` under backbones: in {PARAMS}"


def _root(row: backbones.Backbone) -> backbones.Backbone:
    """The row of the zoo that an adapted backbone began with; every other is its own."""
    return _root(base_of(row)) if row.loader == "adapted" else row


def base_name(name: str) -> str:
    """What `backbones.row` is asked for: the folder of an adapted backbone, the name of a row and
    its sizes."""
    path = folder_of(name) / FACTS
    if path.exists():
        return str(_read(path).get("row", name))
    return str(folder_of(name)) if folder_of(name).is_dir() else name


def _write(name: str, facts: dict[str, Any], dtype: str) -> None:
    # float16 goes without saying: what was written before there was another stays as it is
    said = {} if dtype == "float16" else {"dtype": dtype}
    write_json(folder_of(name) / FACTS, {**facts, **said})


def _read(path: Path) -> dict[str, Any]:
    with facts_in(path) as found:
        facts: dict[str, Any] = found
        if facts["origin"] not in ("zoo", "imported"):
            raise ValueError(f"origin is {facts['origin']!r}")
        for name in ("digest", "row") if facts["origin"] == "zoo" else ():
            if not isinstance(facts.get(name, ""), str):
                raise ValueError(f"{name} is {facts[name]!r}")
        if facts.setdefault("dtype", "float16") not in store.DTYPES:
            raise ValueError(f"dtype is {facts['dtype']!r}")
    return facts
