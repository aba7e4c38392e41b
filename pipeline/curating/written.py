"""Write what was chosen: a table, a row an image, and a list of names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import store
from pipeline.io.table import in_parts, write_csv
from pipeline.io.whole import whole_text

REASONS = ("kept", "duplicate", "outlier", "not drawn")
DIGITS = 4  # of a score


def write_table(
    path: Path,
    name: store.Strings,
    split: np.ndarray,
    reason: np.ndarray,
    kept: np.ndarray,
    score: np.ndarray,
    clusters: Sequence[np.ndarray],
) -> None:
    """A row an image. name, split: [image]; reason: uint8 [image], of REASONS; kept: int64
    [image], the place of the image that is kept for each; score: float32 [image]; clusters: int32
    [image] of each level, the finest first."""
    said = np.array(REASONS, object)[reason]
    dropped = reason == REASONS.index("duplicate")
    said[dropped] = "duplicate of " + name[kept[dropped]]
    columns: dict[str, store.Strings] = {
        "path": name,
        "split": split,
        "chosen": (reason == 0).astype(np.int8),
        "reason": said,
        "outlier": score,
        **{f"level_{number}": own for number, own in enumerate(clusters, 1)},
    }
    with whole_text(path) as file:
        write_csv(file, list(columns), in_parts(list(columns.values())), DIGITS)
