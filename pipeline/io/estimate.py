"""How many classes there seem to be: one number, which sections with `k: auto` follow."""

import json
import zlib
from pathlib import Path

from pipeline.io.cell import Cell
from pipeline.io.whole import facts_in, whole_text
from pipeline.params import PARAMS, StageError, did_you_mean, read_params


def estimate_of(cell: Cell) -> Path:
    """The file that a k of auto is read from in category discovery: the one that `discover.auto`
    names, estimated without labels or with the known ones."""
    named = read_params("discover.auto")
    found = {"k": cell.k, "k_by_labels": cell.k_by_labels}
    if named not in found:
        raise StageError(f"{PARAMS}: discover.auto is {named!r}{did_you_mean(str(named), found)}")
    return found[named]


def write_estimate(path: Path, k: int) -> None:
    """Write {"k": 12}, with a checksum."""
    with whole_text(path) as file:
        file.write(json.dumps({"k": k, "crc32": _checksum(k)}) + "\n")


def read_estimate(path: Path) -> int:
    """The number. StageError unless it is the one that was written; {"k": 12} alone, by hand, is
    taken as it is."""
    with facts_in(path) as said:
        k, rest = said["k"], {key: value for key, value in said.items() if key != "k"}
        if type(k) is not int or k < 1:
            raise ValueError(f"k is {k!r}, expected a number of clusters")
        if rest and rest != {"crc32": _checksum(k)}:
            raise ValueError("crc32 differs")
    return k


def _checksum(k: int) -> int:
    return zlib.crc32(str(k).encode())
