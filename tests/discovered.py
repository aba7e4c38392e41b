"""What category discovery reads, made directly: which digits are labelled."""

from pathlib import Path

import numpy as np
from clustered import N, digits, split_of

import store
from pipeline.io.cell import known_of

OLD = ["0", "1", "2", "3", "4"]


def write_known(folder: Path, dataset: str = "digits", share: float = 0.5) -> Path:
    """A part of the digits 0 to 4 of train, every other one or so, is labelled."""
    label = digits()[3]
    drawn = np.random.default_rng(0).random(N) < share
    known = np.where((label < 5) & (split_of(N) == 0) & drawn, label, -1).astype(np.int32)
    path = folder / known_of(dataset)
    arrays = {"label": known, "class": np.arange(5, dtype=np.int32)}
    store.save(path, "known", arrays, {"dataset": dataset, "old": OLD})
    return path
