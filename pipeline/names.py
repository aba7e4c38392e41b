"""Names in params.yaml that become stages, folders and words of commands.

DVC leaves out, without a word, every stage of a name that is a number or a date to YAML, and takes
others apart (a.b, a/b, a@b). So each stage that runs looks at all names first.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.params import PARAMS, StageError

BACKBONES = ("backbones", "resized", "imported", "adapted", "fused")  # the origins of all of them
MAPPINGS = ("datasets", "known", *BACKBONES)
# Folders below data/ that are no dataset
RESERVED = ("backbones", "frozen", "links", "raw", "vocabulary")
FINISHED = "_finished"  # what the name of a run ends with that stage finish made
COST = "cost"  # in metrics, beside the names of runs and splits: what a stage has cost
_MEETS_COST = f"{COST} is, in metrics, what a stage has cost: choose another name"
_NAME = re.compile(r"\w[\w-]*")


def require_names(params: object) -> None:
    """Raise StageError at the first name that cannot be one; `params`: all of params.yaml."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for where, name in _names(params):
        if not isinstance(name, str):
            said = "null" if name is None else str(name)
            what = f"{PARAMS}: {where}: {said} is no text to YAML, and DVC makes no stage of it"
            do = f"write '{said}'" if _NAME.fullmatch(said) else f"call it {_cleaned(said)}"
            raise StageError(f"{what}: {do}")
        composed = unicodedata.normalize("NFC", name)
        if not _NAME.fullmatch(composed):
            raise StageError(
                f"{PARAMS}: {where}: {name!r} becomes a folder and a word of commands: expected "
                f"letters, digits, _ and -; call it {_cleaned(name)}"
            )
        if where == "datasets" and name in RESERVED:
            raise StageError(
                f"{PARAMS}: {where}: {name} is the name of another folder below data/: choose "
                "another one"
            )
        if where.startswith("runs.") and name == COST:
            raise StageError(f"{PARAMS}: {where}: {_MEETS_COST}")
        # On disks that do not tell capitals or ways to write an accent apart they are one folder
        same = composed.casefold()
        other, there = seen.setdefault((_group(where), same), (name, where))
        if other != name:
            raise StageError(
                f"{PARAMS}: {where}: {other} and {name} are one folder on many disks: rename one"
            )
        if there != where:
            raise StageError(
                f"{PARAMS}: {where}: {name} is under {there} too: one backbone, one name"
            )


def require_split_names(dataset: str, splits: Iterable[str]) -> None:
    """Raise StageError for a split that would take the place of another fact in metrics."""
    if COST in splits:
        raise StageError(f"datasets.{dataset}: a split: {_MEETS_COST}")


def _names(params: object) -> Iterator[tuple[str, Any]]:
    """(where, name)."""
    if not isinstance(params, Mapping):  # whoever reads a section says so
        return
    for where in MAPPINGS:
        found = params.get(where)
        yield from ((where, name) for name in found) if isinstance(found, Mapping) else ()
    runs = params.get("runs")
    for method, names in runs.items() if isinstance(runs, Mapping) else ():
        yield from ((f"runs.{method}", name) for name in names) if isinstance(names, list) else ()


def _group(where: str) -> str:
    """What lies in one folder together."""
    return "backbones" if where in BACKBONES else where


def _cleaned(name: str) -> str:
    """A name as near to this one as can be."""
    return re.sub(r"[^\w-]+", "_", name).strip("_-") or "mine"
