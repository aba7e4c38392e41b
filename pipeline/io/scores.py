"""Tables of raw scores, a row a seed, and the means that headlines are made of."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.metrics.mean_sd import mean_sd
from pipeline.io.whole import whole_text

Row = dict[str, Any]


def write_scores(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Write `rows` as csv; what is not finite is left empty."""
    with whole_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_text(row[column]) for column in columns] for row in rows)


def headline(rows: Sequence[Row], scores: Sequence[str]) -> dict[str, float]:
    """Mean and standard deviation (NAME_sd) over `rows`, one a seed; left out if not finite."""
    out: dict[str, float] = {}
    for score in scores:
        mean, sd = mean_sd([row[score] for row in rows])
        out |= {
            name: round(value, 4)
            for name, value in ((score, mean), (f"{score}_sd", sd))
            if np.isfinite(value)
        }
    return out


def _text(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value
