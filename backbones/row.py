"""A backbone is a row of zoo.yaml: where its weights lie, what goes in, what is read, who says so.

After timm's PretrainedCfg and MTEB's ModelMeta. But: the row is data, not code, so a stage can
watch one row (DVC `params:`) and a new backbone changes no source file. A backbone that was adapted
to a dataset has its row beside its weights, in a folder, and is called by that folder's path.
NAME@160 is a row of the zoo at another size of its pictures, NAME@96+128+160 the mean of several:
see backbones/sizes.py.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

ZOO = Path(__file__).with_name("zoo.yaml")
ROW = "row.yaml"  # of an adapted backbone, in its folder


class BackboneError(Exception):
    """One line: what was found, what was expected, what to do."""


@dataclass(frozen=True)
class Input:
    """How a picture becomes the square the network expects; sizes in pixels."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: Annotated[int, Field(gt=0)]
    resize: Annotated[int, Field(gt=0)]
    fit: Literal["crop", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """The data sheet of one backbone. `digest` names the features it makes."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    loader: str  # the NAME of from_NAME.py
    model: str  # what that library calls the network
    # https://…, hf:owner/repository/file, package:module/file, hub handle, none, or a file
    weights: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None  # or its first digits
    dim: Annotated[int, Field(gt=0)]
    input: Input
    output: str  # what is read: cls, avg, … or a named output key
    revision: Annotated[int, Field(gt=0)]
    method: str
    data: str  # what the backbone was trained on
    paper: str
    licence: str
    source: str  # where address and numbers were looked up
    confirmed: bool
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)  # arguments for the builder
    # of pictures, where the vector is the mean of several sizes; `input` has the largest
    sizes: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """Hex blake2b-16 of the fields that decide the features, and of no other: a corrected
        paper link must not embed a million images again."""
        decides = ("loader", "model", "options", "weights", "sha256", "dim", "input", "output")
        facts = {key: value for key, value in asdict(self).items() if key in decides}
        facts["revision"] = self.revision
        if self.sizes:
            facts["sizes"] = self.sizes
        if self.loader == "adapted":
            # A folder that is moved keeps its features; sha256 knows the file.
            del facts["weights"]
            facts["options"] |= {"base": base_of(self).digest}
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _NoDuplicates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a name written twice is an error; plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            written = [self.construct_object(key) for key, _ in node.value]
            twice = sorted({str(key) for key in written if written.count(key) > 1})
            raise BackboneError(f"{', '.join(twice)} written twice; keep one")
        return mapping


def row(name: str | os.PathLike[str]) -> Backbone:
    """The row called `name`, such as dino_vits16 or dino_vits16@160, or that of the folder `name`
    of an adapted backbone. Raises BackboneError: there is none, or it is not filled in right, or it
    has but one size."""
    name = os.fspath(name)
    of_zoo, at, sizes = name.partition("@")
    if at and "/" not in name and not Path(name, ROW).is_file():
        from backbones.sizes import at_sizes

        return at_sizes(_row_of_zoo(of_zoo), sizes)
    if name not in _table() and ("/" in name or Path(name, ROW).is_file()):
        return _row_of_folder(Path(name))
    return _row_of_zoo(name)


def names() -> list[str]:
    """The names of all backbones, in the order of zoo.yaml."""
    return list(_table())


def read_row(name: str, facts: Mapping[str, Any], where: str = ZOO.name) -> Backbone:
    """The checked row of these facts. Raises BackboneError naming the first one that is wrong."""
    plain = name if where == ZOO.name else name.partition("@")[0]  # an adapted one's base has both
    if not re.fullmatch("[a-z0-9_]+", plain):  # DVC's rule for the name of a matrix item
        raise BackboneError(f"{where}: {name!r} should be written in a-z, 0-9 and _ only")
    try:
        return TypeAdapter(Backbone).validate_python({**facts, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BackboneError(f"{where}: {name}: {place}: {first['msg']}; mend the row") from None


def base_of(adapted: Backbone, where: str = ROW) -> Backbone:
    """The row that an adapted backbone began with: its options hold all facts of it. Raises
    BackboneError: they do not."""
    facts = adapted.options.get("base")
    if not isinstance(facts, Mapping) or not isinstance(facts.get("name"), str):
        raise BackboneError(f"{where}: {adapted.name}: options.base is no row; adapt it anew")
    base = read_row(facts["name"], {k: v for k, v in facts.items() if k != "name"}, where)
    return _held(base, where) if base.loader == "adapted" else base


@cache
def _table() -> dict[str, dict[str, Any]]:
    return _mapping(ZOO, ZOO.name)


@cache
def _row_of_zoo(name: str) -> Backbone:
    if name not in _table():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "python -m backbones lists them"
        raise BackboneError(f"no backbone called {name!r}; {hint}")
    return read_row(name, _table()[name])


def _row_of_folder(folder: Path) -> Backbone:
    path = folder / ROW
    if not path.is_file():
        lacks = "has no row.yaml" if folder.is_dir() else "is not there"
        raise BackboneError(f"folder {folder} {lacks}; stage adapt makes it, row.yaml last")
    facts = _mapping(path, str(path))
    if "name" in facts:
        raise BackboneError(f"{path}: name: the folder's name is the backbone's; leave it out")
    found = read_row(folder.resolve().name, facts, str(path))
    if found.loader != "adapted":
        raise BackboneError(f"{path}: loader is {found.loader!r}, expected adapted; adapt it anew")
    return replace(_held(found, str(path)), weights=str(folder / found.weights))


def _held(adapted: Backbone, where: str) -> Backbone:
    """The row, if it has what an adapted one needs beyond any other's."""
    if len(adapted.sha256 or "") != 64:
        raise BackboneError(f"{where}: {adapted.name}: sha256 should have 64 digits; adapt it anew")
    if Path(adapted.weights).name != adapted.weights:
        raise BackboneError(
            f"{where}: {adapted.name}: weights is {adapted.weights!r}, expected the name of a file "
            "in the same folder"
        )
    if not isinstance(adapted.options.get("form"), str):
        raise BackboneError(f"{where}: {adapted.name}: options.form is missing; adapt it anew")
    base_of(adapted, where)
    return adapted


def _mapping(path: Path, where: str) -> dict[str, Any]:
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_NoDuplicates) or {}
    except (BackboneError, OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BackboneError(f"{where}: cannot be read ({reason})") from error
    if not isinstance(found, dict):
        raise BackboneError(f"{where}: holds a {type(found).__name__}, expected names and values")
    return found
