"""The checkpoint of an unfinished training, which only a run of equal settings and inputs resumes.

It lies beside the file that the run will write. Its name contains a digest of all settings and
inputs: a run of other settings has a checkpoint of another name, and the old one is kept for when
its settings come back.
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
from pipeline.io.space import Space
from pipeline.params import Section, StageError

SECONDS_BETWEEN = 60.0  # between saves, and thereby what a kill loses at most


class Checkpoint:
    """The checkpoint of one training. `resume`: the state that a killed run left, or None."""

    def __init__(self, out: Path, what: str, follows_from: Mapping[str, Any]) -> None:
        """out: the file that the run will write; what: the name of this training among those of
        the run, for the file name; follows_from: all that the result depends on, settings (JSON
        values) and inputs (arrays)."""
        self.path = out.with_name(f"{out.stem}.{what}.{digest_of(follows_from)}.part")
        there = sorted(p.name for p in out.parent.glob(f"{out.stem}.{what}.*.part"))
        others = [name for name in there if not name.startswith(self.path.name)]
        if others and not self.path.exists():
            print(
                f"{out}: found a checkpoint of other settings or inputs ({others[0]}); keeping it "
                "and starting from scratch"
            )
        self.resume = self._load()
        self._saved = time.monotonic()

    def offer(self, state: Callable[[], State]) -> None:
        """Save the state if the last save is more than SECONDS_BETWEEN ago."""
        if time.monotonic() - self._saved > SECONDS_BETWEEN:
            self.save(state())

    def save(self, state: State) -> None:
        """Write the state atomically. StoreError while another run writes the same file."""
        save_arrays(self.path, {name.replace("/", "|"): array for name, array in state.items()})
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Delete the checkpoint, once the run's file is written."""
        remove_checkpoint(self.path)

    def _load(self) -> State | None:
        try:
            found = read_arrays(self.path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StageError(
                f"{self.path}: a damaged checkpoint ({error}): remove it to start from scratch"
            ) from None
        return {name.replace("|", "/"): array for name, array in found.items()}


def remove_checkpoint(path: Path) -> None:
    """As Checkpoint.remove, by the checkpoint's path."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.part").unlink(missing_ok=True)  # of a killed save


def checkpoint_inputs(space: Space, params: Section, inputs: dict[str, Any]) -> dict[str, Any]:
    """All that a training depends on besides its k, dims and seeds, to identify its checkpoint."""
    of_store = {"encoder": space.found.encoder, "id": space.found.id, "split": space.found.split}
    settings = params.model_dump(mode="json", exclude={"k", "dims", "seeds"})
    return {**settings, **inputs, **of_store, **space.basis._asdict()}


def digest_of(follows_from: Mapping[str, Any]) -> str:
    """Of settings (JSON values) and inputs (arrays), for a file name."""
    digest = hashlib.blake2b(digest_size=6)
    for name, value in sorted(follows_from.items()):
        digest.update(name.encode() + b"=")
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(json.dumps(value, sort_keys=True).encode())
    return digest.hexdigest()
