"""An unfinished training on the disk: never taken up by a run of other settings or inputs.

It lies beside the file that the run will write, under the digest of all that the run follows from:
other settings find another name, and what was begun with these stays for when they come back.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cluster.heads.training import State
from pipeline.io.arrays import read_arrays, save_arrays
from pipeline.params import StageError

SECONDS_BETWEEN = 60.0  # what a kill loses at most


class Checkpoint:
    """One training's place. `resume`: the state that a killed run left, or None."""

    def __init__(self, out: Path, what: str, follows_from: Mapping[str, Any]) -> None:
        """out: the file that the run will write; what: which of its trainings this is, for file
        names; follows_from: settings (plain) and inputs (arrays)."""
        self.path = out.with_name(f"{out.stem}.{what}.{_digest(follows_from)}.part")
        there = sorted(p.name for p in out.parent.glob(f"{out.stem}.{what}.*.part"))
        others = [name for name in there if not name.startswith(self.path.name)]
        if others and not self.path.exists():
            print(f"{out}: {others[0]} is of other settings or inputs and stays; beginning anew")
        self.resume = self._load()
        self._saved = time.monotonic()

    def offer(self, state: Callable[[], State]) -> None:
        """Save the state if the last save is long ago."""
        if time.monotonic() - self._saved > SECONDS_BETWEEN:
            self.save(state())

    def save(self, state: State) -> None:
        """Write it whole or not at all. StoreError while another run writes the same."""
        save_arrays(self.path, {name.replace("/", "|"): array for name, array in state.items()})
        self._saved = time.monotonic()

    def remove(self) -> None:
        """The run's file is written: this is needed no more."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.part").unlink(missing_ok=True)  # of a killed save

    def _load(self) -> State | None:
        try:
            found = read_arrays(self.path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StageError(
                f"{self.path}: a damaged checkpoint ({error}): remove it to begin anew"
            ) from None
        return {name.replace("|", "/"): array for name, array in found.items()}


def _digest(follows_from: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for name, value in sorted(follows_from.items()):
        digest.update(name.encode() + b"=")
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(json.dumps(value, sort_keys=True).encode())
    return digest.hexdigest()
