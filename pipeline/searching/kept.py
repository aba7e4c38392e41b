"""What a long search has done so far, part by part, so that a run that was stopped goes on.

The parts lie in a folder beside the file that the run will write. As that of a checkpoint
(pipeline/fitting/checkpoint.py), its name contains a digest of all settings and inputs. A part is
written whole or not at all, and checked when it is read.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.fitting.checkpoint import digest_of
from pipeline.io.arrays import read_arrays, save_arrays
from pipeline.params import StageError


class Kept:
    """The folder of one search."""

    def __init__(self, out: Path, what: str, follows_from: Mapping[str, Any]) -> None:
        """out: the file that the run will write; what: a name for the search; follows_from: all
        that its result depends on, settings (JSON values) and inputs (arrays)."""
        self.folder = out.with_name(f"{out.stem}.{what}.{digest_of(follows_from)}.part")
        self.folder.mkdir(parents=True, exist_ok=True)

    def keep(
        self, name: str, compute: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of the part `name`: those of an earlier run, or else of compute(), which are
        then written. StageError where they are damaged."""
        arrays = self.found(name)
        if arrays is None:
            arrays = compute()
            self.save(name, arrays)
        return arrays

    def found(self, name: str) -> dict[str, np.ndarray] | None:
        """Those of an earlier run, None where it had not come to them. Raises as `keep` does."""
        path = self._path(name)
        try:
            return read_arrays(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StageError(f"{path}: damaged ({error}): remove it to compute it again") from None

    def save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Write the part `name`."""
        save_arrays(self._path(name), arrays)

    def mapped(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        """An array whose pages lie in a file, begun anew by each run. OSError on a full disk."""
        path = self.folder / f"{name}.npy"
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with path.open("r+b") as file:  # else a full disk would be noticed at a page, by a signal
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def remove(self) -> None:
        """Delete the folder, once the run's file is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
