"""Named arrays that a stage keeps for itself, in one npz: whole or not at all, and checked.

But: numpy's own reader takes an array whose header is damaged for a shorter one, and skips its
checksum; here every byte is checked before any is understood. A zip whose list is damaged may lack
arrays, so all names are kept in it too. Nothing is unpickled.
"""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.io.whole import whole_bytes

SUFFIX = ".npy"  # of each array in the zip, as numpy names it
NAMES = "names of all"  # of the arrays, sorted


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write them. StoreError on a full disk, and while another process writes the same file."""
    named = {**arrays, NAMES: np.array(sorted(arrays), "U")}
    with whole_bytes(path) as file:
        np.savez(file, allow_pickle=False, **named)  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What was saved. OSError where there is nothing to read, ValueError where it is damaged."""
    with path.open("rb") as raw:
        try:
            with zipfile.ZipFile(raw) as file:
                names = file.namelist()
                found = {name.removesuffix(SUFFIX): _array(file.read(name)) for name in names}
            if found.pop(NAMES).tolist() != sorted(found):
                raise ValueError("arrays are missing")
        # A damaged zip makes any exception there is: BadZipFile, zlib.error, RuntimeError, ...
        except Exception as error:
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return found


def _array(data: bytes) -> Any:
    return np.lib.format.read_array(BytesIO(data), allow_pickle=False)
