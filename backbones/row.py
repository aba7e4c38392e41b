"""A backbone is a row of zoo.yaml: where its weights lie, what goes in, what is read, who says so.

After timm's PretrainedCfg and MTEB's ModelMeta. But: the row is data, not code, so a stage can
watch one row (DVC `params:`) and a new backbone changes no source file.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

ZOO = Path(__file__).with_name("zoo.yaml")


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
    weights: str  # https://…, hf:owner/repository/file, package:module/file, hub handle, or none
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

    @property
    def digest(self) -> str:
        """Hex blake2b-16 of the fields that decide the features, and of no other: a corrected
        paper link must not embed a million images again."""
        decides = ("loader", "model", "options", "weights", "sha256", "dim", "input", "output")
        facts = {key: value for key, value in asdict(self).items() if key in decides}
        facts["revision"] = self.revision
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _NoDuplicates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a name written twice is an error; plain YAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            written = [self.construct_object(key) for key, _ in node.value]
            twice = sorted({str(key) for key in written if written.count(key) > 1})
            raise BackboneError(f"{ZOO.name}: {', '.join(twice)} written twice; keep one")
        return mapping


@cache
def _table() -> dict[str, dict[str, Any]]:
    return yaml.load(ZOO.read_text(encoding="utf-8"), Loader=_NoDuplicates) or {}


def names() -> list[str]:
    """The names of all backbones, in the order of zoo.yaml."""
    return list(_table())


@cache
def row(name: str) -> Backbone:
    """The row called `name`. Raises BackboneError: there is none, or it is not filled in right."""
    if name not in _table():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "python -m backbones lists them"
        raise BackboneError(f"no backbone called {name!r}; {hint}")
    return read_row(name, _table()[name])


def read_row(name: str, facts: Mapping[str, Any]) -> Backbone:
    """The checked row of these facts. Raises BackboneError naming the first one that is wrong."""
    if not re.fullmatch("[a-z0-9_]+", name):  # DVC's rule for the name of a matrix item
        raise BackboneError(f"{ZOO.name}: {name!r} should be written in a-z, 0-9 and _ only")
    try:
        return TypeAdapter(Backbone).validate_python({**facts, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BackboneError(f"{ZOO.name}: {name}: {where}: {first['msg']}; mend the row") from None
